//! The reader as a whole: what a good plan becomes, and that no text can break it.

mod explained;
mod implied;
mod reference;
mod templates;

use super::{Env, Sources, explain, parse, read, render};
use crate::model::controls::ControlSpec;
use crate::model::{
    Action, Condition, Dimension, Function, Hold, Kind, Limit, MetricId, NotifierPlace, Op, Plan, Severity, Signal,
    Term, Test, Wall,
};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

fn env() -> Env {
    Env::from_file_text("CHAT_URL=https://chat.example.org/hook\nTOKEN=hunter2").unwrap()
}

fn plan(text: &str) -> Plan {
    let sources = Sources::from_text("a.yaml", text, &env());
    parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)))
}

/// The explanation of a service of this text.
fn explained(text: &str, name: &str) -> String {
    let sources = Sources::from_text("a.yaml", text, &env());
    let plan = parse(&sources).unwrap_or_else(|found| panic!("{}", render(&found, &sources, false)));
    explain::service(&plan, &sources, name, Wall(0)).unwrap()
}

#[test]
fn who_names_the_pidfile_of_runsv_is_told_of_its_trap() {
    let notes = |check: &str| {
        plan(&format!("version: 1\nservices: {{ web: {{ checks: [process: {{ {check} }}] }} }}\n")).notes.join("\n")
    };
    let told = notes("pidfile: /etc/service/web/supervise/pid");
    assert!(told.starts_with("web: ") && told.contains("`control: { runit: /etc/service/web }`"), "{told}");
    assert_eq!(notes("pidfile: /run/web/pid"), "");
}

/// Every key of the language once.
const WHOLE: &str = r#"
version: 1
defaults: { every: 20s, timeout: 4s, notify: [ops], grace: 15s, restart: { limit: 3 in 10m } }
mail: { server: "mail.example.org:587", from: Minder <minder@example.org>, user: minder, password: { env: TOKEN } }
notifiers:
  ops: { email: { to: [ops@example.org] } }
  chat: { webhook: { url: { env: CHAT_URL }, headers: { X-Port: 8080, X-Octal: 017, X-Yes: yes, X-True: true } } }
  script: { exec: { command: [/usr/local/bin/tell], environment: { TOKEN: { env: TOKEN } } } }
