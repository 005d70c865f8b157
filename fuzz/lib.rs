//! What holds for every text that is read as rules.

use minder::config::{Diagnostic, Env, Sources, parse, render};
use minder::model::Plan;

/// A variable whose value must never be shown.
const SECRET: &str = "hunter2-hunter2";

/// Reads a text as rules. What is wrong with it has its place within the text, and can be drawn; no secret is shown.
pub fn read(text: &str) -> Result<Plan, Vec<Diagnostic>> {
    let mut env = Env::default();
    env.0.insert("TOKEN".to_owned(), SECRET.to_owned());
    let sources = Sources::from_text("a.yaml", text, &env);
    let outcome = parse(&sources);
    match &outcome {
        Ok(plan) => {
            assert!(!plan.services.is_empty());
            for service in &plan.services {
                let explained = minder::config::explain::service(plan, &service.name);
                assert!(explained.is_some_and(|text| !text.contains(SECRET)));
            }
        }
        Err(found) => {
            assert!(!found.is_empty());
            let text = &sources.files[0].text;
            for diagnostic in found {
                for place in diagnostic.at.iter().chain(diagnostic.related.iter().map(|(place, _)| place)) {
                    assert_eq!(place.file, 0);
                    assert!(text.get(place.start..place.end).is_some(), "{place:?}: {}", diagnostic.message);
                }
            }
            let drawn = render(found, &sources, text.len() % 2 == 0);
            assert!(text.contains(SECRET) || !drawn.contains(SECRET));
            assert!(drawn.len() < 10_000_000);
        }
    }
    outcome
}
