//! Whatever a control file holds: nothing panics, what is written validates, and no password is copied.

use crate::config::{self, Env, Sources};
use crate::import::{File, Imported, Machine, monit};
use proptest::prelude::*;

fn import(text: &str) -> Imported {
    let file = |text: &str| File { name: "monitrc".to_owned(), text: text.to_owned() };
    let machine = Machine { host: "box".to_owned(), cores: 4 };
    // Every include is of the same file, whose words then stand within those of another.
    let mut count = 0;
    monit::import(file(text), &machine, &mut |_| {
        count += 1;
        Ok(vec![File { name: format!("included-{count}"), text: "if cpu > 1% then alert\n".to_owned() }])
    })
}

/// What is wrong with the rules, but for `depends_on` where it is not read yet.
fn mistakes(imported: &Imported) -> Vec<String> {
    let env = Env(imported.secrets.iter().map(|secret| (secret.name.clone(), "something".to_owned())).collect());
    let mistakes = config::parse(&Sources::from_text("rules.yaml", &imported.yaml, &env)).err().unwrap_or_default();
    let later = "`depends_on` comes with a later version of minder";
    mistakes.into_iter().map(|mistake| mistake.message).filter(|message| message != later).collect()
}

fn assert_valid(text: &str) -> Imported {
    let imported = import(text);
    let mistakes = mistakes(&imported);
    if imported.services == 0 {
        assert!(mistakes.iter().all(|mistake| mistake == "there is no service in these rules"), "{mistakes:?}");
    } else {
        assert!(mistakes.is_empty(), "{text}\n---\n{}\n{mistakes:?}", imported.yaml);
    }
    imported
}

/// The rules of a process with these statements.
fn of_process(statements: &str) -> String {
    let yaml = assert_valid(&format!("set daemon 60\ncheck process x with pidfile /x.pid\n{statements}\n")).yaml;
    yaml.split_once("rules:\n").map_or(String::new(), |(_, rules)| rules.trim().to_owned())
}

#[test]
fn words_for_people_mean_nothing() {
    let rules = of_process("if cpu > 60% for 5 cycles then alert");
    for same in [
        "IF the CPU usage is greater than 60% for 5 cycles THEN alert",
        "if cpu gt 60 % 5 times within 5 cycles then alert",
        "if cpu\n  > 60% # why\n for\n 5 cycles\n then alert",
    ] {
        assert_eq!(of_process(same), rules, "{same}");
    }
    assert_eq!(rules, "- process.down -> notify\n      - process.cpu.host > 60% for 5m -> notify");
}

#[test]
fn what_follows_a_statement_on_its_line_is_read() {
    let yaml =
        assert_valid("check process x pidfile /x start program \"/a b\" stop \"/c\" if cpu > 5% then stop group g")
            .yaml;
    for part in ["start: [/a, b]", "stop: [/c]", "process.cpu.host > 5% -> stop", "group: g"] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    // A word too many makes the statement another one, and none that is known.
    let imported = import("check process x pidfile /x\nif cpu > 5% then alert unless sunday\ngroup g");
    assert_eq!((imported.statements, imported.lost()), (3, 1));
}

#[test]
fn an_interval_of_a_service_makes_its_cycles_longer() {
    let yaml =
        assert_valid("set daemon 60\ncheck process x pidfile /x\nif cpu > 5% for 3 cycles then alert\nevery 4 cycles")
            .yaml;
    assert!(yaml.contains("every: 4m") && yaml.contains("for 12m"), "{yaml}");
}

