use super::super::testing::{World, question};
use super::*;
use crate::model::controls::Argv;
use crate::model::{Dimension, Kind, Question};
use crate::sys::testing::{kill, lives, until};
use rustix::process::Signal;

const PLUGINS: &str = "/usr/lib/nagios/plugins";

fn plugin(keys: &str, named: &[(&str, Option<Dimension>)]) -> Question {
    let mut asked = question(1, "program", keys, &[]);
    let Kind::Program(program) = Arc::make_mut(&mut asked.kind) else { panic!() };
    let named: Vec<_> = named.iter().map(|(name, dimension)| ((*name).to_owned(), *dimension)).collect();
    program.declare(&named);
    Question { wanted: MetricSet::ALL, ..asked }
}

#[track_caller]
fn seen(asked: Question, metrics: &[(&str, Reading)], note: &str) -> Arc<Sample> {
    let kind = Arc::clone(&asked.kind);
    let sample = World::new().ask(asked);
    for (name, reading) in metrics {
        assert_eq!(sample.reading(kind.metric(name).unwrap()), reading, "{name}: {sample:?}");
    }
    assert!(sample.note.as_deref().unwrap_or_default().starts_with(note), "{sample:?}");
    assert_eq!(note.is_empty(), sample.note.is_none(), "{sample:?}");
    sample
}

fn asked(keys: &str) -> Question {
    plugin(keys, &[])
}

#[test]
fn the_exit_code_decides() {
    let said = |text: &str| Reading::Text(text.into());
    let well = [("failed", Reading::Flag(false)), ("exit", Reading::Number(0.0)), ("output", said("fine\n"))];
    let sample = seen(asked("shell: echo fine"), &well, "");
    assert!(sample.reading(DURATION).number().unwrap() > 0.0);
    let bad =
        [("failed", Reading::Flag(true)), ("exit", Reading::Number(3.0)), ("output", said("a\n\nb\u{fffd}[2J\n"))];
    seen(asked(r#"shell: "echo a; echo; printf 'b\\033[2J\\n'; exit 3""#), &bad, "exited with code 3: b\u{fffd}[2J");
    let killed = [("failed", Reading::Flag(true)), ("exit", Reading::Absent)];
    seen(asked("shell: kill -SEGV $$"), &killed, "killed by SIGSEGV");
}

#[test]
fn what_can_never_be_run_has_failed() {
    let failed = [("failed", Reading::Flag(true)), ("exit", Reading::Unknown)];
    seen(asked("command: [/no/such/program]"), &failed, "it cannot be run: /no/such/program: no such file");
    seen(asked("command: [/etc/passwd]"), &failed, "it cannot be run: /etc/passwd: permission denied");
    seen(asked("{ shell: 'true', user: no-such-user }"), &failed, "there is no user `no-such-user`");
    let lacking = |step, errno| SpawnError { step, about: "x".into(), error: io::Error::from_raw_os_error(errno) };
    assert!(matches!(not_started(&lacking(Step::Clone, libc::EAGAIN)), Trouble::Ours(_)));
    assert!(matches!(not_started(&lacking(Step::Exec, libc::ENOMEM)), Trouble::Ours(_)));
}

/// The `./check` of a service whose directory is a user's: root does not run it.
#[test]
fn what_others_could_have_put_there_is_not_run_unseen() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("check");
    std::fs::write(&file, "#!/bin/sh\necho run\n").unwrap();
    let look = |mode: u32, note: &str| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let argv = Argv(vec![file.to_str().unwrap().to_owned()]);
        let program = Program::in_directory(argv, dir.path().to_str().unwrap().parse().unwrap());
        let mut asked = asked("shell: ':'");
        asked.kind = Arc::new(Kind::Program(program));
        seen(asked, &[("failed", Reading::Flag(!note.is_empty()))], note);
    };
    look(0o755, "");
    look(0o757, &format!("it is not run as {}: {} may be written by everybody", User::current().name, file.display()));
}

