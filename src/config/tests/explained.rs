//! What `minder explain` says: what will be done, and where each part of it comes from.

use super::templates::with;
use super::{WHOLE, env, explained};
use crate::config::source::read_scenarios;
use crate::config::{Sources, explain, parse, read, read_to_try, render};
use crate::model::{Plan, Service, Wall};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn parsed(name: &str, text: &str) -> (Plan, Sources) {
    let sources = Sources::from_text(name, text, &env());
    let plan = parse(&sources).unwrap_or_else(|found| panic!("{}\n{text}", render(&found, &sources, false)));
    (plan, sources)
}

/// The long form alone, without the words.
fn long_form(text: &str, name: &str) -> String {
    explained(text, name).split_once("\nversion: 1\n").unwrap().1.to_owned()
}

/// Every service of these files is explained, reads back as itself, and every value has an origin.
fn reads_back(plan: &Plan, sources: &Sources) {
    // What stands outside of a service, and is named in it.
    let mut head =
        "mail: { server: \"m:25\", from: a@b }\nnotifiers:\n  nobody: { exec: { command: [/bin/true] } }\n".to_owned();
    for name in plan.notifiers.keys().filter(|name| !name.contains('/')) {
        let _ = writeln!(head, "  {name}: {{ exec: {{ command: [/bin/true] }} }}");
    }
    for service in &plan.services {
        let explained = explain::service(plan, sources, &service.name, Wall(0)).unwrap();
        assert!(!explained.contains("hunter2"), "{explained}");
        let (words, file) = explained.split_once("\nversion: 1\n").unwrap();
        assert!(words.lines().all(|line| line.starts_with('#') && !line.ends_with(' ')), "{words}");
        let needs =
            service.depends_on.iter().map(|name| format!("  {name}: {{ checks: [file: /] }}\n")).collect::<String>();
        let (again, _) = parsed("again.yaml", &format!("version: 1\n{head}{file}{needs}"));
        let mut again = (*again.services[0]).clone();
        for rule in &mut again.rules {
            rule.implied = service.rules.iter().any(|r| r.name == rule.name && r.implied);
        }
        assert_eq!(again, **service, "{explained}");
        for line in file.lines().filter(|line| !line.ends_with(':') && !line.contains(":   # ")) {
            let (_, origin) = line.rsplit_once(" # ").unwrap_or_else(|| panic!("{line:?} has no origin"));
            assert!(!origin.is_empty() && !line.ends_with(' '), "{line:?}");
        }
    }
}

#[test]
fn what_is_explained_reads_back_as_the_same_service() {
    for text in [WHOLE, &with(BLOG)] {
        let (plan, sources) = parsed("a.yaml", text);
        reads_back(&plan, &sources);
        assert_eq!(explain::service(&plan, &sources, "nobody", Wall(0)), None);
        let each =
            plan.services.iter().map(|service| explain::service(&plan, &sources, &service.name, Wall(0)).unwrap());
        assert_eq!(explain::all(&plan, &sources, Wall(0)), each.collect::<Vec<_>>().join("\n"));
    }
}

/// Copies the rule files to where nobody else can write, which a clone need not be, and names them.
fn copied(from: &Path, to: &Path, files: &mut Vec<PathBuf>) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &path, files);
        } else {
            std::fs::copy(entry.path(), &path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            files.extend(path.extension().is_some_and(|e| e == "yaml").then_some(path));
        }
    }
}

/// Those of the templates, too: as the scenarios use them.
#[test]
fn every_shipped_service_reads_back_as_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    // Where scenarios look for the library.
    for above in ["tests", "tests/scenarios"] {
        std::fs::create_dir(dir.path().join(above)).unwrap();
        std::fs::set_permissions(dir.path().join(above), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    for name in ["rules", "tests/scenarios/library"] {
        copied(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name), &dir.path().join(name), &mut files);
    }
    let (mut services, mut of_templates) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let sources = match text.contains("\nscenarios:") {
            true => read_scenarios(&file).0,
            false if text.contains("\nservices:") => read_to_try(&file),
            false => continue,
        };
        let plan = parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)));
        reads_back(&plan, &sources);
        services += plan.services.len();
        let of_template = |service: &&Arc<Service>| {
            explain::service(&plan, &sources, &service.name, Wall(0)).unwrap().contains("# template ")
        };
        of_templates += plan.services.iter().filter(of_template).count();
    }
    assert!(services > 30 && of_templates > 15, "only {services}, {of_templates} of templates");
}

#[test]
fn a_plain_service_is_explained() {
    insta::assert_snapshot!(explained(PLAIN, "web"));
}

const PLAIN: &str = r#"version: 1
services:
  web:
    description: The web server
    control: { command: { start: [/usr/sbin/nginx], stop: [QUIT 10s, TERM 5s, KILL] } }
    log: /var/log/nginx/error.log
    checks:
      - process: /run/nginx.pid
      - http: { url: "http://127.0.0.1/", tls: { verify: false } }
        every: 5s
        keep: [latency]
      - tcp: { address: "127.0.0.1:443", tls: true }
    rules:
      - process.down -> restart
      - http.failed for 3 of 5 -> restart
      - process.memory.total > 500MB for 5m -> notify
