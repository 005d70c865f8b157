//! `minder init` on machines that are made up, as trees of files; and that nothing which it finds is more than a text.

use minder::config::{self, Env, Sources};
use minder::discover::{File, Listening, Machine, Pidfile, Process, Program};
use proptest::prelude::*;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The root directory of a machine with nothing in it.
struct Root(TempDir);

/// A process of it.
#[derive(Default)]
struct Of<'a> {
    parent: u32,
    exe: &'a str,
    arguments: &'a [&'a str],
    cwd: &'a str,
    cgroup: &'a str,
    environment: &'a [&'a str],
    terminal: u32,
    sockets: &'a [u32],
    uid: u32,
    pids: &'a str,
}

impl Root {
    fn new() -> Root {
        let root = Root(tempfile::tempdir().unwrap());
        for directory in ["proc/net", "proc/self/ns", "run", "etc"] {
            fs::create_dir_all(root.at(directory)).unwrap();
        }
        fs::set_permissions(root.at(""), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("pid:[1]", root.at("proc/self/ns/pid")).unwrap();
        fs::write(root.at("proc/stat"), "cpu 1 2 3\nbtime 1000000000\n").unwrap();
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn process(&self, pid: u32, name: &str, of: Of<'_>) {
        let at = self.at(&format!("proc/{pid}"));
        fs::create_dir_all(at.join("fd")).unwrap();
        fs::create_dir_all(at.join("ns")).unwrap();
        let rest =
            format!("S {} 1 1 {} -1 4194304 100 7 3 0 2 3 4 2 20 0 4 0 {pid} 3133440 388 1", of.parent, of.terminal);
        fs::write(at.join("stat"), format!("{pid} ({name}) {rest}\n")).unwrap();
        let end = |texts: &[&str]| texts.iter().map(|text| format!("{text}\0")).collect::<String>();
        fs::write(at.join("cmdline"), end(of.arguments)).unwrap();
        fs::write(at.join("environ"), end(of.environment)).unwrap();
        fs::write(at.join("cgroup"), format!("0::{}\n", if of.cgroup.is_empty() { "/" } else { of.cgroup })).unwrap();
        for (link, to) in [("exe", of.exe), ("cwd", of.cwd)].iter().filter(|(_, to)| !to.is_empty()) {
            symlink(to, at.join(link)).unwrap();
        }
        symlink(if of.pids.is_empty() { "pid:[1]" } else { of.pids }, at.join("ns/pid")).unwrap();
        for (number, inode) in of.sockets.iter().enumerate() {
            symlink(format!("socket:[{inode}]"), at.join(format!("fd/{number}"))).unwrap();
        }
        chown(&at, Some(of.uid), None).unwrap();
    }

    fn listens(&self, table: &str, sockets: &[(&str, u32)]) {
        let mut text = "sl local_address rem_address st\n".to_owned();
        for (address, inode) in sockets {
            text.push_str(&format!(" 0: {address} 0:0 0A 0:0 0:0 0 0 0 {inode} 1\n"));
        }
        fs::write(self.at(table), text).unwrap();
    }

    fn init(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minder"));
        command.arg("init").arg("--root").arg(self.0.path()).args(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.init(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Owners of files are a part of what is found, and only root can give files away.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// One of each.
fn machine() -> Root {
    let root = Root::new();
    root.process(1, "systemd", Of { sockets: &[10, 15], ..Of::default() });
    root.process(2, "kthreadd", Of::default());
    fs::create_dir_all(root.at("etc/service/web")).unwrap();
    let scan = ["runsvdir", "-P", "/etc/service", "log: ......"];
    root.process(
        20,
        "runsvdir",
        Of { parent: 1, arguments: &scan, cgroup: "/system.slice/runit.service", ..Of::default() },
    );
    let keeps = |pid, name: &str, arguments: &[&str], cwd: &str| {
        root.process(
            pid,
            name,
            Of { parent: 20, arguments, cwd, cgroup: "/system.slice/runit.service", ..Of::default() },
        );
    };
    keeps(21, "runsv", &["runsv", "web"], "/etc/sv/web");
    keeps(22, "runsv", &["runsv", "two words"], "/etc/sv/two words");
    let web = Of { parent: 21, exe: "/usr/sbin/nginx", sockets: &[10, 11], ..Of::default() };
    root.process(23, "nginx", web);
    root.process(24, "nginx", Of { parent: 23, exe: "/usr/sbin/nginx", sockets: &[10, 11], uid: 33, ..Of::default() });
    root.process(25, "svlogd", Of { parent: 21, exe: "/usr/bin/svlogd", ..Of::default() });
    // systemd's own: a service, a login, a session.
    let unit = |pid, name: &str, cgroup: &str| root.process(pid, name, Of { parent: 1, cgroup, ..Of::default() });
    unit(30, "cron", "/system.slice/cron.service");
    unit(31, "agetty", "/system.slice/system-getty.slice/getty@tty1.service");
    unit(32, "my daemon", r"/system.slice/my\x2ddaemon.service");
    // supervisord.
    let arguments = ["/usr/bin/python3", "/usr/bin/supervisord", "-n"];
    root.process(40, "supervisord", Of { parent: 1, arguments: &arguments, ..Of::default() });
    let environment =
        ["SUPERVISOR_ENABLED=1", "SUPERVISOR_PROCESS_NAME=queue_00", "SUPERVISOR_GROUP_NAME=queue", "X=hunter2"];
    let queue = Of { parent: 40, environment: &environment, arguments: &["q", "--password=hunter2"], ..Of::default() };
    root.process(41, "queue", queue);
    // By itself: with a pidfile of its own, with one that others may write, by program, by script; a terminal, a container.
    root.process(
        50,
        "redis-server",
        Of { parent: 1, exe: "/usr/bin/redis-server", sockets: &[12], uid: 12345, ..Of::default() },
    );
    root.process(51, "loose", Of { parent: 1, exe: "/opt/loose", uid: 33, ..Of::default() });
    root.process(52, "app", Of { parent: 1, exe: "/opt/app/bin/app", sockets: &[13], uid: 33, ..Of::default() });
    let script = ["python3", "-u", "/srv/shop.py", "--key", "hunter2"];
    root.process(
        53,
        "python3",
        Of { parent: 1, exe: "/usr/bin/python3.11", arguments: &script, sockets: &[14], ..Of::default() },
    );
    root.process(54, "nc", Of { parent: 1, exe: "/bin/nc", terminal: 34816, sockets: &[16], ..Of::default() });
    root.process(55, "inside", Of { parent: 1, exe: "/bin/x", pids: "pid:[9]", sockets: &[17], ..Of::default() });
    fs::create_dir(root.at("run/redis")).unwrap();
    for (file, text, uid, mode) in [
        ("run/redis/redis.pid", "50\n", 12345, 0o644),
        ("run/loose.pid", "51", 0, 0o666),
        ("run/gone.pid", "999\n", 0, 0o644),
        ("run/init.pid", "1\n", 0, 0o644),
        ("run/none.pid", "x\n", 0, 0o644),
    ] {
        fs::write(root.at(file), text).unwrap();
        chown(root.at(file), Some(uid), None).unwrap();
        fs::set_permissions(root.at(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    chown(root.at("run/redis"), Some(12345), None).unwrap();
    root.listens(
        "proc/net/tcp",
        &[
            ("00000000:0050", 10),
            ("0100007F:1F90", 11),
            ("0100007F:18EB", 12),
            ("0101A8C0:0050", 13),
            ("00000000:2328", 14),
            ("00000000:0016", 15),
            ("00000000:0009", 16),
            ("00000000:0008", 17),
        ],
    );
    root.listens("proc/net/tcp6", &[("00000000000000000000000000000000:18EB", 18)]);
    root
}

#[test]
fn a_machine_with_one_of_each_is_written_down() {
    if !is_root() {
        return;
    }
    let root = machine();
    let all = root.ok(&["--print"]);
    assert!(!all.contains("hunter2"), "arguments and environments may be secrets");
    let (_, found) = all.split_once("# runit.yaml\n").unwrap();
    insta::assert_snapshot!(found.replace(&root.0.path().display().to_string(), ""));
}

#[test]
fn one_process_is_written_down_with_what_keeps_it() {
    if !is_root() {
        return;
    }
    let root = machine();
    let of = |pid: &str| {
        let text = root.ok(&["--pid", pid]);
        text.split_once("services:\n")
            .unwrap()
            .1
            .lines()
            .filter(|line| !line.contains('#'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        of("24").starts_with("  web:\n    control: { runit: web }"),
        "a worker belongs to the service: {}",
        of("24")
    );
    assert!(of("30").contains("control: { systemd: cron.service }"));
    assert!(of("54").contains("- process: { exe: /bin/nc, user: root }"), "{}", of("54"));
    for (pid, why) in
        [("1", "the first process of the machine"), ("55", "in a container"), ("4711", "there is no process")]
    {
        let refused = root.init(&["--pid", pid]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
}

#[test]
fn nothing_is_written_over() {
    if !is_root() {
        return;
    }
    let root = machine();
    let rules = tempfile::tempdir().unwrap();
    let rules = rules.path().join("rules");
    let at = rules.to_str().unwrap();
    let files = || {
        let mut names: Vec<String> = fs::read_dir(&rules)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let refused = |why: &str| {
        let before = files();
        let output = root.init(&[at]);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && err.contains(why), "{err}");
        assert_eq!(files(), before);
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(&rules).unwrap();
    mode(&rules, 0o755);
    // A name that others have taken is a mistake of the whole, and what is there decides.
    fs::write(rules.join("mine.yaml"), "version: 1\nservices: { web: { checks: [{ file: /x }] } }\n").unwrap();
    mode(&rules.join("mine.yaml"), 0o644);
    refused("the service `web` is defined twice");
    fs::remove_file(rules.join("mine.yaml")).unwrap();
    symlink("/nowhere", rules.join("supervisord.yaml")).unwrap();
    refused("supervisord.yaml is there already");
    fs::remove_file(rules.join("supervisord.yaml")).unwrap();
    // That of the package says the same.
    let (_, rest) = include_str!("../../rules/minder.yaml").split_once('\n').unwrap();
    fs::write(rules.join("minder.yaml"), format!("# yaml-language-server: $schema=/usr/x.json\n{rest}")).unwrap();
    mode(&rules.join("minder.yaml"), 0o644);
    let said = root.ok(&[at]);
    assert!(!said.contains("minder.yaml"), "{said}");
    let all = ["minder.yaml", "processes.yaml", "runit.yaml", "schema.json", "supervisord.yaml", "systemd.yaml"];
    assert_eq!(files(), all);
    fs::write(rules.join("runit.yaml"), "version: 1\n# mine\n").unwrap();
    refused("runit.yaml is there already");
    assert_eq!(fs::read_to_string(rules.join("runit.yaml")).unwrap(), "version: 1\n# mine\n");
}

/// Reads the files as one plan, whose services must be these and no others.
fn check(files: &[File], services: usize) {
    let sources = files
        .iter()
        .fold(Sources::empty(&Env::default()), |sources, file| sources.with_text(Path::new(&file.name), &file.text));
    let plan =
        config::parse(&sources).unwrap_or_else(|mistakes| panic!("{}", config::render(&mistakes, &sources, false)));
    assert_eq!(plan.services.len(), services);
    for file in files {
        let odd = file.text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{}", file.text);
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z: #\n\r\"'{}\\[\\],&*!|>%@`\\\\\u{85}\u{2028}\u{feff}-]{0,40}",
        Just("web\n  evil:\n    checks: [{ file: /x }]".to_owned()),
        Just("*/ # }\u{1b}[2J".to_owned()),
        "[a-z]{1,8}",
    ]
}

prop_compose! {
    fn any_process()(
        parent in 0u32..12,
        start in any::<u64>(),
        (name, program, user, directory, cgroup) in (
            prop_oneof![any_text(), Just("runsvdir".to_owned()), Just("runsv".to_owned()), Just("s6-supervise".to_owned()),
                        Just("supervise".to_owned()), Just("supervisord".to_owned())],
            proptest::option::of(any_text()),
            any_text(),
            proptest::option::of(any_text()),
            prop_oneof![any_text(), any_text().prop_map(|name| format!("/system.slice/{name}.service"))],
        ),
        arguments in proptest::collection::vec(any_text(), 0..4),
        flags in any::<[bool; 3]>(),
        program_of in proptest::option::of((any_text(), any_text())),
    ) -> Process {
        Process {
            parent, start, name, user, arguments, cgroup,
            program: program.map(|path| format!("/{path}").into()),
            directory: directory.map(|path| format!("/{path}").into()),
            ours: flags[0], kernel: flags[1] && flags[2], terminal: false, elsewhere: false,
            program_of: program_of.map(|(name, server)| Program { name, server }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever processes are called, and wherever they say to be: the rules are rules, of as many services as were found.
    #[test]
    fn nothing_that_is_found_is_more_than_a_text(
        processes in proptest::collection::btree_map(1u32..12, any_process(), 0..10),
        pidfiles in proptest::collection::vec((any_text(), 1u32..12, proptest::option::of(any_text())), 0..4),
        listening in proptest::collection::vec((any::<[u8; 4]>(), any::<u16>(), proptest::collection::vec(1u32..12, 0..3)), 0..6),
        notes in proptest::collection::vec(any_text(), 0..2),
    ) {
        let machine = Machine {
            trusted: vec![],
            pidfiles: pidfiles.into_iter()
                .map(|(path, pid, distrust)| Pidfile { path: format!("/run/{path}").into(), pid, distrust }).collect(),
            listening: listening.into_iter()
                .map(|(ip, port, pids)| Listening { address: SocketAddr::from((ip, port)), pids }).collect(),
            processes, notes,
        };
        let choice = machine.choose();
        check(&choice.files(), choice.services() + 2);
        for pid in machine.processes.keys() {
            if let Ok(one) = machine.choose_one(*pid) {
                check(&[one.file()], 1);
            }
        }
    }
}
