//! The JSON Schema of rule files, as an editor uses it: with the parser and the validator of the editors' own language server.
// Tests start programs, and a failure of what they stand on is a failed test.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const RULES: &str = "rules/schema.json";
const SCENARIOS: &str = "rules/scenarios/schema.json";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every rule file below a directory.
fn yaml_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(yaml_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What an editor would underline in each of these files.
fn underlined(schema: &str, files: &[PathBuf]) -> BTreeMap<String, Vec<String>> {
    let output = Command::new("node")
        .arg(root().join("tests/schema/check.mjs"))
        .arg(root().join(schema))
        .args(files)
        .env("TOOLS", root().join("tests/.tools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_shipped_schema_is_what_minder_prints() {
    for (arguments, file) in [(&["schema"][..], RULES), (&["schema", "--scenarios"], SCENARIOS)] {
        let printed = Command::new(env!("CARGO_BIN_EXE_minder")).args(arguments).output().unwrap();
        let shipped = std::fs::read(root().join(file)).unwrap();
        assert!(printed.stdout == shipped, "run: cargo run -- {} > {file}", arguments.join(" "));
    }
}

#[test]
fn every_shipped_file_names_the_schema_and_fits_it() {
    let (scenarios, rules): (Vec<PathBuf>, Vec<PathBuf>) = yaml_below(&root().join("rules"))
        .into_iter()
        .partition(|file| file.components().any(|part| part.as_os_str() == "scenarios"));
    assert!(scenarios.len() > 3 && rules.len() > 5);
    fits(RULES, &rules);
    fits(SCENARIOS, &scenarios);
}

fn fits(schema: &str, files: &[PathBuf]) {
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("# yaml-language-server: $schema=");
        let named =
            named.unwrap_or_else(|| panic!("{} does not begin with the line that names the schema", file.display()));
        let names = file.parent().unwrap().join(named).canonicalize().unwrap();
        assert_eq!(names, root().join(schema), "{}", file.display());
    }
    let found: Vec<_> = underlined(schema, files).into_iter().filter(|(_, errors)| !errors.is_empty()).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// Whatever is read without a mistake is not underlined either; of the mistakes, those of keys and types are.
#[test]
fn an_editor_underlines_wrong_keys_and_types() {
    let mistakes = [
        "unknown-key",
        "wrong-type",
        "missing-key",
        "two-kinds",
        "no-kind",
        "list-for-map",
        "bad-durations",
        "bad-notifier",
    ];
    let files: Vec<PathBuf> =
        mistakes.iter().map(|name| root().join("tests/rules").join(name).with_extension("yaml")).collect();
    for (file, errors) in underlined(RULES, &files) {
        assert!(!errors.is_empty(), "{file} is not underlined");
    }
}
