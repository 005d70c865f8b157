//! How it died: from the kernel, from the service's own script, with the last lines of its log.

use super::support::{Mailbox, Minder, Receiver, Request, Runsv, Supervised, process_exists, signal, tool, wait_until};
use super::{SOON, is_root};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A service that runsv starts, and whose deaths are told at once: nobody restarts it.
struct Bench {
    minder: Minder,
    receiver: Receiver,
    runsv: Runsv,
}

impl Bench {
    /// The script runs in the service's directory; `more` are further keys of the service.
    fn start(script: &str, finish: Option<&str>, more: &str) -> Bench {
        let (mut minder, receiver) = (Minder::new(), Receiver::start());
        let service = minder.dir().join("web");
        std::fs::create_dir(&service).unwrap();
        if let Some(finish) = finish {
            executable(&service.join("finish"), &format!("#!/bin/sh\n{finish}\n"));
        }
        // Not runsv's own: while the finish script runs, that has the script's pid.
        let script = format!("echo $$ >pid\n{script}");
        let runsv = Runsv::start(minder.dir(), "web", &script);
        minder.write(&format!(
            r#"
notifiers:
  chat: {{ webhook: {{ url: "{hook}" }} }}
services:
  web:
    notify: [chat]
    settle: 500ms
    checks:
      - process: {{ pidfile: {dir}/web/pid }}
        every: 500ms
        keep: [exit.code, exit.signal, exit.memory]
{more}
"#,
            hook = receiver.url(),
            dir = minder.dir().display(),
        ));
        minder.start();
        wait_until("minder watches it", SOON, || {
            minder.watched("web").is_some() && minder.watched("web") == runsv.pid()
        });
        Bench { minder, receiver, runsv }
    }

    /// The message about its death.
    fn told(&self) -> Request {
        self.receiver.wait(SOON, &["minder.firing"])
    }

    /// How it died, in the message and its title, in the status and in the history.
    #[track_caller]
    fn died(&self, pid: u32, how: &str, in_short: &str) {
        let death = format!("pid {pid} {how}");
        let event = self.told().json();
        assert_eq!(event["data"]["death"], death, "{event:#}");
        assert_eq!(event["data"]["title"], format!("web died ({in_short})"), "{event:#}");
        wait_until("the status says so", SOON, || self.minder.service("web").unwrap()["last_exit"] == how);
        assert!(self.minder.history().contains(&death), "{}", self.minder.history());
    }
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// `once`: runsv does not start it again.
const WAIT: &str = "until test -e ../go; do sleep 0.02; done";

impl Bench {
    /// Lets the script go on to its end, for good.
    fn go(&self) -> u32 {
        self.runsv.sv("once");
        let pid = self.runsv.pid().unwrap();
        std::fs::write(self.minder.dir().join("go"), "").unwrap();
        pid
    }
}

#[test]
fn an_exit_code_is_told_with_the_last_lines_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("web.log");
    let script = format!("{WAIT}\necho 'no route to the database' >>{}\nexit 3", log.display());
    let bench = Bench::start(&script, None, &format!("    log: {}", log.display()));
    let pid = bench.go();
    bench.died(pid, "exited with code 3", "exit code 3");
    let event = bench.told().json();
    assert_eq!(event["data"]["log"], serde_json::json!(["no route to the database"]), "{event:#}");
}

#[test]
fn a_core_is_told() {
    if std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().starts_with('|') {
        return eprintln!("not tried: cores go to a program here");
    }
    let bench = Bench::start(&format!("ulimit -c unlimited\n{WAIT}\nkill -SEGV $$"), None, "");
    let pid = bench.go();
    bench.died(pid, "killed by SIGSEGV, core dumped", "SIGSEGV, core dumped");
}

