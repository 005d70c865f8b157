//! `minder explain`: one service, all of them, and a name that is none.

use super::client::{minder, transcript};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

const RULES: &str = "version: 1
defaults: { every: 15s }
services:
  web:
    checks: [{ http: http://127.0.0.1/ }]
  cache:
    checks: [{ process: { name: redis } }]
    rules: [process.down -> notify]
";

/// A rule file that nobody else could have written.
fn rules() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("main.yaml");
    std::fs::write(&file, RULES).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    (dir, file)
}

#[test]
fn a_service_is_explained_and_a_wrong_name_gets_advice() {
    let (_dir, file) = rules();
    let run = |args: &[&str]| {
        let all: Vec<&str> = args.iter().copied().chain(["--rules", file.to_str().unwrap()]).collect();
        transcript(args, &minder(&all).output().unwrap())
    };
    let said = [run(&["explain", "web"]), run(&["explain", "wbe"]), run(&["explain", "database"])];
    insta::assert_snapshot!(said.join("\n"));
    let all = run(&["explain"]);
    for name in ["web", "cache"] {
        let one = run(&["explain", name]);
        let text = one.split_once("# ").unwrap().1.split_once("# Who").unwrap().0.to_owned();
        assert!(all.contains(&text), "{all}");
    }
}
