//! The scenarios of `tests/scenarios/` show the rule language at work; so do those of the shipped rules.
//!
//! `wrong/` has expectations that are wrong: the report of what `minder test` says of each is the snapshot beside it.
//! `mistakes/` has files that cannot be run, each with its report. After a wanted change:
//! `INSTA_UPDATE=always cargo test --test scenarios`, and read the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test code")]
#![allow(clippy::disallowed_methods, reason = "tests start programs")]

use minder::config;
use minder::model::{Expectation, Listed, Scenario, Status};
use minder::trial::play;
use proptest::prelude::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Copies files and folders to where nobody else can write, which a clone need not be.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap().path();
            copy(&entry, &to.join(entry.file_name().unwrap()));
        }
    } else {
        fs::copy(from, to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
    }
}

/// A copy of this, and of the library where it looks for that.
fn copied(what: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (here, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), dir.path().join(what));
    copy(&here.join("rules/library"), &dir.path().join("rules/library"));
    copy(&here.join(what), &to);
    (dir, to)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Vec<Scenario> {
    config::scenarios(file).unwrap_or_else(|mistakes| panic!("{}", mistakes.report(false)))
}

/// Those of the language, and those of the library.
fn all(scenarios: &Path) -> Vec<Scenario> {
    let files = files(scenarios).into_iter().chain(files(&scenarios.join("library")));
    files.flat_map(|file| read(&file)).collect()
}

#[test]
fn everything_is_as_expected() {
    let (_dir, scenarios) = copied("tests/scenarios");
    let mut count = 0;
    for scenario in all(&scenarios) {
        let differences = play(&scenario);
        assert!(differences.is_empty(), "{}: {}: {differences:#?}", scenario.file.display(), scenario.name);
        count += 1;
    }
    assert!(count >= 30, "only {count} scenarios were found");
}

/// No expectation is such that it always holds: with another status, and with a list that is longer or shorter by one, each fails.
#[test]
fn no_expectation_holds_by_itself() {
    let (_dir, scenarios) = copied("tests/scenarios");
    let mut tried = 0;
    for scenario in all(&scenarios) {
        // All at once: days pass in a scenario.
        let mut must_fail = |what: &str, wrong: fn(&mut Expectation) -> usize| {
            let mut scenario = scenario.clone();
            let wrong: usize = scenario.expectations.iter_mut().map(wrong).sum();
            let played = play(&scenario);
            let failed = played.iter().flat_map(|difference| &difference.rows).filter(|row| !row.same).count();
            assert_eq!(failed, wrong, "{}: {}: with {what}: {played:#?}", scenario.file.display(), scenario.name);
            tried += wrong;
        };
        must_fail("another status", |expectation| {
            for (_, status) in &mut expectation.statuses {
                *status = if *status == Status::Ok { Status::Paused } else { Status::Ok };
            }
            expectation.statuses.len()
        });
        must_fail("lists that are longer", |expectation| {
            expectation.lists.iter_mut().for_each(|(_, entries)| entries.push("more".to_owned()));
            expectation.lists.len()
        });
        must_fail("lists that are shorter", |expectation| {
            expectation.lists.iter_mut().filter_map(|(_, entries)| entries.pop()).count()
        });
    }
    assert!(tried > 100, "only {tried} were tried");
    assert_eq!(Listed::ALL.len(), 7);
}