#[test]
fn passwords_are_named_and_not_copied() {
    let imported = assert_valid(
        "set mailserver m username \"u\" password \"hunter2\" using ssl\nset httpd port 1 allow a:hunter2\n\
         check host h with address h\nif failed url http://u:hunter2@h/ then alert\n\
         if failed port 1 protocol http with http headers [X-Token: hunter2] then alert\n\
         if failed port 2 protocol mysql username \"u\" password \"hunter2\" then alert\n\
         if failed port 3 protocol radius secret hunter2 then alert\n\
         if failed port 4 send \"auth hunter2\\n\" then alert\n",
    );
    let said = format!("{} {:?} {:?}", imported.yaml, imported.notes, imported.secrets);
    assert!(!said.contains("hunter2"), "{said}");
    let names: Vec<&str> = imported.secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["MONIT_MAIL_PASSWORD", "MONIT_H_PASSWORD", "MONIT_H_PASSWORD_2", "MONIT_H_PASSWORD_3"]);
}

/// Pieces of statements, good and bad.
fn pieces() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "set",
        "check",
        "if",
        "failed",
        "then",
        "alert",
        "restart",
        "process",
        "file",
        "host",
        "system",
        "program",
        "network",
        "filesystem",
        "with",
        "pidfile",
        "path",
        "address",
        "port",
        "protocol",
        "http",
        "mysql",
        "80",
        "5",
        "0",
        "99999999999",
        "cycles",
        "times",
        "within",
        "for",
        "cpu",
        "memory",
        ">",
        "<",
        "=",
        "!=",
        "%",
        "MB",
        "60%",
        "200.0",
        "0.0001",
        "1e9",
        "\"",
        "'",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        "exec",
        "\"/bin/x 'y z'\"",
        "/a/b",
        "../c",
        "x",
        "é\u{202e}\u{0}",
        "match",
        "content",
        "\"a\\\\\"b\"",
        "\"[\"",
        "changed",
        "checksum",
        "permission",
        "9",
        "755",
        "uid",
        "0",
        "not",
        "exist",
        "every",
        "group",
        "depends",
        "on",
        "mode",
        "passive",
        "total",
        "upload",
        "last",
        "hour",
        "daemon",
        "mailserver",
        "username",
        "password",
        "hunter2",
        "using",
        "ssl",
        "mail-format",
        "from:",
        "allow",
        "a:hunter2",
        "include",
        "url",
        "http://u:hunter2@h/",
        "certificate",
        "valid",
        "days",
        "status",
        "send",
        "expect",
        "responsetime",
        "ms",
        "loadavg",
        "5min",
        "per",
        "core",
        "else",
        "succeeded",
        "ping",
        "count",
        "\n",
        "\n",
        "\n",
        "#",
        "start",
        "program",
        "stop",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.join(" "))
}

