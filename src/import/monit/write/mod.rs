//! What a control file says, in our rules. Every statement becomes a part of them, or a comment in its place that says why not.

mod alerts;
mod checks;
mod command;
mod condition;
mod connection;
mod cycles;
mod ledger;
mod limit;
mod mail;
mod names;
mod service;
mod settings;
mod talk;

use super::read::{Place, Text};
use super::syntax::Control;
use crate::import::{Imported, Machine, yaml};
use alerts::Notifiers;
use ledger::{Ledger, Outcome};
use names::Names;
use service::Written;
use settings::Settings;
use std::collections::BTreeMap;

/// The rules of a control file that was read from `source`.
pub fn rules(source: &str, text: Text, control: Control, machine: &Machine) -> Imported {
    let mut ledger = Ledger::new(text.files);
    let mut notifiers = Notifiers::default();
    let mut settings = Settings::default();
    let mut top: Vec<(Place, String, Outcome)> =
        text.includes.into_iter().map(|(place, text, outcome)| (place, text, outcome.map(|()| Vec::new()))).collect();
    for said in &control.settings {
        let outcome = match &said.it {
            Some(setting) => settings.take(setting, said.place, &mut notifiers, &mut ledger, machine),
            None => Err("this is not understood".to_owned()),
        };
        top.push((said.place, said.text.clone(), outcome));
    }
    let comments = enter(&mut ledger, &top);

    let mut names = Names::default();
    let mut services: Vec<Written> = Vec::new();
    // Of two services with the same name, what depends on it means the first.
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for service in &control.services {
        let meant = service.name.replace("$HOST", &machine.host);
        let name = names.give(&meant, "service");
        let written = service::write(service, name, &settings, machine, &mut notifiers, &mut ledger);
        if written.keys.is_some() {
            named.entry(service.name.clone()).or_insert(services.len());
        }
        services.push(written);
    }
    let depends = dependencies(&mut services, &named);

    let mut lines = vec![
        format!("# Written by `minder import monit` from {}.", yaml::comment(source)),
        "# A comment that begins with a place stands for what differs, or is not carried over.".to_owned(),
        "version: 1".to_owned(),
        String::new(),
    ];
    lines.extend(comments);
    lines.extend(settings.lines(&notifiers, machine));
    lines.push(String::new());
    let count = services.iter().filter(|service| service.keys.is_some()).count();
    if count > 0 {
        lines.push("services:".to_owned());
    }
    for (written, depends) in services.iter().zip(depends) {
        lines.extend(block(written, &depends, &mut ledger));
    }
    let statements = ledger.statements;
    let (notes, mut secrets) = ledger.close();
    // A test that came to nothing needs no password.
    secrets.retain(|secret| lines.iter().any(|line| line.contains(&format!("{{ env: {} }}", secret.name))));
    let passwords = secrets.iter().map(|secret| format!("#   {}: {}", secret.name, secret.place));
    if !secrets.is_empty() {
        let words = "# Passwords are not copied. Put them into these variables of minder's environment:".to_owned();
        lines.splice(2..2, std::iter::once(words).chain(passwords));
    }
    let yaml = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    Imported { yaml, services: count, statements, notes, secrets }
}

fn enter(ledger: &mut Ledger, outcomes: &[(Place, String, Outcome)]) -> Vec<String> {
    ledger.enter_all(outcomes.iter().map(|(place, text, outcome)| (*place, text.as_str(), outcome)))
}

/// A service, or comments in its place.
fn block(written: &Written, depends: &[String], ledger: &mut Ledger) -> Vec<String> {
    let comments = enter(ledger, &written.outcomes);
    let mut lines = vec![String::new()];
    let Some(keys) = &written.keys else {
        lines.extend(comments.into_iter().map(|comment| format!("  {comment}")));
        return lines;
    };
    lines.push(format!("  {}: # {}", yaml::scalar(&written.name), ledger.at(written.place)));
    lines.extend(comments.into_iter().map(|comment| format!("    {comment}")));
    let (first, rest) =
        keys.split_at(keys.iter().take_while(|key| key.starts_with("group") || key.starts_with("tags")).count());
    lines.extend(first.iter().map(|key| format!("    {key}")));
    if !depends.is_empty() {
        lines.push(format!("    depends_on: {}", yaml::list(depends)));
    }
    lines.extend(rest.iter().map(|key| format!("    {key}")));
    lines
}

/// What each service depends on, in our names. What is not there, and what closes a circle, is left out, and said.
fn dependencies(services: &mut [Written], named: &BTreeMap<String, usize>) -> Vec<Vec<String>> {
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); services.len()];
    for i in 0..services.len() {
        for (outcome, wanted) in services[i].depends.clone() {
            let (mut wrong, all) = (Vec::new(), wanted.len());
            for name in wanted {
                match named.get(&name) {
                    None => wrong.push(format!("there is no service `{name}` here")),
                    Some(&on) if on == i || reaches(&edges, on, i) => {
                        wrong.push(format!("`{name}` depends on this service itself"));
                    }
                    Some(&on) if edges[i].contains(&on) => {}
                    Some(&on) => edges[i].push(on),
                }
            }
            if let Some(outcome) = services[i].outcomes.get_mut(outcome) {
                outcome.2 = if wrong.len() < all { Ok(wrong) } else { Err(wrong.join("; ")) };
            }
        }
    }
    let name = |on: &usize| services[*on].name.clone();
    edges.iter().map(|on| on.iter().map(name).collect()).collect()
}

/// Whether one service depends on another, however indirectly.
fn reaches(edges: &[Vec<usize>], from: usize, to: usize) -> bool {
    let (mut seen, mut waiting) = (vec![false; edges.len()], vec![from]);
    while let Some(next) = waiting.pop() {
        if next == to {
            return true;
        }
        if !std::mem::replace(&mut seen[next], true) {
            waiting.extend(&edges[next]);
        }
    }
    false
}
