//! A mount that hangs, and everything that must go on beside it.

use super::support::{Fuse, Minder, process_exists, stays, wait_for, wait_until};
use super::{SOON, is_root};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Two services ask for the same mount; one for the root, one for a file.
fn plan(minder: &Minder, fuse: &Fuse) {
    minder.write(&format!(
        r#"
services:
  share:
    checks:
      - filesystem: {mount}
        every: 500ms
        timeout: 1s
    rules:
      - filesystem.failed for 2 times -> notify
      - filesystem.used > 90% -> notify
  second:
    checks:
      - filesystem: {mount}/
        every: 500ms
        timeout: 1s
  root:
    checks:
      - filesystem: /
        every: 500ms
        keep: [used, inodes, readonly]
    rules:
      - filesystem.missing -> notify
  around:
    checks:
      - directory: {around}
        every: 500ms
        keep: [entries]
  file:
    checks:
      - file: {dir}/file
        every: 500ms
    rules:
      - file.missing -> notify
"#,
        mount = fuse.point().display(),
        around = fuse.parent().display(),
        dir = minder.dir().display(),
    ));
    std::fs::write(minder.dir().join("file"), "").unwrap();
}

fn started(fuse: &Fuse) -> Minder {
    let mut minder = Minder::new();
    plan(&minder, fuse);
    minder.start();
    for service in ["share", "second", "root", "around", "file"] {
        minder.wait_status(service, "ok", SOON);
    }
    minder
}

/// How many of minder's threads are there for mounts that may hang.
fn threads(minder: &Minder) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", minder.pid())).unwrap().flatten();
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|c| c == "filesystems\n")).count()
}

fn answered(minder: &Minder, service: &str) -> String {
    minder.service(service).map(|service| service["checks"][0]["at"].to_string()).unwrap_or_default()
}

#[test]
fn a_full_filesystem_is_told_and_so_is_its_end() {
    if !is_root() {
        return;
    }
    let mut fuse = Fuse::mount();
    let minder = started(&fuse);
    fuse.order("free 50");
    let share = minder.wait_status("share", "warning", SOON);
    let summary = share["summary"].as_str().unwrap();
    assert!(summary == "filesystem.used 95 %", "{share:#}");
    let used = share["checks"][0]["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "used").unwrap().clone();
    assert_eq!((&used["text"], &used["unit"]), (&"3.89 MB (95 %)".into(), &"bytes".into()));
    let shown = String::from_utf8(minder.run(&["status", "share"]).stdout).unwrap();
    assert!(shown.contains("used 3.89 MB (95 %)") && shown.contains("readonly no"), "{shown}");
    fuse.order("free 500");
    minder.wait_status("share", "ok", SOON);
    assert!(minder.history().contains("filesystem.used"));
}

#[test]
fn a_mount_that_hangs_is_failed_and_hangs_nobody() {
    if !is_root() {
        return;
    }
    let mut fuse = Fuse::mount();
    let mut minder = started(&fuse);
    fuse.order("stop");
    let share = minder.wait_status("share", "warning", SOON);
    let note = share["checks"][0]["note"].as_str().unwrap_or_default();
    assert_eq!(note, format!("{} does not answer within 1s", fuse.point().display()));
    minder.wait_status("second", "warning", SOON);
    // Everything else goes on: a file that vanishes is seen, another filesystem is asked again and again.
    std::fs::remove_file(minder.dir().join("file")).unwrap();
    minder.wait_status("file", "warning", SOON);
    // Even what is asked of the directory that it is mounted in.
    for service in ["root", "around"].repeat(3) {
        let last = answered(&minder, service);
        wait_until("it is asked again", SOON, || answered(&minder, service) != last);
        let checked = minder.service(service).unwrap()["checks"][0].clone();
        assert!(checked["status"] == "ok" && checked["note"].is_null(), "{checked:#}");
    }
    // One hangs, one asks the others: however often the dead mount is asked for, by two services.
    stays("no thread is added", Duration::from_secs(3), || threads(&minder) <= 2);
    fuse.order("go on");
    minder.wait_status("share", "ok", SOON);
    minder.wait_status("second", "ok", SOON);

    fuse.order("stop");
    minder.wait_status("share", "warning", SOON);
    minder.signal("TERM");
    minder.wait_end(Duration::from_secs(5));
}

/// A program that has taken the request and does not answer it keeps a thread that nothing can end, not even `kill -9`: the
/// kernel has it so. minder itself goes on; and ends, but for that thread, when it is told to.
#[test]
fn a_request_that_is_never_answered_takes_one_thread() {
    if !is_root() {
        return;
    }
    let mut fuse = Fuse::mount();
    let mut minder = started(&fuse);
    fuse.order("swallow");
    minder.wait_status("share", "warning", SOON);
    assert_eq!(minder.service("root").unwrap()["status"], "ok");
    assert!(threads(&minder) <= 2);
    fuse.order("go on");
    minder.wait_status("share", "ok", SOON);
    fuse.order("swallow");
    minder.wait_status("share", "warning", SOON);
    let pid = minder.pid();
    minder.signal("TERM");
    let left = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        tasks.filter(|task| task.file_name().to_str() != Some(&pid.to_string())).count()
    };
    wait_for(
        || format!("only the thread that hangs is left, not {}", left()),
        Duration::from_secs(5),
        || (minder.status().is_none() && left() == 1).then_some(()),
    );
    // All that it held is free: another one can take its place.
    minder.start();
    minder.wait_status("root", "ok", SOON);
    assert!(process_exists(pid));
    fuse.order("go on");
    wait_until("the last of it has ended", SOON, || !process_exists(pid));
    minder.wait_status("share", "ok", SOON);
}

