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
    let text = "CHAT_URL=https://chat.example.org/hook\nBAD_URL=ftp://user:hunter2@example.org\nEMPTY=\nMAIL_PASSWORD=hunter2\nBACKUP_SECRET=0123456789abcdef0123456789abcdef\nSHORT=0123456789\nODD=0123456789 0123456789\nTOKEN=0123456789012345678901234567890123456789\n";
    Env::from_file_text(text).unwrap()
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

fn beside_the_cases() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("rules");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn every_mistake_is_explained() {
    let settings = beside_the_cases();
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
    assert_eq!(examples, 6);
}

/// Every example of the reference that is a whole file can be copied.
#[test]
fn the_examples_of_the_reference_are_good() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // Scenarios are no rules: `tests/scenarios.rs` runs them.
    let is_whole = |block: &&str| block.starts_with("version: 1") && !block.contains("\nscenarios:");
    let whole: Vec<&str> = blocks.filter(is_whole).collect();
    assert!(!whole.is_empty());
    for example in whole {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        // Some include a template.
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/library"), &dir.path().join("library"));
        fs::write(&file, example).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        config::load(&file, &env()).unwrap_or_else(|report| panic!("{report}\n{example}"));
    }
}

/// What no file of a repository can be: too large, not a text, or in the wrong hands.
#[test]
fn every_odd_file_is_explained() {
    let good = "version: 1\nservices: { a: { checks: [{ file: /a }] } }\n";
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let write = |path: &Path, content: &[u8]| {
        fs::write(path, content).unwrap();
        mode(path, 0o600);
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let cases: &[(&str, Make<'_>)] = &[
        ("odd-writable", &|file| {
            write(file, good.as_bytes());
            mode(file, 0o666);
        }),
        ("odd-directory", &|file| {
            write(file, good.as_bytes());
            mode(file.parent().unwrap(), 0o777);
        }),
        ("odd-oversized", &|file| {
            write(file, b"#");
            fs::File::options().write(true).open(file).unwrap().set_len(100 << 20).unwrap();
        }),
        ("odd-bytes", &|file| write(file, b"version: 1\nservices: {} # caf\xe9\n")),
        ("odd-brackets", &|file| write(file, "[".repeat(200_000).as_bytes())),
        ("odd-link", &|file| std::os::unix::fs::symlink("nowhere.yaml", file).unwrap()),
        ("odd-fifo", &|file| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("odd-byte-order-mark", &|file| write(file, b"\xef\xbb\xbfversion: 1\r\nservises: {}\r\n")),
    ];
    for (name, make) in cases {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules");
        fs::create_dir(&rules).unwrap();
        mode(&rules, 0o700);
        let file = rules.join("a.yaml");
        make(&file);
        let report = config::load(&file, &env()).map(drop).unwrap_err();
        let report = report.replace(&format!("{}/", dir.path().display()), "");
        beside_the_cases().bind(|| insta::assert_snapshot!(*name, report));
    }
}

/// The mistakes that must be explained, each with its report in `tests/rules/` and words of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("unknown key", "unknown-key", "unknown key"),
    ("wrong type", "wrong-type", "expected a text, found a map"),
    ("missing required key", "missing-key", "the key `url` is missing"),
    ("duplicate key", "duplicate-key", "stands here twice"),
    ("duplicate name of a check", "duplicate-check", "two checks of this service are named"),
    ("duplicate name of a rule", "duplicate-rule", "two rules of this service are named"),
    ("duplicate name of a service", "duplicate-service", "twice"),
    ("duplicate name in another file", "several-files", "the service `web` is defined twice"),
    ("two kinds in one check", "two-kinds", "a check asks one thing"),
    ("no kind", "no-kind", "does not say what to ask"),
    ("unknown kind", "unknown-kind", "unknown key"),
    ("unknown metric", "unknown-metric", "have no metric `memmory`"),
    ("metric of another kind", "unknown-metric", "have no metric `latency`"),
    ("missing check name in a metric", "missing-check-name", "does not say of which check"),
    ("unknown check in a metric", "unknown-check", "has no check named"),
    ("wrong unit", "units", "cannot be compared with `5s`"),
    ("missing unit", "units", "has no unit"),
    ("unknown unit", "units", "unknown unit"),
    ("units of the further kinds", "further-kinds", "`ping.loss` is compared with a percentage"),
    ("unlike types", "unlike-types", "is compared with `true` or `false`"),
    ("bad duration", "bad-duration", "duration"),
    ("bad regular expression", "bad-regex", "regular expression"),
    ("bad regular expression in a rule", "bad-regex-in-rule", "bad regular expression"),
    ("bad URL", "bad-address", "is not a URL"),
    ("bad port", "bad-address", "is not a number from 1 to 65535"),
    ("bad address", "bad-address", "does not name a host"),
    ("bad mail address", "mail-address", "is not a mail address"),
    ("relative path", "relative-path", "is not an absolute path"),
    ("unknown notifier", "several-files", "there is no notifier named `opps`"),
    ("unknown control", "bad-control", "there is no control"),
    ("unknown template", "template-use", "there is no template named"),
    ("duplicate name of a template", "template-include", "the template `redis` is defined twice"),
    ("unknown parameter", "template-parameters", "has no parameter `prot`"),
    ("missing parameter", "template-parameters", "of the template `web-app` is missing"),
    ("unused parameter", "template-unused", "is declared, and used nowhere"),
    ("parameter that is not declared", "template-parameters", "has no parameter `other`"),
    ("value of a parameter", "template-mistake", "`${port}` is this here"),
    ("mistake in a template in another file", "template-include", "used here, for service `cache`"),
    ("unknown protocol", "further-kinds", "did you mean `redis`?"),
    ("action that needs a control and has none", "no-control", "needs a `control`"),
    ("action that its control cannot do", "cannot-start", "does not say how it is started"),
    ("`=` for `==`", "syntax", "`=` has no meaning"),
    ("`&&`", "syntax", "`&&` has no meaning"),
    ("`||`", "syntax", "`||` has no meaning"),
    ("missing arrow", "syntax", "there is no arrow before"),
    ("unclosed parenthesis", "syntax", "this parenthesis is not closed"),
    ("unclosed quote", "syntax", "this text has no end"),
    ("unclosed bracket", "unclosed", "is not closed"),
    ("unclosed brace", "unclosed-map", "is not closed"),
    ("unset environment variable", "unset-variable", "is not set"),
    ("unreadable secret", "unreadable-secret", "cannot read"),
    ("include that matches nothing", "include", "matches no file"),
    ("contradictory selectors", "selectors", "both say where to connect"),
    ("selector that nothing has", "selectors", "can never be the name of a process"),
    ("hold that can never be true", "bad-hold", "5 of 3 samples can never be bad"),
    ("comparison that can never be true", "never-true", "can never be true"),
    ("comparisons that can never be true together", "never-together", "can never be true together"),
    ("a later language version", "later-version", "version 2"),
    ("tab", "tabs", "a tab in the indentation"),
    ("list for a map", "list-for-map", "found a list"),
    ("map for a list", "map-for-list", "found a map"),
    ("text for a map", "service-is-text", "expected a map"),
    ("YAML: ` #`", "trap-comment", "begins a comment"),
    ("YAML: `: ` in a rule", "trap-colon", "single quotes"),
    ("YAML: a rule that is a map", "trap-colon-map", "YAML takes this for a map"),
    ("YAML: `!`", "trap-bang", "single quotes"),
    ("YAML: `>`", "trap-fold", "single quotes"),
    ("YAML: `|`", "trap-bar", "single quotes"),
    ("YAML: `[`", "trap-bracket", "single quotes"),
    ("YAML: `{`", "trap-brace", "single quotes"),
    ("YAML: `*`", "trap-star", "single quotes"),
    ("YAML: `&`", "trap-amp", "single quotes"),
    ("YAML: `%`", "trap-percent", "single quotes"),
    ("YAML: `@`", "trap-at", "single quotes"),
    ("YAML: `\"`", "trap-quote", "quotes"),
    ("YAML: `${..}` within braces", "template-flow", "double quotes"),
    ("YAML: a comma within braces", "comma-in-flow", "a comma ends a text"),
    ("YAML: `yes` and `no`", "yaml-values", "write `false`"),
    ("YAML: `017`", "yaml-values", "write `17`"),
    ("YAML: `1_000`", "yaml-values", "write `1000`"),
    ("YAML: `.5`", "yaml-values", "found `.5`"),
    ("YAML: an empty value", "yaml-values", "found nothing"),
    ("YAML: `<<`", "merge", "merging maps"),
    ("YAML: a tag", "tag", "a YAML tag"),
    ("YAML: several documents", "documents", "a second document"),
    ("YAML: an empty file", "empty", "this file is empty"),
    ("YAML: a byte order mark and carriage returns", "odd-byte-order-mark", "services"),
    ("bomb of aliases", "bomb", "more than 500000 values"),
    ("bomb of depth", "deep", "nested"),
    ("200,000 open brackets", "odd-brackets", "nested"),
    ("oversized file", "odd-oversized", "is larger than 1 MiB"),
    ("not UTF-8", "odd-bytes", "is not UTF-8"),
    ("bad permissions of a file", "odd-writable", "may be written by everybody"),
    ("bad permissions of a directory", "odd-directory", "cannot be trusted"),
    ("several mistakes in several files", "several-files", "9 mistakes"),
];

#[test]
fn every_mistake_of_the_list_has_its_report() {
    let missing: Vec<_> = MISTAKES
        .iter()
        .filter(|(_, case, words)| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rules/{case}.snap"));
            !fs::read_to_string(path).is_ok_and(|report| report.contains(words))
        })
        .collect();
    assert!(missing.is_empty(), "no report says so: {missing:#?}");
}