/// Statements that are good but for their values.
fn statements() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z/._$-]{1,12}",
        "[ -~]{0,20}".prop_map(|s| format!("\"{}\"", s.replace('"', "\\\""))),
        "\\PC{0,10}".prop_map(|s| format!("'{}'", s.replace('\'', ""))),
        Just("/run/x".to_owned()),
        Just(format!("\"{}\"", "x".repeat(5000))),
    ];
    let number = prop_oneof![0u64..200, Just(0), Just(u64::MAX), 0u64..100_000_000_000];
    let unit =
        prop::sample::select(vec!["", "%", " MB", " GB", "TB", " kb/s", " minutes", " ms", " operations/s", " days"]);
    let op = prop::sample::select(vec![">", "<", "=", "!=", ">=", "<=", "is greater than"]);
    let what = prop::sample::select(vec![
        "cpu",
        "total cpu",
        "memory",
        "totalmem",
        "children",
        "threads",
        "filedescriptors",
        "uptime",
        "loadavg(5min) per core",
        "swap",
        "space usage",
        "space free",
        "inode usage",
        "inodes free",
        "read rate",
        "disk write",
        "size",
        "timestamp",
        "status",
        "saturation",
        "upload",
        "cpu(wait)",
        "total downloaded",
    ]);
    let hold = (0u32..70, 0u32..70, 0..3).prop_map(|(n, of, form)| match form {
        0 => String::new(),
        1 => format!("for {n} cycles"),
        _ => format!("{n} times within {of} cycles"),
    });
    let action = prop_oneof![
        prop::sample::select(vec!["alert", "restart", "stop", "start", "unmonitor"]).prop_map(str::to_owned),
        text.clone().prop_map(|t| format!("exec {t} as uid {t}")),
    ];
    let head = prop::sample::select(vec![
        "check process {} with pidfile {}",
        "check process {} matching {}",
        "check file {} with path {}",
        "check host {} with address {}",
        "check filesystem {} with path {}",
        "check network {} with interface {}",
        "check program {} with path {}",
        "check system {}",
        "check directory {} with path {}",
        "start program = {} as uid {}",
        "stop program = {}",
        "restart program = {} timeout 5 seconds",
        "set daemon {n}",
        "set mailserver {} port {n} username {} password hunter2",
        "set alert {}",
        "set alert a@b.org on { nonexist }",
        "set mail-format { from: {} }",
        "group {}",
        "depends on {}, x",
        "alert {} with reminder on 5 cycles",
        "every {n} cycles",
        "every {}",
        "mode manual",
        "if {n} restarts within {n} cycles then timeout",
        "if failed permission {n} then {action}",
        "if failed uid {} then {action}",
        "if match {} then {action}",
        "if content != {} then {action}",
        "if failed port {n} protocol http request {} content = {} status {op} {n} then {action}",
        "if failed port {n} send {} expect {} send {} expect {} {hold} then {action}",
        "if failed unixsocket {} protocol redis {hold} then {action}",
        "if failed url http://{}/{} then {action}",
        "if failed host {} port 443 using ssl certificate valid > {n} days responsetime > {n} ms then {action}",
        "if failed ping count {n} responsetime {op} {n} ms then {action}",
        "if does not exist {hold} then {action}",
        "if changed checksum {hold} then {action}",
        "if changed pid then {action}",
        "if link down {hold} then {action}",
        "if {what} {op} {n}{unit} {hold} then {action}",
        "if {what} {op} {n}{unit} {hold} then {action}",
        "if {what} {op} {n}{unit} {hold} then {action}",
        "if total uploaded > {n} GB in last {n} hours then alert",
        "set limits { networkTimeout: {n} s, programTimeout: {n} s, startTimeout: {n} s }",
        "set ssl { verify: enable }",
    ]);
    let statement =
        (head, prop::collection::vec(text, 5), prop::collection::vec(number, 3), unit, op, what, hold, action);
    let statement = statement.prop_map(|(head, texts, numbers, unit, op, what, hold, action)| {
        let mut out = head.to_owned();
        for (key, value) in [("{unit}", unit), ("{op}", op), ("{what}", what), ("{hold}", &hold), ("{action}", &action)]
        {
            out = out.replace(key, value);
        }
        for number in numbers {
            out = out.replacen("{n}", &number.to_string(), 1);
        }
        for text in texts {
            out = out.replacen("{}", &text, 1);
        }
        out
    });
    prop::collection::vec(statement, 0..25).prop_map(|all| format!("check process x pidfile /x\n{}\n", all.join("\n")))
}

proptest! {
    #[test]
    fn any_text_becomes_rules_that_validate(text in any::<String>()) {
        assert_valid(&text);
    }

    #[test]
    fn any_bytes_become_rules_that_validate(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        assert_valid(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_mixture_of_words_becomes_rules_that_validate(text in pieces()) {
        assert_valid(&text);
    }

    #[test]
    fn any_mixture_of_statements_becomes_rules_that_validate(text in statements()) {
        let imported = assert_valid(&text);
        prop_assert!(!imported.yaml.contains("hunter2"), "{}", imported.yaml);
        // Each line that is a statement by itself is one that was carried over or listed.
        if !text.contains(['"', '\'', '#']) {
            prop_assert!(imported.statements >= text.lines().filter(|line| !line.is_empty()).count());
        }
    }
}
