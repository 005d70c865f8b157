//! Every template is explained, fits the language with nothing but its defaults, and has scenarios that hold.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a template that fits many daemons must be told.
const GIVEN: &[(&str, &str)] = &[
    (
        "java-service",
        "unit: orders, match: ' -jar /opt/orders\\.jar( |$)', user: orders, url: 'http://127.0.0.1:8080/health'",
    ),
    ("runit-service", "service: app"),
    ("script-daemon", "script: /srv/importer/run.py, user: importer, pulse: /srv/importer/log"),
    ("web-app", "unit: shop, pidfile: /run/shop.pid, user: shop, url: 'http://127.0.0.1:8080/health'"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all templates, which are those of their files.
fn names() -> Vec<String> {
    let files = fs::read_dir(repository().join("rules/library")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn text(name: &str) -> String {
    fs::read_to_string(repository().join(format!("rules/library/{name}.yaml"))).unwrap()
}

fn scenarios(name: &str) -> PathBuf {
    repository().join(format!("tests/scenarios/library/{name}.yaml"))
}

/// A copy of the library and its scenarios where nobody else can write, which a clone need not be.
fn copied() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["rules/library", "tests/scenarios/library"] {
        let to = dir.path().join(folder);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let to = to.join(entry.as_ref().unwrap().file_name());
            fs::copy(entry.unwrap().path(), &to).unwrap();
            fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    dir
}

/// Runs minder, which must say that all is well.
#[track_caller]
fn minder(arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_minder")).args(arguments).current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn all_templates_fit_into_one_plan_by_their_defaults() {
    let dir = copied();
    let mut plan = "version: 1\ninclude: [rules/library/*.yaml]\nservices:\n".to_owned();
    for name in names() {
        let given = GIVEN.iter().find(|(of, _)| *of == name);
        let with = given.map_or(String::new(), |(_, with)| format!(", with: {{ {with} }}"));
        plan += &format!("  {name}: {{ use: {name}{with} }}\n");
    }
    fs::write(dir.path().join("plan.yaml"), plan).unwrap();
    minder(&["validate", "plan.yaml"], dir.path());
}

#[test]
fn all_templates_may_be_included_where_one_is_used() {
    let dir = copied();
    let plan = "version: 1\ninclude: [rules/library/*.yaml]\nservices:\n  cache: { use: redis }\n";
    fs::write(dir.path().join("plan.yaml"), plan).unwrap();
    minder(&["validate", "plan.yaml"], dir.path());
}

#[test]
fn a_template_says_what_it_is_for_and_what_its_parameters_are() {
    for name in names() {
        let text = text(&name);
        assert!(text.starts_with("# yaml-language-server: $schema=../schema.json\n#\n# "), "{name}: the head");
        let head = text.split_once("\nversion: 1\n").unwrap_or_else(|| panic!("{name}: no version after the head")).0;
        assert!(head.contains(&format!("include: [library/{name}.yaml]")), "{name}: how to include it");
        assert!(head.contains(&format!("use: {name}")), "{name}: how to use it");
        let yaml: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        let templates = yaml["templates"].as_object().unwrap();
        assert_eq!(templates.keys().collect::<Vec<_>>(), [&name], "one template, of the file's name");
        let template = &templates[&name];
        for (parameter, keys) in template["params"].as_object().into_iter().flatten() {
            assert!(keys["about"].is_string(), "{name}: what is {parameter} about?");
            let given = GIVEN.iter().any(|(of, with)| *of == name && with.contains(parameter.as_str()));
            assert!(given || keys.get("default").is_some(), "{name}: {parameter} has no default");
        }
        assert!(
            !template["checks"].as_array().unwrap().is_empty() && !template["rules"].as_array().unwrap().is_empty()
        );
    }
}

#[test]
fn a_template_has_scenarios_that_hold() {
    let dir = copied();
    for name in names() {
        let shown = scenarios(&name).strip_prefix(repository()).unwrap().display().to_string();
        assert!(scenarios(&name).exists(), "{shown} is missing");
        let used = fs::read_to_string(scenarios(&name)).unwrap();
        assert!(used.contains(&format!("use: {name}")), "{shown} uses another template");
    }
    let said = minder(&["test", "tests/scenarios/library"], dir.path());
    assert!(said.ends_with(" scenarios, all as expected.\n"), "{said}");
}

#[test]
fn the_reference_lists_all_templates() {
    let reference = fs::read_to_string(repository().join("rules/README.md")).unwrap();
    let (_, section) = reference.split_once("\n## The library\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut listed: Vec<&str> = rows.map(|(name, _)| name).collect();
    listed.sort_unstable();
    assert_eq!(listed, names());
}