dashboard: { listen: "[::1]:8900" }
history: { keep: 30d, max_size: 500MB }
boot_grace: 2m
services:
  web:
    description: "the front: door # 1"
    group: front
    tags: [http, "no", 017]
    public: true
    control: { runit: web }
    log: /var/log/web.log
    notify: [ops, chat]
    checks:
      - process: /run/web.pid
      - http:
          url: http://127.0.0.1:8080/health
          headers: { Host: www.example.org }
          bearer: { env: TOKEN }
          redirects: 3
          expect: { status: [200, 3xx], body: ok, match: 'o.', headers: { Server: nginx }, json: { /n: 3, /ok: true } }
        name: front
        every: 5s
        keep: [latency, dns]
      - tcp: { address: "127.0.0.1:6379", send: "PING\r\n", expect: PONG, tls: true }
      - file: { path: /var/log/web.log, match: ERROR }
      - system:
    rules:
      - process.down -> restart
      - process.down for 3 times -> snapshot, signal HUP, notify chat
      - 'not (front.body matches "a\"b" or front.status != 200) and max(process.memory, 1.5h) > 80 % for 3m -> notify'
      - changed(file.checksum) -> notify script
      - rate(process.memory, 10m) > 1MB/s and forecast(process.memory, 6h, 36h) > 120% -> notify
      - name: leak
        when: process.memory > 1GB
        for: 3 of 5
        until: process.memory < 800MB
        until_for: 1m
        severity: info
        then:
          - snapshot
          - restart
          - exec: { command: [/usr/local/bin/drain, web], user: www-data, timeout: 1m }
          - email: { to: [leak@example.org] }
          - webhook: { url: http://127.0.0.1/ }
          - notify: script
          - signal: USR1
  bare:
    settle: 9s
    checks: [{ process: { name: bare } }]
    control: { command: { start: [/usr/bin/bare], stop: [TERM 3s, KILL], environment: { A: b } } }
"#;

#[test]
fn every_key_finds_its_place() {
    let plan = plan(WHOLE);
    assert_eq!(plan.boot_grace, Duration::from_secs(120));
    assert_eq!(plan.dashboard.listen.to_string(), "[::1]:8900");
    assert_eq!(plan.history.max_size.0, 500_000_000);
    assert_eq!(plan.mail.as_ref().unwrap().password.as_ref().unwrap().0.expose(), "hunter2");
    let NotifierPlace::Webhook(chat) = &plan.notifiers["chat"].place else { panic!() };
    assert_eq!(chat.url.as_ref().unwrap().expose(), "https://chat.example.org/hook");
    let headers: Vec<&str> = chat.headers.values().map(|given| given.expose()).collect();
    assert_eq!(headers, ["017", "8080", "true", "yes"]);

    let web = &plan.services[0];
    assert_eq!(web.tags, ["http", "no", "017"]);
    assert_eq!(web.description.as_deref(), Some("the front: door # 1"));
    assert_eq!((web.grace, web.settle), (Duration::from_secs(15), Duration::from_secs(5)));
    assert_eq!((web.restart.limit.count, web.restart.retry.0), (3, Duration::from_secs(1800)));
    let names: Vec<&str> = web.checks.iter().map(|check| &*check.name).collect();
    assert_eq!(names, ["process", "front", "tcp", "file", "system", "control"]);
    let control = web.checks.last().unwrap();
    assert!(matches!(&*control.kind, Kind::Control(ControlSpec::Runit(runit)) if runit.service == "web"));
    assert_eq!((control.every, control.timeout), (Duration::from_secs(5), Duration::from_secs(4)));
    let Kind::Http(http) = &*web.checks[1].kind else { panic!() };
    assert_eq!(http.expect.json["/n"], serde_json::json!(3));
    assert_eq!(http.bearer.as_ref().unwrap().0.expose(), "hunter2");

    let bare = &plan.services[1];
    assert_eq!(bare.settle, Duration::from_secs(9));
    assert_eq!(bare.checks.len(), 1, "a command has no record of what it started");
    assert_eq!(bare.checks[0].every, Duration::from_secs(20));
}

#[test]
fn rules_get_names_severities_and_defaults() {
    let plan = plan(WHOLE);
    let web = &plan.services[0];
    let told: Vec<String> = web
        .rules
        .iter()
        .map(|rule| {
            let kind = if rule.implied { "implied" } else { "written" };
            let alive = if rule.liveness { "liveness" } else { "quality" };
            format!("{} {} {kind} {alive}", rule.name, rule.severity)
        })
        .collect();
    assert_eq!(
        told,
        [
            "process.down critical written liveness",
            "process.down-2 critical written liveness",
            "front.body-front.status-process.memory warning written quality",
            "file.checksum warning written quality",
            "process.memory warning written quality",
            "leak info written quality",
            "tcp.failed warning implied quality",
            "control.alive critical implied liveness",
            "control.failed critical implied liveness",
            "control.flapping critical implied liveness",
        ]
    );
    let window = &web.rules[2];
    assert_eq!(window.hold, Hold::For(Duration::from_secs(180)));
    assert_eq!(
        window.when.to_string(),
        r#"not (front.body matches "a\"b" or front.status != 200) and max(process.memory, 90m) > 80%"#
    );
    let Condition::And(parts) = &window.when else { panic!() };
    let Condition::Is(comparison) = &parts[1] else { panic!() };
    assert!(matches!(comparison.term, Term::Window { function: Function::Max, .. }));
    assert_eq!(comparison.test, Test::Compare(Op::Greater, Limit::PercentOfWhole(80.0)));
    assert!(web.rules[3].when.is_notice());

    let leak = &web.rules[5];
    assert_eq!(leak.severity, Severity::Info);
    assert_eq!(leak.hold, Hold::Count { bad: 3, of: 5 });
    assert_eq!(leak.until.as_ref().unwrap().1, Hold::For(Duration::from_secs(60)));
    assert_eq!(leak.actions[3], Action::Notify(Some("web/leak/email".into())));
    assert_eq!(leak.actions[4], Action::Notify(Some("web/leak/webhook".into())));
    assert_eq!(leak.actions[6], Action::Signal(Signal(10)));
    assert!(plan.notifiers.contains_key("web/leak/email"));

    let kept = |check: usize| -> Vec<&str> {
        let metrics = web.checks[check].kind.metrics();
        web.checks[check].keep.iter().map(|id| metrics[usize::from(id.0)].name).collect()
    };
    assert_eq!(kept(0), ["down", "memory"]);
    assert_eq!(kept(1), ["failed", "status", "latency", "dns", "body"]);
    assert_eq!(kept(2), ["failed"]);
    assert_eq!(kept(4), Vec::<&str>::new());
}

#[test]
fn each_process_is_judged_with_or_without_keys() {
    let head = "version: 1\nservices:\n  all:\n    checks: [";
    let rules =
        "]\n    rules:\n      - processes.each.fds > 90% and system.load1 > 5 for 5m -> signal TERM, snapshot\n";
    for keys in ["", "{}", "nginx", "{ user: 33 }"] {
        let text = format!("{head}{{ processes: {keys} }}, {{ system: }}{rules}");
        let plan = plan(&text);
        let service = &plan.services[0];
        assert_eq!(service.rules.len(), 1);
        let kept: Vec<u8> = service.checks[0].recorded().iter().map(|id| id.0).collect();
        assert_eq!((kept.as_slice(), service.checks[0].keep.iter().count()), (&[0][..], 2), "{keys}");
        let explained = explained(&text, "all");
        assert!(explained.contains("warning: for each process by itself, when"), "{explained}");
        assert_eq!(*self::plan(&explained).services[0], **service, "{explained}");
    }
}

#[test]
fn several_mistakes_in_a_part_are_all_found_and_none_twice() {
    let text = "version: 1\nservices:\n  a:\n    checks:\n      - http: { urll: x, redirects: -1, tls: { cq: 1, verify: no } }\n";
    let found = parse(&Sources::from_text("a.yaml", text, &env())).unwrap_err();
    let messages: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "unknown key `urll`",
            "expected a whole number, found `-1`",
            "unknown key `cq`",
            "expected `true` or `false`, found `no`"
        ]
    );
    let sources = Sources::from_text("a.yaml", text, &env());
    assert_eq!(found[1].position(&sources), Some((Path::new("a.yaml"), 5, 37)));
}

