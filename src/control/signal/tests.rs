use super::*;
use crate::control::tests::{identity_of, path};
use crate::model::Kind;
use crate::model::kinds::Processes;
use crate::sys::proc;
use crate::sys::testing::{Script, until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn aim(identity: Identity, selector: Process) -> Aim {
    Aim { identity, selector: Arc::new(Kind::Process(selector)) }
}

fn refused(aim: &Aim) -> String {
    open(aim).unwrap_err().to_string()
}

#[test]
fn some_are_never_signalled() {
    let init = aim(identity_of(1), Process::default());
    assert!(matches!(open(&init), Err(Refusal::Init)));
    let us = aim(identity_of(std::process::id()), Process::default());
    assert!(matches!(open(&us), Err(Refusal::Ourselves)));
    let script = Script::start("exec sleep 4711");
    let other = Identity { start: 1, ..identity_of(script.own_pid()) };
    assert!(matches!(open(&aim(other, Process::default())), Err(Refusal::Gone)));
    // The same, found by a look at everybody.
    let everybody = |identity| Aim { identity, selector: Arc::new(Kind::Processes(Processes::default())) };
    assert!(matches!(open(&everybody(identity_of(1))), Err(Refusal::Init)));
    assert!(matches!(open(&everybody(identity_of(std::process::id()))), Err(Refusal::Ourselves)));
    assert!(matches!(open(&everybody(other)), Err(Refusal::Gone)));
    assert!(open(&everybody(identity_of(script.own_pid()))).is_ok());
}

/// Only root can make one.
#[test]
fn nor_is_a_process_of_another_pid_namespace() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/unshare").exists() {
        return;
    }
    let script = Script::start("exec unshare --pid --fork sleep 4711");
    let parent = script.own_pid();
    let mut found = Vec::new();
    until("the process is there", || {
        found = proc::find(|stat| stat.ppid == parent && stat.pid != parent).unwrap();
        !found.is_empty()
    });
    let inside = Identity { pid: found[0].pid, start: found[0].start };
    assert!(matches!(open(&aim(inside, Process::default())), Err(Refusal::Elsewhere)));
}

#[test]
fn a_pidfile_that_others_could_write_needs_confirmation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("web.pid");
    let script = Script::start("exec sleep 4711");
    let identity = identity_of(script.own_pid());
    until("it has become sleep", || fs::read(format!("/proc/{}/comm", identity.pid)).unwrap() == b"sleep\n");
    fs::write(&file, identity.pid.to_string()).unwrap();
    let check = Process { pidfile: Some(path(&file)), ..Process::default() };
    assert!(open(&aim(identity, check.clone())).is_ok());

    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let why = refused(&aim(identity, check.clone()));
    assert!(why.contains("web.pid may be written by everybody (mode 0666)"), "{why}");

    let exe = fs::read_link(format!("/proc/{}/exe", identity.pid)).unwrap();
    let right = Process { exe: Some(path(&exe)), ..check.clone() };
    assert!(open(&aim(identity, right.clone())).is_ok());
    let wrong = Process { exe: Some("/usr/sbin/nginx".parse().unwrap()), ..check.clone() };
    assert_eq!(
        refused(&aim(identity, wrong)),
        format!("not signalled: its exe is {}, and the check says otherwise", exe.display())
    );
    let us = rustix::process::getuid().as_raw();
    let user = Process { user: Some(us.to_string()), ..check };
    assert!(open(&aim(identity, user)).is_ok());
    let other = Process { user: Some("daemon".to_owned()), ..right };
    assert!(refused(&aim(identity, other)).contains("its user is uid"));
}
