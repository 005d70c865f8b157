use super::*;
use crate::sys::run::{open_null, run};
use crate::sys::testing::until;
use crate::sys::{limits, pidfd, reap};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;
use std::time::Duration;

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn program<'a>(argv: &'a [String], environment: &'a [(String, String)]) -> Program<'a> {
    Program { argv, environment, user: None, directory: Path::new("/"), umask: 0o027 }
}

fn output(program: &Program<'_>) -> String {
    let ran = run(program, None, Duration::from_secs(20)).unwrap();
    assert_eq!(ran.status, Some(0), "{}", String::from_utf8_lossy(&ran.output));
    String::from_utf8(ran.output).unwrap()
}

#[test]
fn a_child_finds_what_it_should_and_nothing_of_ours() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
    limits::raise_open_files();
    // Not close-on-exec, as a library or whoever started minder may leave one.
    let leak = rustix::io::dup(open_null().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let script = "echo umask $(umask); echo pwd $(pwd); cat /proc/self/status; \
                  echo limit $(ulimit -n); echo ids $$ $(cut -d' ' -f5,6 /proc/$$/stat); env";
    let argv = words(&["/bin/sh", "-c", script, "an argument"]);
    let environment = [("ONE".to_owned(), "1 = one".to_owned())];
    let directory = dir.path().canonicalize().unwrap();
    let text = output(&Program { directory: &directory, ..program(&argv, &environment) });
    let line =
        |start: &str| text.lines().find_map(|l| l.strip_prefix(start)).unwrap_or_else(|| panic!("{text}")).trim();
    let fds = output(&program(&words(&["/bin/ls", "/proc/self/fd"]), &[]));
    assert_eq!(fds, "0\n1\n2\n3\n", "the last is the directory that is listed");
    drop(leak);
    assert_eq!(line("umask"), "0027");
    assert_eq!(Path::new(line("pwd")), directory);
    for set in ["SigBlk:", "SigIgn:", "SigCgt:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!(line("limit"), before.to_string());
    let ids: Vec<&str> = line("ids").split(' ').collect();
    assert_eq!(ids, [ids[0]; 3], "leader of its group and session");
    // The shell itself adds one.
    let variables: Vec<&str> = text.lines().filter(|l| l.contains('=') && !l.starts_with("PWD=")).collect();
    assert_eq!(variables, ["ONE=1 = one"]);
}

#[test]
fn what_fails_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let plain = file("plain", "hello", 0o644);
    let orphan = file("orphan", "#!/no/such/interpreter\n", 0o755);
    let nothing = file("nothing", "hello", 0o755);
    let fail = |argv: &[String], directory: &str| {
        let program = Program { directory: Path::new(directory), ..program(argv, &[]) };
        let error = run(&program, None, Duration::from_secs(20)).unwrap_err();
        (error.step, error.to_string())
    };
    for (argv, directory, step, sentence) in [
        ("/no/such/program", "/", Step::Exec, "/no/such/program: no such file".to_owned()),
        ("/bin/true", "/no/such", Step::Directory, "/no/such: no such directory".to_owned()),
        (&plain, "/", Step::Exec, format!("{plain}: permission denied; is it executable?")),
        (&orphan, "/", Step::Exec, format!("{orphan}: its interpreter, or its dynamic loader, does not exist")),
        (
            &nothing,
            "/",
            Step::Exec,
            format!("{nothing}: not a program for this machine; a script must begin with a line such as `#!/bin/sh`"),
        ),
    ] {
        assert_eq!(fail(&words(&[argv]), directory), (step, sentence));
    }
    assert_eq!(fail(&[], "/").0, Step::Prepare);
    assert_eq!(fail(&words(&["/bin/echo", "nul\0"]), "/").0, Step::Prepare);
}

/// Only root can try it.
#[test]
fn becomes_another_user_with_all_groups() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let user = User { groups: vec![1, 12], ..User::find("daemon").unwrap().unwrap() };
    let environment = user.environment([]);
    let argv = words(&["/bin/sh", "-c", "id -u; id -g; id -G; echo $HOME; grep ^Uid /proc/$$/status"]);
    let text = output(&Program { user: Some(&user), ..program(&argv, &environment) });
    assert_eq!(text.lines().collect::<Vec<_>>(), ["1", "1", "1 12", user.home.as_str(), "Uid:\t1\t1\t1\t1"]);

    let argv = words(&["/bin/true"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let program = Program { user: Some(&user), directory: dir.path(), ..program(&argv, &[]) };
    assert_eq!(run(&program, None, Duration::from_secs(20)).unwrap_err().step, Step::Directory, "it is root's only");
}

#[test]
fn children_are_reaped_and_their_end_is_told() {
    let (tx, rx) = mpsc::channel();
    let mut pids = Vec::new();
    for (i, script) in ["exit 7", "kill -SEGV $$", "exec true"].into_iter().enumerate() {
        let argv = words(&["/bin/sh", "-c", script]);
        let null = open_null().unwrap();
        let mut child = program(&argv, &[]).start(null.as_fd(), null.as_fd(), null.as_fd()).unwrap();
        pids.push(child.pid);
        if i == 2 {
            // As on kernels without pidfds.
            child.pidfd = None;
        }
        let tx = tx.clone();
        reap::adopt(child, move |status| tx.send((i, status)).unwrap());
    }
    let mut told: Vec<_> = (0..3).map(|_| rx.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    told.sort_unstable();
    assert_eq!((told[0], told[1].1 & 0x7f, told[2]), ((0, 7 << 8), libc::SIGSEGV, (2, 0)));
    until("they are gone", || pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn a_pidfd_is_of_the_one_observed_only() {
    let us = proc::stat(std::process::id()).unwrap();
    assert!(pidfd::open(std::process::id(), us.start).unwrap().is_some());
    assert!(pidfd::open(std::process::id(), us.start + 1).unwrap().is_none());
    assert!(pidfd::open(0, 0).unwrap().is_none());
    assert!(pidfd::open(u32::MAX, 0).unwrap().is_none());
    assert!(pidfd::open(4_194_304, 1).unwrap().is_none());
}

#[test]
fn what_comes_before_a_program_is_done_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (ran, fds) = (dir.path().join("ran"), dir.path().join("fds"));
    let script = format!("echo >{}; ls /proc/self/fd >{}", ran.display(), fds.display());
    let argv = words(&["/bin/sh", "-c", &script]);
    let null = open_null().unwrap();
    let mut before = None;
    let child = program(&argv, &[]).start_after([null.as_fd(); 3], |pid| {
        std::thread::sleep(Duration::from_millis(50));
        before = Some((pid, ran.exists()));
    });
    let child = child.unwrap();
    assert_eq!(before, Some((child.pid, false)));
    let (told, status) = mpsc::channel();
    reap::adopt(child, move |status| told.send(status).unwrap());
    assert_eq!(status.recv_timeout(Duration::from_secs(20)), Ok(0));
    assert_eq!(std::fs::read_to_string(fds).unwrap(), "0\n1\n2\n3\n", "the last is the directory that is listed");
    // What fails afterwards is said as ever.
    let error = program(&words(&["/no/such/program"]), &[]).start_after([null.as_fd(); 3], drop).unwrap_err();
    assert_eq!(error.step, Step::Exec);
    // Nothing waits for a child that has not come so far.
    let missing = Program { directory: Path::new("/no/such"), ..program(&argv, &[]) };
    assert_eq!(missing.start_after([null.as_fd(); 3], drop).unwrap_err().step, Step::Directory);
}