"#;

#[test]
fn a_scope_is_explained() {
    let rules = PLAIN.replace("[/usr/sbin/nginx], ", "[/usr/sbin/nginx], scope: true, ");
    let text = explained(&rules, "web");
    assert!(text.contains("as minder's own user, where systemd runs in its scope"), "{text}");
}

#[test]
fn defaults_are_explained() {
    insta::assert_snapshot!(explained(WHOLE, "bare"));
}

#[test]
fn a_service_of_runit_with_everything_is_explained() {
    insta::assert_snapshot!(explained(WHOLE, "web"));
}

#[test]
fn a_template_and_its_parameters_are_explained() {
    insta::assert_snapshot!(explained(&with(BLOG), "blog"));
}

const BLOG: &str = r#"
  blog:
    use: web-app
    with: { name: blog, port: 8081, path: "a: [b" }
    tags: [words]
    restart: { retry: 2h }
    checks:
      - http: { url: http://127.0.0.1/ }
        name: front
    rules:
      - { name: memory, when: process.memory > 1GB, for: 1m }
      - front.latency > 1s -> notify
"#;

#[test]
fn rules_about_each_process_are_explained() {
    insta::assert_snapshot!(explained(
        "version: 1\nservices:\n  machine:\n    checks:\n      - processes:\n      - processes: { user: nobody }\n        \
         name: guests\n    rules:\n      - processes.each.cpu > 90% for 10m -> snapshot, notify\n      - \
         guests.each.memory > 2GB for 3 times -> signal KILL\n",
        "machine"
    ));
}

#[test]
fn what_lies_in_several_files_is_named_by_the_way_from_where_they_part() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(
        "main.yaml",
        "version: 1\ninclude: [library/*.yaml]\ndefaults:\n  notify: [ops]\nnotifiers: { ops: { exec: { command: [/bin/true] } } }\nservices:\n  cache: { use: redis, with: { port: 6380 } }\n",
    );
    write(
        "library/redis.yaml",
        "version: 1\ntemplates:\n  redis:\n    params: { port: { default: 6379 }, limit: { default: 1 GB } }\n    checks:\n      - protocol: { name: redis, address: \"127.0.0.1:${port}\" }\n      - process: { name: redis }\n    rules: [\"process.memory > ${limit} -> notify\"]\n",
    );
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let sources = read(dir.path(), &env());
    let plan = parse(&sources).unwrap();
    let explained = explain::service(&plan, &sources, "cache", Wall(0)).unwrap();
    let long: Vec<&str> = explained.split_once("\nversion: 1\n").unwrap().1.split_whitespace().collect();
    let long = long.join(" ");
    for origin in [
        "127.0.0.1:6380 # template redis, library/redis.yaml:6; port is 6380, main.yaml:7",
        "# template redis, library/redis.yaml:8; limit is `1 GB` by default, library/redis.yaml:4",
        "notify: [ops] # defaults, main.yaml:4",
    ] {
        assert!(long.contains(origin), "{origin}\n{long}");
    }
    assert!(explained.contains("# written in main.yaml:7, with the template redis\n"), "{explained}");
}

#[test]
fn every_origin_is_where_it_is_said_to_be() {
    // Moved down, everything is that much further down, and nothing else changes.
    let moved = format!("{}{WHOLE}", "# a\n".repeat(100));
    let lines = |text: &str| {
        let numbers = regex::Regex::new(r"a\.yaml:(\d+)").unwrap();
        let long = long_form(text, "web");
        let found: Vec<usize> = numbers.captures_iter(&long).map(|c| c[1].parse().unwrap()).collect();
        (found, numbers.replace_all(&long, "").replace(' ', ""))
    };
    let ((here, text), (there, same)) = (lines(WHOLE), lines(&moved));
    assert_eq!(text, same);
    assert!(here.len() > 30);
    assert_eq!(here.iter().map(|line| line + 100).collect::<Vec<_>>(), there);
    // What stands in the line that is named: the value of the long form, where that is one word.
    let source: Vec<&str> = WHOLE.lines().collect();
    let mut compared = 0;
    for line in long_form(WHOLE, "web").lines() {
        let Some((left, right)) = line.split_once("   # ") else { continue };
        let Some((_, number)) = right.split_once("a.yaml:").filter(|_| !right.contains(';')) else { continue };
        let value = left.trim_start().split_once(": ").map_or(left, |(_, value)| value).trim();
        if !value.is_empty() && !value.contains([' ', '[', '{', '"', '-']) {
            let number: usize = number.parse().unwrap();
            assert!(source[number - 1].contains(value), "{line}: {}", source[number - 1]);
            compared += 1;
        }
    }
    assert!(compared > 30, "only {compared} were compared");
}