/// A control group of the test's own, with a limit of memory.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Group> {
        let all = Path::new("/sys/fs/cgroup");
        let unified = all.join("cgroup.controllers").exists();
        if unified {
            std::fs::write(all.join("cgroup.subtree_control"), "+memory").ok()?;
        }
        let (top, limit) = if unified { ("", "memory.max") } else { ("memory", "memory.limit_in_bytes") };
        let group = Group(all.join(top).join(name));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join(limit), (32 << 20).to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..200 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn who_was_killed_for_memory_is_told() {
    if !is_root() {
        return;
    }
    let Some(group) = Group::new(&format!("minder-test-died-{}", std::process::id())) else {
        return eprintln!("not tried: no control group with a limit of memory can be made here");
    };
    let eat = format!("exec {} -c 'x = b\"x\" * (256 << 20)'", tool("venv/bin/python").display());
    let script = format!("echo $$ >{}/cgroup.procs\n{WAIT}\n{eat}", group.0.display());
    let bench = Bench::start(&script, None, "    rules: [process.down -> notify, process.exit.memory -> notify]");
    let pid = bench.go();
    bench.died(pid, "killed for want of memory (SIGKILL)", "killed for want of memory");
    let rules = || bench.minder.service("web").unwrap()["rules"].to_string();
    wait_until("the rule about it fires", SOON, || rules().contains("exit.memory"));
    wait_until("it is in the history", SOON, || bench.minder.history().contains("process.exit.memory"));
    drop(bench);
}

#[test]
fn killed_by_a_person_is_not_killed_for_memory() {
    let bench = Bench::start("exec sleep 100000", None, "");
    let pid = bench.go();
    signal(pid, "KILL");
    bench.died(pid, "killed by SIGKILL", "SIGKILL");
}