/// What the program says, and how it ends.
fn minder(args: &[&Path], dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_minder")).arg("test").args(args).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("{}{}exit {}\n", text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn snapshots(folder: &str) {
    let (_dir, copy) = copied(&format!("tests/scenarios/{folder}"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("scenarios/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for file in files(&copy) {
        let said = minder(&[Path::new(file.file_name().unwrap())], &copy);
        settings.bind(|| insta::assert_snapshot!(file.file_stem().unwrap().to_str().unwrap(), said));
    }
}

/// A file that the reference of the language shows, between its mark and the end of its block.
fn shown(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md")).unwrap();
    let mark = format!("<!-- file: {name} -->\n```yaml\n");
    let (_, rest) = text.split_once(&mark).unwrap_or_else(|| panic!("rules/README.md shows no {name}"));
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_example_of_the_reference_is_as_expected() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["leak.yaml", "leak-scenarios.yaml"] {
        fs::write(dir.path().join(name), shown(name)).unwrap();
    }
    let said = minder(&[Path::new("leak-scenarios.yaml")], dir.path());
    assert!(said.ends_with("\n3 scenarios, all as expected.\nexit 0\n"), "{said}");
}

/// Every rule file that is shipped has scenarios of its own, and they hold.
#[test]
fn the_shipped_rules_do_what_they_say() {
    let (_dir, rules) = copied("rules");
    let said = minder(&[&rules.join("scenarios")], &rules);
    assert!(said.ends_with(" scenarios, all as expected.\nexit 0\n"), "{said}");
    for example in files(&rules.join("examples")) {
        let name = example.file_name().unwrap();
        assert!(rules.join("scenarios").join(name).exists(), "{} has no scenarios", name.display());
    }
}

#[test]
fn a_difference_is_shown() {
    snapshots("wrong");
}

#[test]
fn every_mistake_of_a_scenario_is_explained() {
    snapshots("mistakes");
}

#[test]
fn a_directory_is_run_and_what_is_wrong_decides_how_it_ends() {
    let (_dir, copy) = copied("tests/scenarios");
    let good = minder(&[Path::new(".")], &copy);
    assert!(good.ends_with(" scenarios, all as expected.\nexit 0\n"), "{good}");
    assert!(good.contains("✓ ./leak.yaml: a leak is restarted once it has lasted\n"), "{good}");
    let wrong = minder(&[Path::new("leak.yaml"), Path::new("wrong")], &copy);
    assert!(wrong.ends_with("5 scenarios, 3 not as expected.\nexit 1\n"), "{wrong}");
    let mistakes = minder(&[Path::new("leak.yaml"), Path::new("mistakes/no-rules.yaml")], &copy);
    assert!(mistakes.ends_with("1 mistake\nexit 2\n"), "{mistakes}");
    let none = minder(&[Path::new("none")], &copy);
    assert!(none.contains("there is no none") && none.ends_with("exit 2\n"), "{none}");
    let empty = tempfile::tempdir().unwrap();
    assert!(minder(&[empty.path()], &copy).ends_with("there is no `*.yaml` in this directory\nexit 2\n"));
}

/// Something to put into a file that was whole.
fn wound() -> impl Strategy<Value = (f64, f64, String)> {
    let text = prop_oneof![
        Just(String::new()),
        Just("\n".to_owned()),
        Just("1x999999999".to_owned()),
        Just(" x10000000 ".to_owned()),
        Just("*a &a [[[[{{{{".to_owned()),
        Just(": ".to_owned()),
        Just("(1) (2)".to_owned()),
        Just("99999999999999999999d".to_owned()),
        Just("1d".to_owned()),
        Just("0s".to_owned()),
        Just("none".to_owned()),
        Just("\u{202e}\u{0}\u{7f}".to_owned()),
        "[a-z0-9.:/%(){}\\[\\]'\" -]{1,12}",
    ];
    // Where, and how much of it is taken out: mostly little.
    (0.0..1.0, prop_oneof![4 => 0.0..0.01, 1 => 0.0..0.3], text)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Files that were whole, with wounds: each is read, or its mistakes are named; what is read can be played.
    #[test]
    fn no_file_ends_or_holds_up_the_reader(which in any::<prop::sample::Index>(), wounds in prop::collection::vec(wound(), 1..4)) {
        let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios"));
        let mut text: Vec<char> = fs::read_to_string(which.get(&all)).unwrap().chars().collect();
        for (at, length, insert) in wounds {
            let from = (at * text.len() as f64) as usize;
            let to = (from + (length * text.len() as f64) as usize).min(text.len());
            text.splice(from..to, insert.chars());
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scenarios.yaml");
        fs::write(&file, text.into_iter().collect::<String>()).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        match config::scenarios(&file) {
            Ok(scenarios) => {
                let hours = |scenario: &&Scenario| scenario.expectations.last().is_none_or(|last| last.at.as_secs() <= 6 * 3600);
                for scenario in scenarios.iter().filter(hours).take(10) {
                    play(scenario);
                }
            }
            Err(mistakes) => prop_assert!(mistakes.report(false).contains("error: ")),
        }
    }
}

/// What is huge is read in time, and memory, that grows with its size only.
#[test]
fn what_is_huge_is_read_or_refused_at_once() {
    let begin = "version: 1\nplan: { services: { web: { checks: [{ http: 'http://127.0.0.1/' }], rules: [http.failed -> notify] } } }\n\
                 scenarios:\n  huge:\n    samples: { http.failed: ";
    let expect = "}\n    expect: [{ at: 6h, status: ok, fired: [] }]\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("huge.yaml");
    for (values, good) in [
        ("false ".repeat(80_000), true),
        ("false x10000000 ".repeat(20_000), true),
        ("false x10000001".to_owned(), false),
        ("[".repeat(100_000), false),
        ("x".repeat(20_000_000), false),
    ] {
        fs::write(&file, format!("{begin}{values}{expect}")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let start = std::time::Instant::now();
        match config::scenarios(&file) {
            Ok(scenarios) if good => assert_eq!(play(&scenarios[0]), []),
            Err(mistakes) if !good => assert!(mistakes.report(false).contains("error: ")),
            other => panic!("{:?}: {}", other.is_ok(), &values[..20.min(values.len())]),
        }
        // Far more than it takes.
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
