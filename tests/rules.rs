//! Every mistake of `tests/rules/` is reported as the snapshot beside it says, and the shipped rules are good.
//!
//! A case is a file `NAME.yaml`, or a folder that is read as one plan; its report is `NAME.snap`. After a wanted change:
//! `INSTA_UPDATE=always cargo test --test rules`, and read the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test code")]

use minder::config::{self, Env};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn env() -> Env {
    Env::from_file_text("CHAT_URL=https://chat.example.org/hook\nBAD_URL=ftp://user:hunter2@example.org\nEMPTY=\n")
        .unwrap()
}

/// Copies files and folders to where nobody else can write, which a clone need not be.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
        for entry in sorted(from) {
            copy(&entry, &to.join(entry.file_name().unwrap()));
        }
    } else {
        fs::copy(from, to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o600)).unwrap();
    }
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_mistake_is_explained() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("rules");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut cases = 0;
    for case in sorted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules")) {
        if !case.is_dir() && case.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(case.file_name().unwrap());
        copy(&case, &file);
        let report = match config::load(&file, &env()) {
            Ok(_) => panic!("{} is a case of a mistake, and is taken for good", case.display()),
            Err(report) => report.replace(&format!("{}/", dir.path().display()), ""),
        };
        assert!(!report.contains("hunter2"), "a secret is shown:\n{report}");
        settings.bind(|| insta::assert_snapshot!(case.file_stem().unwrap().to_str().unwrap(), report));
        cases += 1;
    }
    assert!(cases > 50, "only {cases} cases were found");
}

#[test]
fn the_shipped_rules_are_good() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules");
    copy(&shipped, &rules);
    let (plan, sources) = config::load(&rules, &env()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(sources.files.len(), 1, "the examples are not active");
    assert!(plan.services.len() >= 2 && plan.services.iter().all(|service| !service.rules.is_empty()));
    let mut examples = 0;
    for example in sorted(&rules.join("examples")) {
        let (plan, _) = config::load(&example, &env()).unwrap_or_else(|report| panic!("{report}"));
        assert!(!plan.services.is_empty(), "{}", example.display());
        examples += 1;
    }
    assert_eq!(examples, 5);
}

#[test]
fn a_rule_file_that_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, "version: 1\nservices: { a: { checks: [{ file: /a }] } }\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(config::load(&file, &env()).is_ok());
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let report = config::load(&file, &env()).unwrap_err().replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(
        report,
        "error: a.yaml cannot be trusted: a.yaml may be written by everybody (mode 0666)\n |\n \
         = help: take the right away: chmod o-w a.yaml\n\n1 mistake\n"
    );
}