#[test]
fn a_carriage_return_moves_nothing() {
    let unix = WHOLE.replace("process.down for 3 times", "process.dwn for 3 times");
    let found = |text: &str| {
        let sources = Sources::from_text("a.yaml", text, &env());
        let found = parse(&sources).unwrap_err();
        found.iter().map(|d| d.position(&sources).map(|(_, l, c)| (l, c))).collect::<Vec<_>>()
    };
    assert_eq!(found(&unix), found(&unix.replace('\n', "\r\n")));
    assert_eq!(found(&unix), found(&format!("\u{feff}{unix}")));
}

/// A condition over two checks, as somebody might write it.
fn conditions() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("process.down".to_owned()),
        "process\\.memory (<|<=|>|>=|==|!=) [1-9][0-9]{0,3}(\\.5)? ?(kB|MB|GiB)",
        "process\\.memory > [1-9][0-9]?%",
        "(avg|min|max)\\(process\\.cpu, ?[1-9][0-9]?(\\.5)? ?(s|m|h)\\) > [1-9][0-9]?%",
        "changed\\(process\\.pid\\)",
        "http\\.body (==|!=|matches) \"[a-z. \\\\#:']{0,3}(\\\\\")?[a-z ]{0,3}\""
            .prop_filter("a regular expression", |text| regex::Regex::new(text.split_once('"').unwrap().1).is_ok()),
        "process\\.down (==|!=) (true|false)",
    ];
    number.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.prop_map(|a| format!("(({a}))")),
        ]
    })
}

