//! The README is true: its rules validate, its commands succeed, its links lead somewhere. Its first service is also
//! what `tests/live/nginx.rs` runs.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use support::{Mailbox, Minder, Nginx, Receiver, process_exists, readme, wait_for};

const SOON: Duration = Duration::from_secs(15);

/// What stands in the README for a place of the reader's, and where that is in the test.
struct Places(Vec<(&'static str, String)>);

impl Places {
    fn put(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_rule_file_in_it_validates() {
    let mut minder = Minder::new();
    minder.env = vec![("CHAT_URL", "https://chat.example.org/hook".to_owned())];
    let files: Vec<_> = readme::blocks().into_iter().filter(|block| block.language == "yaml").collect();
    assert!(files.len() >= 2, "the README shows rules");
    for block in files {
        assert!(block.text.starts_with("version: 1\n"), "README.md:{}: a whole file can be copied", block.line);
        let file = minder.dir().join("readme.yaml");
        std::fs::write(&file, &block.text).unwrap();
        let output = minder.run(&["validate", file.to_str().unwrap()]);
        assert!(output.status.success(), "README.md:{}:\n{}", block.line, shown(&output));
    }
}

/// Links, but those to the web and within the page itself.
#[test]
fn every_file_that_it_links_exists() {
    let text = readme::text();
    let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.iter().any(|link| link.ends_with(".png")), "it has a picture");
    for link in links {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        if link.contains("://") {
            continue;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(if file.is_empty() { "README.md" } else { file });
        assert!(path.exists(), "{link} does not exist");
        if !heading.is_empty() {
            let text = std::fs::read_to_string(path).unwrap();
            let name = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            assert!(text.lines().any(|line| line.starts_with('#') && name(line) == heading), "no heading {link}");
        }
    }
}

/// What it shows of an explanation is what its own rules for nginx are explained by.
#[test]
fn what_it_shows_of_an_explanation_is_printed() {
    let mut minder = Minder::new();
    minder.env = vec![("CHAT_URL", "https://chat.example.org/hook".to_owned())];
    let file = minder.dir().join("nginx.yaml");
    std::fs::write(&file, readme::file("nginx.yaml")).unwrap();
    let output = shown(&minder.run(&["explain", "nginx", "--rules", file.to_str().unwrap()]));
    let explains = |block: &readme::Block| block.language == "text" && block.text.starts_with("# What is bad");
    let blocks: Vec<_> = readme::blocks().into_iter().filter(explains).collect();
    assert!(!blocks.is_empty());
    for line in blocks.iter().flat_map(|block| block.text.lines()).filter(|line| *line != "..") {
        assert!(output.lines().any(|said| said == line), "{line:?} is not in\n{output}");
    }
}

/// A reader's way through it: nginx, the rules, minder, and every command of its blocks, in order, and of its table.
#[test]
fn every_command_in_it_succeeds() {
    let (mailbox, receiver) = (Mailbox::start(), Receiver::start());
    let mut minder = Minder::new();
    let nginx = Nginx::new(minder.dir());
    nginx.start(&minder.init);
    let pidfile = nginx.pidfile().to_str().unwrap().to_owned();
    minder.write(&readme::nginx_rules(&nginx, &mailbox.address()));
    minder.env = vec![("CHAT_URL", receiver.url())];
    let places = Places(vec![
        ("/etc/minder", minder.rules().display().to_string()),
        ("/run/nginx.pid", pidfile),
        ("/var/lib/minder", minder.state().display().to_string()),
        ("/run/minder/minder.sock", minder.socket.display().to_string()),
        ("127.0.0.1:8900", format!("127.0.0.1:{}", minder.port)),
    ]);

    let mut ran = BTreeSet::new();
    for block in readme::blocks().iter().filter(|block| block.language == "sh") {
        for line in block.text.lines() {
            let line = places.put(line.split(" #").next().unwrap().trim());
            let place = || format!("README.md:{}: {line}", block.line);
            match line.split(' ').next().unwrap() {
                // Building is what has made this test.
                "cargo" | "install" => {}
                "export" => assert!(line.starts_with("export CHAT_URL="), "{}", place()),
                "tests/run" => assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&line).exists()),
                "minder" if line.starts_with("minder run ") => minder.start(),
                "kill" => {
                    let old = wait_for(|| "nginx is watched".into(), SOON, || minder.watched("nginx"));
                    assert!(minder.ok_in_shell(&line), "{}", place());
                    minder.wait_replaced("nginx", old, SOON);
                    // What it says is asked for next.
                    minder.wait_status("nginx", "ok", SOON);
                }
                "minder" | "sqlite3" | "curl" => {
                    assert!(minder.ok_in_shell(&line), "{}", place());
                    ran.insert(line.split(' ').nth(1).unwrap().to_owned());
                }
                other => panic!("{}: what is `{other}`?", place()),
            }
        }
    }
    assert!(ran.contains("status") && ran.contains("history"), "{ran:?}");

    let text = readme::text();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `minder ")).collect();
    let mut commands = BTreeSet::new();
    for row in &rows {
        let first = row.trim_start_matches("| ").split(" |").next().unwrap();
        for (i, span) in first.split('`').skip(1).step_by(2).enumerate() {
            // `minder start`, `stop`, `restart SERVICE`: the first says what all of them are.
            let span = if i == 0 { span.to_owned() } else { format!("minder {}", span.trim_start_matches("minder ")) };
            commands.insert(span.split(' ').nth(1).unwrap().to_owned());
            try_command(&minder, &places, &span);
        }
    }
    let said = String::from_utf8(minder.command(&["--help"]).output().unwrap().stdout).unwrap();
    let all = said.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is said of a command may go on in lines of its own, further in.
    let names = all.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let all: BTreeSet<String> = names.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    assert_eq!(&all - &commands, BTreeSet::from(["help".to_owned()]), "the table names every command");
    // Both of its notifiers work.
    minder.ok(&["notify-test", "chat"]);
    mailbox.wait(SOON, &["nginx"]);
    receiver.wait(SOON, &["minder.resolved"]);
    assert!(process_exists(minder.pid()));
}