#[test]
fn what_is_unmounted_is_missing_and_comes_back() {
    if !is_root() {
        return;
    }
    let fuse = Fuse::mount();
    let minder = started(&fuse);
    let point = fuse.point();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        assert!(command.args(arguments).arg(&point).status().unwrap().success());
    };
    // What covers it is what is seen there.
    run("mount", &["-t", "tmpfs", "-o", "ro,size=1M", "minder-test"]);
    wait_until("it is another one", SOON, || {
        let metrics = minder.service("share").unwrap()["checks"][0]["metrics"].to_string();
        metrics.contains("0 B (0 %)")
    });
    run("umount", &[]);
    run("umount", &[]);
    let share = minder.wait_status("share", "warning", SOON);
    let note = share["checks"][0]["note"].as_str().unwrap_or_default().to_owned();
    assert!(
        note.starts_with(&format!("nothing is mounted at {}: it lies on what is mounted at /", point.display())),
        "{note}"
    );
    run("mount", &["-t", "tmpfs", "-o", "size=1M", "minder-test"]);
    minder.wait_status("share", "ok", SOON);
    run("umount", &[]);
}

/// A disk in a file.
struct Disk {
    device: String,
    point: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Disk {
    /// Made in this directory, and mounted below it.
    fn new(dir: &Path) -> Disk {
        let (file, point) = (dir.join("disk"), dir.join("mnt"));
        std::fs::File::create(&file).unwrap().set_len(32 << 20).unwrap();
        std::fs::create_dir(&point).unwrap();
        let device = run("losetup", &["--find", "--show", file.to_str().unwrap()]);
        let disk = Disk { device, point };
        run("mkfs.ext4", &["-q", "-N", "100", &disk.device]);
        run("mount", &[&disk.device, disk.point.to_str().unwrap()]);
        disk
    }
    fn write(&self, megabytes: usize) {
        std::fs::File::create(self.point.join("file"))
            .and_then(|mut file| file.write_all(&vec![1; megabytes << 20]).and_then(|()| file.sync_all()))
            .unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

#[test]
fn a_disk_is_asked_by_its_device_and_what_goes_to_it_is_measured() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path());
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&disk.device, &link).unwrap();
    let mut minder = Minder::new();
    minder.write(&format!(
        r#"
services:
  disk:
    checks:
      - filesystem: {device}
        every: 500ms
        keep: [write]
    rules:
      - filesystem.readonly -> notify
      - {{ name: full, when: filesystem.used > 50%, severity: critical, then: [notify] }}
  other:
    checks:
      - filesystem: {link}
        every: 500ms
"#,
        device = disk.device,
        link = link.display(),
    ));
    minder.start();
    minder.wait_status("disk", "ok", SOON);
    // Links are followed in /dev only: elsewhere they are places, and nothing is mounted at this one.
    minder.wait_status("other", "warning", SOON);
    let metric = |name: &str| {
        let service = minder.service("disk").unwrap();
        let metrics = service["checks"][0]["metrics"].as_array().unwrap().clone();
        metrics.iter().find(|metric| metric["name"] == name).and_then(|metric| metric["value"].as_f64())
    };
    assert!(metric("inodes") > Some(10.0));
    wait_until("there is a rate", SOON, || metric("write").is_some());
    disk.write(20);
    wait_until("what was written is seen", SOON, || metric("write") > Some(1e6));
    minder.wait_status("disk", "critical", SOON);
    disk.write(1);
    minder.wait_status("disk", "ok", SOON);
    run("mount", &["-o", "remount,ro", disk.point.to_str().unwrap()]);
    minder.wait_status("disk", "warning", SOON);
}