fn with_condition(condition: &str) -> Option<Condition> {
    let quoted = condition.replace('\'', "''");
    let text = format!(
        "version: 1\nservices:\n  a:\n    checks: [{{ process: {{ name: a }} }}, {{ http: http://a/ }}]\n    rules:\n      - when: '{quoted}'\n"
    );
    parse(&Sources::from_text("a.yaml", &text, &Env::default())).ok().map(|plan| plan.services[0].rules[0].when.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_words_mean_the_same(written in conditions()) {
        // What contradicts itself is refused, and that is all that may be.
        if let Some(condition) = with_condition(&written) {
            let canonical = condition.to_string();
            let again = with_condition(&canonical);
            prop_assert_eq!(again.as_ref(), Some(&condition), "{} from {}", &canonical, written);
            prop_assert_eq!(again.unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "(\\PC|[\\[\\]{}:,&*!|>'\"%@#\\- \n\t\r]){0,60}") {
        let sources = Sources::from_text("a.yaml", &text, &Env::default());
        let found = parse(&sources).unwrap_err();
        render(&found, &sources, true);
    }

    #[test]
    fn no_rule_breaks_the_reader(rule in "((process|http)\\.[a-z]{0,6}|[<>=!&|()\"',%0-9.]|->| |and|or|not|for|of|times|notify|\\PC){0,20}") {
        let text = format!("version: 1\nservices:\n  a:\n    checks: [{{ process: {{ name: a }} }}]\n    rules:\n      - {rule}\n");
        let sources = Sources::from_text("a.yaml", &text, &Env::default());
        if let Err(found) = parse(&sources) {
            render(&found, &sources, false);
        }
    }

    #[test]
    fn no_damage_breaks_the_reader(at in 0..WHOLE.len(), length in 0..40_usize, with in "\\PC{0,3}|[\\[\\]{}:,&*!|>'\"%@#\\- \n\t]{0,3}") {
        let mut text = WHOLE.to_owned();
        text.replace_range(at..(at + length).min(WHOLE.len()), &with);
        let sources = Sources::from_text("a.yaml", &text, &env());
        if let Err(found) = parse(&sources) {
            prop_assert!(!found.is_empty());
            prop_assert!(!render(&found, &sources, false).contains("hunter2"));
        }
    }
}

#[test]
fn long_lines_and_many_mistakes_are_drawn_within_bounds() {
    let rules = "version: 1\nservices:\n  a:\n    checks: [{ process: { name: a } }]\n    rules:\n      - ";
    for text in [
        format!("[{}", "a, ".repeat(50_000)),
        format!("[{}", "!a b, ".repeat(30_000)),
        format!("{rules}{}process.down -> notify", "process.down and ".repeat(10_000)),
    ] {
        let sources = Sources::from_text("a.yaml", &text, &Env::default());
        let found = parse(&sources).unwrap_err();
        assert!(found.len() < 300 && render(&found, &sources, false).len() < 100_000, "{:?}", found[0]);
    }
}

#[test]
fn no_bytes_break_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&proptest::collection::vec(any::<u8>(), 0..80), |bytes| {
            std::fs::write(&path, bytes).unwrap();
            prop_assert!(parse(&read(&path, &Env::default())).is_err());
            Ok(())
        })
        .unwrap();
}

#[test]

fn what_a_performance_value_is_compared_with_says_what_it_is() {
    let text = "version: 1\nservices:\n  a:\n    checks:\n      - program: { command: [/bin/x], nagios: true }\n        keep: [perf.kept]\n    \
         rules:\n      - program.perf.part > 90% -> notify\n      - program.perf.both > 90% -> notify\n      \
         - program.perf.both > 5GB or avg(program.perf.time, 5m) > 2s -> notify\n      \
         - { when: changed(program.perf.seen), then: [notify] }\n      \
         - { when: program.perf.count > 3, until: program.perf.low < 0.5, then: [notify] }\n";
    let plan = plan(text);
    let check = &plan.services[0].checks[0];
    let Kind::Program(program) = &*check.kind else { panic!() };
    let perf = check.kind.metrics().iter().enumerate().skip(6);
    let seen: Vec<_> =
        perf.map(|(i, m)| (m.name, m.dimension, m.of_whole, program.takes_any_unit(MetricId(i as u8)))).collect();
    assert_eq!(
        seen,
        [
            ("perf.both", Dimension::Bytes, true, false),
            ("perf.count", Dimension::Count, true, false),
            ("perf.kept", Dimension::Count, true, true),
            ("perf.low", Dimension::Count, true, false),
            ("perf.part", Dimension::Percent, false, false),
            ("perf.seen", Dimension::Count, true, true),
            ("perf.time", Dimension::Time, false, false),
        ]
    );
    assert!((6..13).all(|i| check.keep.contains(MetricId(i))));
    let explained = explained(text, "a");
    let again = super::tests::plan(&explained);
    assert_eq!(again.services[0].checks, plan.services[0].checks, "{explained}");
}

#[test]
fn what_a_service_needs_is_read_and_explained() {
    let text = "version: 1\nbrake: 3 in 2m\nservices:\n  web: { depends_on: [app, cache], checks: [file: /w] }\n  \
                app: { depends_on: [cache], checks: [file: /a] }\n  cache: { checks: [file: /c] }\n";
    let plan = plan(text);
    assert_eq!(plan.services[0].depends_on, ["app".into(), "cache".into()]);
    assert_eq!(plan.brake.to_string(), "3 in 2m");
    let words = explained(text, "web");
    assert!(words.contains("# It needs app and cache: while one of them is not well,"), "{words}");
    assert!(words.lines().any(|line| line.starts_with("    depends_on: [app, cache] ")), "{words}");
    assert!(words.lines().any(|line| line.ends_with("# a.yaml:4")), "{words}");
    assert!(!explained(text, "cache").contains("needs"));
}

#[test]
fn a_long_chain_of_needs_is_no_circle_and_breaks_nothing() {
    let chain = |last: &str| {
        let mut text = "version: 1\nservices:\n".to_owned();
        for i in 0..1500 {
            let next = if i == 1499 { last.to_owned() } else { format!("[s{}]", i + 1) };
            text += &format!("  s{i}: {{ depends_on: {next}, checks: [file: /a] }}\n");
        }
        text
    };
    assert_eq!(plan(&chain("[]")).services.len(), 1500);
    let sources = Sources::from_text("a.yaml", &chain("[s0]"), &env());
    let found = parse(&sources).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(found[0].message.ends_with("s11 needs and so on, over 1488 more needs s0"), "{}", found[0].message);
}