/// `minder report`, as this user; what it prints. It must succeed, whatever it says.
fn report(minder: &Minder, user: Option<&str>, service: &str) -> String {
    let report = minder.command(&["report", service, "3", "0"]);
    let mut command = Command::new(report.get_program());
    if let Some(user) = user {
        command = Command::new("chpst");
        command.args(["-u", user]).arg(report.get_program());
    }
    command.args(report.get_args()).env("MINDER_SOCKET", &minder.socket).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// A process of another user, watched by name.
struct Nobodys(Child);

impl Drop for Nobodys {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn everybody_may_report_the_end_of_what_is_theirs_and_of_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let mut minder = Minder::new();
    // Others must be able to come to the socket, and to the program.
    std::fs::set_permissions(minder.dir(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let start = |seconds: &str, uid: u32| Nobodys(Command::new("sleep").arg(seconds).uid(uid).spawn().unwrap());
    let (theirs, ours) = (start("98765", 65534), start("98764", 0));
    minder.write(
        "services:\n  theirs: { checks: [process: { match: '^sleep 98765$' }] }\n  \
         ours: { checks: [process: { match: '^sleep 98764$' }] }\n",
    );
    minder.start();
    let watched = || minder.watched("theirs") == Some(theirs.0.id()) && minder.watched("ours") == Some(ours.0.id());
    wait_until("both are watched", SOON, watched);
    let program = minder.dir().join("minder");
    std::fs::copy(minder.command(&[]).get_program(), &program).unwrap();
    let as_nobody = |service: &str| {
        let mut command = Command::new(&program);
        command
            .args(["report", service, "-1", "139", "more"])
            .env("MINDER_SOCKET", &minder.socket)
            .uid(65534)
            .gid(65534);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(as_nobody("theirs"), "");
    for other in ["ours", "none"] {
        let refused = as_nobody(other);
        assert!(refused.contains("has a process of yours"), "{refused}");
    }
    assert_eq!(report(&minder, None, "ours"), "", "root may speak of all");
    let unknown = report(&minder, None, "none");
    assert!(unknown.contains("No service “none”"), "{unknown}");
    // That socket takes nothing else, and the other one nothing of others.
    let mut curl = Command::new("curl");
    let reports = minder.socket.with_file_name("report.sock");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "http://minder/api/v1/status", "--unix-socket"]);
    curl.arg(&reports).uid(65534);
    assert_eq!(String::from_utf8_lossy(&curl.output().unwrap().stdout), "404");
    let mut curl = Command::new("curl");
    curl.args(["-s", "http://minder/api/v1/status", "--unix-socket"]).arg(&minder.socket).uid(65534);
    assert!(!curl.output().unwrap().status.success());
    // minder is not there: no script hangs or fails for that.
    minder.signal("TERM");
    minder.wait_end(SOON);
    assert!(!reports.exists());
    assert!(report(&minder, None, "ours").contains("minder is not running here"));
}

#[test]
fn a_real_finish_script_reports() {
    let dir = tempfile::tempdir().unwrap();
    let (said, minder) = (dir.path().join("said"), env!("CARGO_BIN_EXE_minder"));
    let finish = format!(
        "MINDER_SOCKET=$PWD/../minder.sock {minder} report web \"$1\" \"$2\" 2>{said}; echo $? \"$1\" \"$2\" >>{said}",
        said = said.display()
    );
    let bench = Bench::start(&format!("{WAIT}\nexit 7"), Some(&finish), "");
    let pid = bench.go();
    bench.died(pid, "exited with code 7", "exit code 7");
    wait_until("the script has run", SOON, || std::fs::read_to_string(&said).is_ok_and(|text| text == "0 7 0\n"));
}

/// A logger with its directory, fed by the test.
struct Logger(Child);

impl Logger {
    fn start(argv: &[&str]) -> Logger {
        Logger(Command::new(argv[0]).args(&argv[1..]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }
    fn write(&mut self, text: &str) {
        use std::io::Write;
        self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        assert!(!process_exists(self.0.id()));
    }
}

#[test]
fn the_directories_of_real_loggers_are_read() {
    for logger in ["svlogd", "multilog"] {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main");
        std::fs::create_dir(&main).unwrap();
        let path = main.to_str().unwrap();
        // Each puts its file aside after some thousand bytes.
        let mut logger = match logger {
            "svlogd" => {
                std::fs::write(main.join("config"), "s5000\nn5\n").unwrap();
                Logger::start(&["svlogd", "-t", path])
            }
            _ => Logger::start(&["multilog", "t", "s5000", "n5", path]),
        };
        let current = main.join("current");
        wait_until("it is there", SOON, || current.exists());
        let count = |name: &Path| std::fs::read_to_string(name).map_or(0, |text| text.lines().count());
        let put_aside = || {
            let names =
                std::fs::read_dir(&main).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.starts_with('@')).count()
        };
        // Until it has just begun with another file.
        let mut lines = 0;
        wait_until("it has put a file aside", SOON, || {
            logger.write(&format!("line {lines}\n"));
            lines += 1;
            std::thread::sleep(Duration::from_millis(2));
            put_aside() > 0
        });
        wait_until("all is written", SOON, || count(&current) < 15);
        let bench = Bench::start(&format!("{WAIT}\nexit 3"), None, &format!("    log: {path}"));
        bench.go();
        let event = bench.told().json();
        let shown: Vec<&str> = event["data"]["log"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
        assert_eq!(shown.len(), 20, "{event:#}");
        let (last, year) = (shown[19], &shown[19][..4]);
        assert!(last.ends_with(&format!(" line {}", lines - 1)), "{shown:?}");
        assert!(year.parse::<u32>().is_ok_and(|year| year > 2020), "a time is shown in place of the label: {last}");
    }
}

#[test]
fn a_mail_has_the_cause_in_its_subject_and_the_last_lines_that_svlogd_kept() {
    let (mut minder, mailbox) = (Minder::new(), Mailbox::start());
    let log = minder.dir().join("web/log");
    std::fs::create_dir_all(log.join("main")).unwrap();
    executable(&log.join("run"), "#!/bin/sh\nexec svlogd -tt ./main\n");
    let runsv =
        Runsv::start(minder.dir(), "web", &format!("echo $$ >pid\n{WAIT}\necho 'no route to the database'\nexit 3"));
    minder.write(&format!(
        "mail: {{ server: \"{mail}\", from: minder@example.org, tls: none }}\n\
         notifiers:\n  ops: {{ email: {{ to: [ops@example.org] }}, group: false }}\n\
         services:\n  web:\n    notify: [ops]\n    settle: 500ms\n    log: {log}/main\n\
         \x20   checks:\n      - process: {{ pidfile: {dir}/web/pid }}\n        every: 500ms\n",
        mail = mailbox.address(),
        log = log.display(),
        dir = minder.dir().display(),
    ));
    minder.start();
    wait_until("minder watches it", SOON, || minder.watched("web").is_some() && minder.watched("web") == runsv.pid());
    runsv.sv("once");
    let pid = runsv.pid().unwrap();
    std::fs::write(minder.dir().join("go"), "").unwrap();
    let death = format!("pid {pid} exited with code 3");
    let mail = mailbox.wait(SOON, &["CRITICAL web on ", "died (exit code 3)", &death]);
    let (_, lines) = mail.split_once("Last lines of its log").unwrap_or_else(|| panic!("{mail}"));
    assert!(lines.contains(" no route to the database"), "{mail}");
    wait_until("the status says so", SOON, || minder.any(&["status"]).contains("died (exit code 3)"));
}

#[test]
fn a_finish_script_of_s6_reports() {
    let mut minder = Minder::new();
    let program = env!("CARGO_BIN_EXE_minder");
    let run = format!("echo $$ >pid\n{WAIT}\nkill -SEGV $$");
    let finish = format!("{program} report web \"$@\" 2>../said; echo $? $1 $2 >>../said");
    let service = Supervised::start("s6-supervise", minder.dir(), "web", &[("run", &run), ("finish", &finish)]);
    let (dir, socket) = (minder.dir().display().to_string(), minder.socket.display().to_string());
    executable(
        &minder.dir().join("web/finish"),
        &format!("#!/bin/sh\nulimit -c 0\nexport MINDER_SOCKET={socket}\n{finish}\n"),
    );
    minder.write(&format!("services:\n  web: {{ checks: [process: {{ pidfile: {dir}/web/pid }}] }}\n"));
    minder.start();
    wait_until("minder watches it", SOON, || minder.watched("web").is_some() && minder.watched("web") == service.pid());
    std::fs::write(minder.dir().join("go"), "").unwrap();
    let said = minder.dir().join("said");
    wait_until("s6 has run it, and minder has taken it", SOON, || {
        std::fs::read_to_string(&said).is_ok_and(|text| text == "0 256 11\n")
    });
    wait_until("the status says so", SOON, || {
        minder.service("web").unwrap()["last_exit"].as_str().is_some_and(|how| how.starts_with("killed by SIGSEGV"))
    });
}

#[test]
fn a_users_own_supervisor_reports_for_what_is_theirs() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return;
    }
    let mut minder = Minder::new();
    std::fs::set_permissions(minder.dir(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let program = minder.dir().join("minder");
    std::fs::copy(env!("CARGO_BIN_EXE_minder"), &program).unwrap();
    let (theirs, ours) = (format!("sleep 8{}", std::process::id()), format!("sleep 7{}", std::process::id()));
    let _ours = Nobodys(Command::new("sleep").arg(&ours[6..]).spawn().unwrap());
    let service = minder.dir().join("theirs");
    std::fs::create_dir(&service).unwrap();
    executable(&service.join("run"), &format!("#!/bin/sh\nexec {theirs}\n"));
    let report =
        |name: &str| format!("../minder report {name} \"$1\" \"$2\" 2>{name}.said; echo $? $1 $2 >>{name}.said\n");
    let socket = minder.socket.display();
    let finish = format!("#!/bin/sh\nexport MINDER_SOCKET={socket}\n{}{}", report("ours"), report("theirs"));
    executable(&service.join("finish"), &finish);
    std::os::unix::fs::chown(&service, Some(65534), Some(65534)).unwrap();
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "runsv"];
    let _runsv = Nobodys(Command::new("setpriv").args(as_nobody).arg(&service).stderr(Stdio::null()).spawn().unwrap());
    minder.write(&format!(
        "services:\n  theirs: {{ checks: [process: {{ match: '^{theirs}$' }}] }}\n  \
         ours: {{ checks: [process: {{ match: '^{ours}$' }}] }}\n",
    ));
    minder.start();
    wait_until("both are watched", SOON, || minder.watched("theirs").is_some() && minder.watched("ours").is_some());
    signal(minder.watched("theirs").unwrap(), "TERM");
    let said = |name: &str| std::fs::read_to_string(service.join(format!("{name}.said"))).unwrap_or_default();
    wait_until("the script has run", SOON, || said("theirs").ends_with("0 -1 15\n"));
    assert_eq!(said("theirs"), "0 -1 15\n", "it was taken");
    assert!(said("ours").contains("has a process of yours") && said("ours").ends_with("0 -1 15\n"), "{}", said("ours"));
}

#[test]
fn a_script_is_not_held_up_by_a_minder_that_hangs() {
    let mut minder = Minder::new();
    minder.write("services:\n  root: { checks: [file: /] }\n");
    minder.start();
    signal(minder.pid(), "STOP");
    let start = std::time::Instant::now();
    let said = report(&minder, None, "root");
    let took = start.elapsed();
    signal(minder.pid(), "CONT");
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    assert!(said.contains("minder report: "), "{said}");
}