#[test]
fn at_the_deadline_all_of_it_is_killed_and_what_it_said_is_kept() {
    let mut asked = asked("shell: 'echo $$; sleep 4711 & echo $!; wait'");
    asked.timeout = Duration::from_millis(300);
    let sample = seen(asked, &[("failed", Reading::Flag(true))], "killed, because it had not ended after 300 ms: ");
    let Reading::Text(output) = sample.reading(OUTPUT) else { panic!() };
    let pids: Vec<u32> = output.lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    until("all are dead", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_grandchild_that_holds_the_output_open_is_not_waited_for() {
    let sample = seen(asked("shell: 'setsid sleep 4711 & echo $!'"), &[("failed", Reading::Flag(false))], "");
    assert!(sample.took < Duration::from_secs(4), "{sample:?}");
    let Reading::Text(output) = sample.reading(OUTPUT) else { panic!() };
    kill(output.trim().parse().unwrap(), Signal::KILL);
}

#[test]
fn it_runs_as_its_user_in_its_own_environment() {
    let keys = "{ shell: 'echo $(id -un) $HOME $GREETING', user: nobody, environment: { GREETING: hello } }";
    let said = Reading::Text("nobody /nonexistent hello\n".into());
    seen(asked(keys), &[("output", said)], "");
}

#[test]
fn secrets_that_it_repeats_are_not_shown() {
    let mut asked = asked("{ shell: 'echo it is $TOKEN; exit 1', environment: { TOKEN: { env: X } } }");
    let Kind::Program(program) = Arc::make_mut(&mut asked.kind) else { panic!() };
    program.givens(&mut |given| given.resolve("hunter22-long".to_owned()));
    seen(asked, &[("output", Reading::Text("it is [secret]\n".into()))], "exited with code 1: it is [secret]");
    // The end of a long output begins in the middle of one.
    let secrets = ["hunter22-long".to_owned()];
    let mut output = b"22-long".to_vec();
    output.resize(OUTPUT_KEPT, b'x');
    let shown = shown(&output, &secrets);
    assert!(!shown.contains("22-long") && shown.len() > OUTPUT_KEPT - 20);
}

#[test]
fn a_plugins_exit_code_is_its_word() {
    let flags = |failed, warning, critical| {
        [("failed", failed), ("warning", warning), ("critical", critical)]
            .map(|(name, flag): (_, Option<bool>)| (name, flag.map_or(Reading::Unknown, Reading::Flag)))
    };
    for (code, [f, w, c]) in [
        (0, [Some(false), Some(false), Some(false)]),
        (1, [Some(true), Some(true), Some(false)]),
        (2, [Some(true), Some(false), Some(true)]),
        (3, [None, None, None]),
    ] {
        let keys = format!("{{ shell: 'echo \"IT - is so | a=1\"; exit {code}', nagios: true }}");
        seen(asked(&keys), &flags(f, w, c), "IT - is so");
    }
    let critical = flags(Some(true), Some(false), Some(true));
    seen(asked("{ shell: 'exit 127', nagios: true }"), &critical, "exited with code 127");
    seen(asked("{ command: [/none], nagios: true }"), &critical, "it cannot be run");
    let mut slow = asked("{ shell: 'exec sleep 4711', nagios: true }");
    slow.timeout = Duration::from_millis(100);
    seen(slow, &critical, "killed, because");
}

#[test]
fn performance_values_are_metrics() {
    let keys = "{ shell: \"echo 'OK|time=25ms size=5B;;;0;10 odd=3s'\", nagios: true }";
    let named = [
        ("any", None),
        ("odd", Some(Dimension::Bytes)),
        ("size", Some(Dimension::Bytes)),
        ("time", Some(Dimension::Time)),
    ];
    let metrics = [
        ("perf.time", Reading::Number(0.025)),
        ("perf.size", Reading::Part { value: 5.0, whole: 10.0 }),
        ("perf.odd", Reading::Unknown),
        ("perf.any", Reading::Unknown),
    ];
    seen(
        plugin(keys, &named),
        &metrics,
        "OK; the plugin does not say `perf.any`; `perf.odd` is a time, and not a size",
    );
}

#[test]
fn debians_plugins_are_understood() {
    let keys = |command: &str| format!("{{ command: [{PLUGINS}/{command}], nagios: true }}");
    let named = [("_", Some(Dimension::Percent))];
    let sample = seen(plugin(&keys("check_disk, -w, '0%', -c, '0%', -p, /"), &named), &[], "DISK OK");
    let used = sample.reading(MetricId(6)).number().unwrap();
    assert!((0.1..100.0).contains(&used), "{sample:?}");

    let named = [("load1", Some(Dimension::Count))];
    let sample = seen(plugin(&keys("check_load, -w, '9999,9999,9999', -c, '9999,9999,9999'"), &named), &[], "LOAD OK");
    assert!(sample.reading(MetricId(6)).number().is_some(), "{sample:?}");

    let named = [("procs", Some(Dimension::Count))];
    let warning = [("warning", Reading::Flag(true)), ("failed", Reading::Flag(true))];
    let sample = seen(plugin(&keys("check_procs, -w, '0:0', -c, '0:99999'"), &named), &warning, "PROCS WARNING");
    assert!(sample.reading(MetricId(6)).number().unwrap() > 1.0, "{sample:?}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = [("time", Some(Dimension::Time))];
    let sample = seen(plugin(&keys(&format!("check_tcp, -H, 127.0.0.1, -p, '{port}'")), &named), &[], "TCP OK");
    assert!((0.0..1.0).contains(&sample.reading(MetricId(6)).number().unwrap()), "{sample:?}");
    drop(listener);
    let refused = [("critical", Reading::Flag(true))];
    seen(plugin(&keys(&format!("check_tcp, -H, 127.0.0.1, -p, '{port}'")), &[]), &refused, "connect to address");
    let unknown = [("failed", Reading::Unknown), ("exit", Reading::Number(3.0))];
    seen(plugin(&keys("check_disk"), &[]), &unknown, "check_disk: Could not parse arguments");
}