/// Runs a command of the table, with what stands for the reader's own words replaced.
fn try_command(minder: &Minder, places: &Places, span: &str) {
    let words: Vec<String> = places.put(span).split(' ').map(|word| word.trim_matches(['[', ']']).to_owned()).collect();
    let stands_for = |word| match word {
        "NAME" => "ops",
        "ID" => "1",
        "NUMBER" => "--all",
        "ROLE" => "viewer",
        // The latest of a service.
        "INCIDENT" => "nginx",
        "./deploy.sh" => "true",
        word => word,
    };
    let mut words: Vec<&str> = words.iter().map(|word| stands_for(word.as_str())).collect();
    let rules = minder.rules();
    let rules = rules.to_str().unwrap();
    match words[1] {
        "run" => {
            // A second one beside the first, with a state of its own: it ends as soon as it is told to.
            let (state, socket) = (minder.dir().join("second"), minder.dir().join("second.sock"));
            let plan = minder.dir().join("second.yaml");
            let page =
                "version: 1\ndashboard: { listen: \"127.0.0.1:0\" }\nservices: { root: { checks: [file: /] } }\n";
            std::fs::write(&plan, page).unwrap();
            words.push(plan.to_str().unwrap());
            let mut command = minder.command(&words[1..]);
            command.arg("--state").arg(state).arg("--socket").arg(&socket);
            let pid = minder.init.spawn(&command, &minder.dir().join("second.log"));
            let answers =
                |command: &mut Command| command.arg("--socket").arg(&socket).output().unwrap().status.success();
            wait_for(|| format!("`{span}` answers"), SOON, || answers(&mut minder.command(&["status"])).then_some(()));
            support::signal(pid, "TERM");
            support::wait_until("it ends", SOON, || !process_exists(pid));
            return;
        }
        "validate" => words.push(rules),
        "test" => {
            let scenario = format!(
                "version: 1\nrules: {rules}\nscenarios: {{ a crash is mended: {{ happens: {{ 1m: killed by SEGV }}, \
                 expect: [{{ at: 2m, did: [restart] }}] }} }}\n"
            );
            let file = minder.dir().join("scenario.yaml");
            std::fs::write(&file, scenario).unwrap();
            return drop(minder.ok(&["test", file.to_str().unwrap()]));
        }
        "backtest" => words.iter_mut().filter(|word| **word == "RULES").for_each(|word| *word = rules),
        "import" => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/monit/nginx-php.monitrc");
            let written = minder.dir().join("monit.yaml");
            return drop(minder.ok(&[
                "import",
                "monit",
                file.to_str().unwrap(),
                "--force",
                "-o",
                written.to_str().unwrap(),
            ]));
        }
        // Nothing is wrong here that somebody could look after.
        "ack" | "unack" => {
            words.retain(|word| *word != "SERVICE");
            words.push("nginx");
            let output = minder.run(&words[1..]);
            assert!(String::from_utf8_lossy(&output.stderr).contains("nginx has no open incident"), "{output:?}");
            return;
        }
        "run-job" => return drop(minder.ok(&["run-job", "nginx", "--", "true"])),
        "install" => words.extend(["--to", rules]),
        "init" => {
            let folder = minder.dir().join("init");
            return drop(minder.ok(&["init", folder.to_str().unwrap()]));
        }
        "man" => {
            let pages = minder.dir().join("man");
            return drop(minder.ok(&["man", pages.to_str().unwrap()]));
        }
        "explain" if words.contains(&"--message") => {
            return support::wait_until("the crash is told", SOON, || minder.run(&words[1..]).status.success());
        }
        "explain" => words.extend(["--rules", rules]),
        "env" => {
            let file = minder.dir().join("heart.yaml");
            std::fs::write(&file, "version: 1\nservices: { nginx: { checks: [heartbeat: 20s] } }\n").unwrap();
            return drop(minder.ok(&["env", "nginx", "--rules", file.to_str().unwrap()]));
        }
        "passwd" => return assert!(minder.ok_in_shell(&format!("echo 'correct horse' | {}", words.join(" ")))),
        "start" | "stop" | "restart" | "pause" | "resume" if words.len() == 2 => words.push("nginx"),
        _ => {}
    }
    let words: Vec<&str> = words.iter().map(|word| if *word == "SERVICE" { "nginx" } else { word }).collect();
    minder.ok(&words[1..]);
}
