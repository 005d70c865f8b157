#![allow(clippy::disallowed_methods, reason = "other users' programs are started")]

use super::*;
use crate::listen::Listen;
use crate::model::GivenUp;
use crate::sys::testing::Script;
use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::Permissions;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(150);
/// `nobody`, on every system.
const NOBODY: &str = "65534";

/// A listener with its directory of sockets, which everybody can reach.
struct Post {
    dir: tempfile::TempDir,
    listen: Listen,
    inputs: UnboundedReceiver<Input>,
}

impl Post {
    fn new() -> Post {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let (tx, inputs) = unbounded_channel();
        let listen = Listen::start(tx, dir.path().join("notify"), GivenUp::default()).unwrap();
        Post { dir, listen, inputs }
    }

    fn path(&self, service: &str) -> PathBuf {
        self.dir.path().join("notify").join(service)
    }

    /// Begins to hear, and waits until it does.
    fn hear(&mut self, check: u32, hearing: Hearing) {
        self.listen.hear(CheckId(check), hearing);
        self.settled();
    }

    /// Returns when all requests so far have been met.
    fn settled(&mut self) {
        let nobody = Identity { pid: 4_194_304, start: 1 };
        self.listen.watch(nobody);
        match self.within(PATIENCE) {
            Some(Input::Exited { identity, .. }) => assert_eq!(identity, nobody),
            other => panic!("{other:?}"),
        }
    }

    fn within(&mut self, time: Duration) -> Option<Input> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(time, self.inputs.recv()).await.ok().flatten() })
    }

    #[track_caller]
    fn beat(&mut self, of: &str) -> Beat {
        match self.within(PATIENCE) {
            Some(Input::Beat { service, check, beat }) => {
                assert_eq!((&*service, &*check), (of, "heartbeat"));
                beat
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn noted(&mut self) -> String {
        match self.within(PATIENCE) {
            Some(Input::Noted(words)) => words.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn is_quiet(&mut self) {
        let input = self.within(QUIET);
        assert!(input.is_none(), "{input:?}");
    }

    fn send(&self, service: &str, text: &str) {
        UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), self.path(service)).unwrap();
    }
}

fn hearing(service: &str) -> Hearing {
    Hearing { service: service.into(), check: "heartbeat".into(), process: None, user: None }
}

fn identity(pid: u32) -> Identity {
    Identity { pid, start: proc::stat(pid).unwrap().start }
}

/// Sends as another user, with a program of systemd's. Nothing without the right to be another.
fn send_as(user: &str, path: &Path, words: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: it needs root");
        return false;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "systemd-notify"]);
    command.args(words).env("NOTIFY_SOCKET", path).stdin(Stdio::null());
    let status = command.status().unwrap();
    assert!(status.success(), "{status}");
    true
}

/// A process of another user; nothing without the right to have one.
fn process_of(user: &str) -> Option<Script> {
    let by = format!("setpriv --reuid {user} --regid {user} --clear-groups");
    let root = rustix::process::geteuid().is_root();
    root.then(|| {
        let mut script = Script::start(&format!("exec {by} sh -c 'echo ready; exec sleep 4711'"));
        script.line();
        script
    })
}

#[test]
fn what_root_and_we_ourselves_say_is_heard_in_order() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    post.hear(2, hearing("db.2_a-b"));
    post.send("web", "READY=1\nSTATUS=Serving");
    assert_eq!([post.beat("web"), post.beat("web")], [Beat::Ready, Beat::Status("Serving".into())]);
    post.send("db.2_a-b", "WATCHDOG=1");
    assert_eq!(post.beat("db.2_a-b"), Beat::Well);
    post.send("web", "WATCHDOG=trigger");
    assert_eq!(post.beat("web"), Beat::Trigger);
    post.is_quiet();
}

#[test]
fn whom_nobody_listens_to_any_more_has_no_socket() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    // A reload: the new check comes before the old one goes.
    post.hear(2, hearing("web"));
    post.listen.forget(CheckId(1));
    post.settled();
    post.send("web", "WATCHDOG=1");
    assert_eq!(post.beat("web"), Beat::Well);
    post.is_quiet();
    post.listen.forget(CheckId(2));
    post.settled();
    assert!(!post.path("web").exists());
    post.hear(3, hearing("web"));
    post.send("web", "WATCHDOG=1");
    assert_eq!(post.beat("web"), Beat::Well);
    let path = post.path("web");
    drop(post.listen);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_taken_away_comes_back() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    std::fs::remove_file(post.path("web")).unwrap();
    post.hear(1, hearing("web"));
    post.send("web", "WATCHDOG=1");
    assert_eq!(post.beat("web"), Beat::Well);
}

#[test]
fn where_there_can_be_no_socket_it_is_said_once() {
    let mut post = Post::new();
    std::fs::create_dir(post.dir.path().join("notify")).unwrap();
    std::fs::write(post.path("web"), "mine").unwrap();
    for _ in 0..2 {
        post.listen.hear(CheckId(1), hearing("web"));
    }
    let words = post.noted();
    assert!(words.starts_with("web has no notify socket") && words.ends_with("is no socket"), "{words}");
    post.settled();
    std::fs::remove_file(post.path("web")).unwrap();
    post.hear(1, hearing("web"));
    post.send("web", "WATCHDOG=1");
    assert_eq!(post.beat("web"), Beat::Well);
}

#[test]
fn root_is_told_once_if_others_cannot_reach_it() {
    let mut post = Post::new();
    std::fs::set_permissions(post.dir.path(), Permissions::from_mode(0o700)).unwrap();
    post.listen.hear(CheckId(1), hearing("web"));
    if rustix::process::geteuid().is_root() {
        let words = post.noted();
        assert!(words.starts_with("only root can reach the notify sockets") && words.contains("chmod o+x"), "{words}");
    }
    post.hear(2, hearing("db"));
    post.is_quiet();
}

#[test]
fn a_stranger_is_not_heard() {
    let mut post = Post::new();
    let service = Script::start("exec sleep 4711");
    post.hear(1, Hearing { process: Some(identity(service.own_pid())), ..hearing("web") });
    if !send_as(NOBODY, &post.path("web"), &["--ready", "WATCHDOG=trigger"]) {
        return;
    }
    let words = post.noted();
    assert!(
        words.starts_with("not heard at the notify socket of web: pid ") && words.contains("user 65534"),
        "{words}"
    );
    send_as(NOBODY, &post.path("web"), &["--ready", "STATUS=x"]);
    post.is_quiet();
    // It has not spoilt it for others.
    post.send("web", "WATCHDOG=1");
    assert_eq!(post.beat("web"), Beat::Well);
}

#[test]
fn the_user_of_the_process_is_heard_also_after_its_end() {
    let mut post = Post::new();
    let Some(service) = process_of(NOBODY) else { return };
    post.hear(1, Hearing { process: Some(identity(service.own_pid())), ..hearing("web") });
    send_as(NOBODY, &post.path("web"), &["WATCHDOG=1"]);
    assert_eq!(post.beat("web"), Beat::Well);
    drop(service);
    // Its successor says that it is ready before anybody has seen it.
    post.hear(1, hearing("web"));
    send_as(NOBODY, &post.path("web"), &["--ready"]);
    assert_eq!(post.beat("web"), Beat::Ready);
    send_as("1", &post.path("web"), &["--ready"]);
    post.is_quiet();
}

#[test]
fn a_process_that_becomes_another_user_is_heard_as_that() {
    let mut post = Post::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let by = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups");
    let go = post.dir.path().join("go");
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
    let mut service = Script::start(&format!("{wait}; exec {by} sh -c 'echo changed; exec sleep 4711'"));
    post.hear(1, Hearing { process: Some(identity(service.own_pid())), ..hearing("web") });
    std::fs::write(&go, "").unwrap();
    service.line();
    send_as(NOBODY, &post.path("web"), &["--ready"]);
    assert_eq!(post.beat("web"), Beat::Ready);
}

#[test]
fn whom_the_rules_name_is_heard() {
    let mut post = Post::new();
    for user in [NOBODY, "nobody"] {
        post.hear(1, Hearing { user: Some(user.into()), ..hearing("web") });
        // While a name is being looked up, what comes is kept.
        if !send_as(NOBODY, &post.path("web"), &["WATCHDOG=1"]) {
            return;
        }
        assert_eq!(post.beat("web"), Beat::Well, "{user}");
    }
    post.listen.hear(CheckId(1), Hearing { user: Some("no-such-user".into()), ..hearing("web") });
    let words = post.noted();
    assert!(words.contains("there is no user `no-such-user`"), "{words}");
}

#[test]
fn what_was_said_too_early_is_heard_once_the_process_is_known() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    // Of an earlier life: what it says is not what the next one says.
    if !send_as(NOBODY, &post.path("web"), &["STATUS=old"]) {
        return;
    }
    send_as("1", &post.path("web"), &["STATUS=foreign"]);
    post.is_quiet();
    let first = process_of(NOBODY).unwrap();
    post.listen.hear(CheckId(1), Hearing { process: Some(identity(first.own_pid())), ..hearing("web") });
    assert!(post.noted().contains("user 1,"), "the stranger is told of now");
    post.is_quiet();

    let mut other = Post::new();
    other.hear(1, hearing("web"));
    let second = process_of(NOBODY).unwrap();
    send_as(NOBODY, &other.path("web"), &["--ready", "STATUS=new"]);
    other.is_quiet();
    other.listen.hear(CheckId(1), Hearing { process: Some(identity(second.own_pid())), ..hearing("web") });
    assert_eq!([other.beat("web"), other.beat("web")], [Beat::Ready, Beat::Status("new".into())]);
}

/// The old process is dead, and nobody has seen the new one when it says that it is ready: for its state that is news only later.
#[test]
fn what_a_new_process_says_at_once_is_said_again_when_it_is_known() {
    let mut post = Post::new();
    let old = Script::start("exec sleep 4711");
    let was = Hearing { process: Some(identity(old.own_pid())), ..hearing("web") };
    post.hear(1, was.clone());
    post.send("web", "STATUS=old");
    assert_eq!(post.beat("web"), Beat::Status("old".into()));
    drop(old);
    post.send("web", "STOPPING=1");
    assert_eq!(post.beat("web"), Beat::Stopping);
    // Times of processes are told in hundredths of a second.
    std::thread::sleep(Duration::from_millis(30));
    let new = Script::start("exec sleep 4711");
    post.send("web", "READY=1\nSTATUS=new");
    for _ in 0..2 {
        assert_eq!([post.beat("web"), post.beat("web")], [Beat::Ready, Beat::Status("new".into())]);
        post.is_quiet();
        post.listen.hear(CheckId(1), Hearing { process: Some(identity(new.own_pid())), ..hearing("web") });
    }
    post.is_quiet();
}

#[test]
fn a_process_is_named_only_by_its_own_user() {
    let mut post = Post::new();
    let ours = Script::start("exec sleep 4711");
    post.hear(1, Hearing { user: Some(NOBODY.into()), ..hearing("web") });
    post.send("web", &format!("MAINPID={}", ours.own_pid()));
    assert_eq!(post.beat("web"), Beat::Main(identity(ours.own_pid())));
    for pid in [1, 2, std::process::id(), 4_194_304, 0] {
        post.send("web", &format!("MAINPID={pid}"));
    }
    post.is_quiet();
    let Some(theirs) = process_of(NOBODY) else { return };
    send_as(NOBODY, &post.path("web"), &[&format!("MAINPID={}", ours.own_pid()), "WATCHDOG=1"]);
    assert_eq!(post.beat("web"), Beat::Well, "the rest of the message counts");
    send_as(NOBODY, &post.path("web"), &[&format!("MAINPID={}", theirs.own_pid())]);
    assert_eq!(post.beat("web"), Beat::Main(identity(theirs.own_pid())));
    post.send("web", &format!("MAINPID={}", theirs.own_pid()));
    assert_eq!(post.beat("web"), Beat::Main(identity(theirs.own_pid())), "root may name anybody's");
}

/// Sends with these descriptors.
fn send_with(socket: &UnixDatagram, text: &str, descriptors: &[std::os::fd::BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    sendmsg(socket, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty()).unwrap();
}

/// Waits until all copies of the other end are closed.
fn hangs_up(pipe: &OwnedFd) {
    let mut fds = [rustix::event::PollFd::new(pipe, rustix::event::PollFlags::empty())];
    let bound = rustix::time::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&bound)), Ok(1));
}

#[test]
fn a_barrier_is_lifted_after_all_before_it_was_handed_over() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(post.path("web")).unwrap();
    for round in 0..100 {
        let (read, write) = rustix::pipe::pipe().unwrap();
        socket.send(format!("STATUS={round}").as_bytes()).unwrap();
        send_with(&socket, "BARRIER=1", &[write.as_fd()]);
        drop(write);
        hangs_up(&read);
        let Ok(Input::Beat { beat, .. }) = post.inputs.try_recv() else { panic!("lifted too early, in round {round}") };
        assert_eq!(beat, Beat::Status(round.to_string().into()));
    }
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(post.path("web")).unwrap();
    for text in ["FDSTORE=1", "READY=1", "BARRIER=1", "BARRIER=1\nREADY=1", ""] {
        let (read, write) = rustix::pipe::pipe().unwrap();
        send_with(&socket, text, &[write.as_fd(); 64]);
        drop(write);
        hangs_up(&read);
    }
    assert_eq!(post.beat("web"), Beat::Ready);
    post.is_quiet();
}

#[test]
fn what_is_too_long_is_not_read() {
    let mut post = Post::new();
    post.hear(1, hearing("web"));
    let fits = format!("WATCHDOG=1\nX={}", "x".repeat(message::MOST - 13));
    for _ in 0..2 {
        post.send("web", &format!("{fits}x"));
    }
    assert!(post.noted().contains("more than 4096 bytes"));
    post.send("web", &fits);
    assert_eq!(post.beat("web"), Beat::Well);
    post.is_quiet();
}

/// It costs a bounded share, others are heard at once, and what counts of it is heard at the end.
#[test]
fn a_flood_starves_nobody() {
    let mut post = Post::new();
    post.hear(1, hearing("loud"));
    post.hear(2, hearing("web"));
    let (path, ended) = (post.path("loud"), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let end = Arc::clone(&ended);
    let flood = std::thread::spawn(move || {
        let socket = UnixDatagram::unbound().unwrap();
        let mut sent = 0u32;
        while !end.load(std::sync::atomic::Ordering::Relaxed) {
            socket.send_to(b"WATCHDOG=1\nSTATUS=loud", &path).unwrap();
            sent += 1;
        }
        socket.send_to(b"STOPPING=1", &path).unwrap();
        sent
    });
    let (mut loud, mut rounds) = (0u32, 0u32);
    while loud < 200 {
        post.send("web", "WATCHDOG=1");
        // Only so much of the flood comes before it.
        let mut before = 0;
        loop {
            match post.within(PATIENCE) {
                Some(Input::Beat { service, .. }) if &*service == "web" => break,
                Some(Input::Beat { .. }) => before += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(before <= 4 * MOST_AT_ONCE, "{before} before it");
        (loud, rounds) = (loud + before, rounds + 1);
        std::thread::sleep(Duration::from_millis(5));
    }
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    let sent = flood.join().unwrap();
    loop {
        match post.within(PATIENCE) {
            Some(Input::Beat { beat: Beat::Stopping, .. }) => break,
            Some(Input::Beat { .. }) => loud += 1,
            other => panic!("{other:?}"),
        }
    }
    // A word of a kind for each datagram at most, and the sender was made to wait.
    assert!(loud <= 2 * sent, "{loud} of {sent}");
    let most = (rounds + 40) * MOST_AT_ONCE;
    assert!(sent <= most, "{sent} datagrams were taken in {rounds} rounds of some 5 ms");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes from whomever: no panic, and no word of one who may not speak.
    #[test]
    fn a_beat_is_never_a_strangers(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        lines in "((READY|WATCHDOG|STATUS|MAINPID|STOPPING|BARRIER)=(1|trigger|[0-9]{0,6})\n?){0,6}",
        uid in prop_oneof![Just(0u32), Just(7), Just(8), Just(9), 10u32..100_000],
        pid in 1u32..100_000,
    ) {
        let (tx, mut rx) = unbounded_channel();
        let mut speaker = Speaker::new(&"web".into());
        // 7 is whom the rules name, 8 whom the last process ran as.
        speaker.hearings.insert(CheckId(1), (hearing("web"), Some(7)));
        speaker.user = Some(8);
        let us = rustix::process::geteuid().as_raw();
        for text in [&bytes[..], lines.as_bytes()] {
            let sender = Some(Sender { pid, uid });
            let datagram = Datagram { length: text.len(), cut: false, sender, descriptors: Vec::new() };
            let mut gathered = Vec::new();
            speaker.take(&tx, datagram, text, &mut gathered);
            speaker.tell(&tx, gathered);
        }
        let mut heard = false;
        while let Ok(input) = rx.try_recv() {
            heard |= matches!(input, Input::Beat { .. });
        }
        prop_assert!(!heard || [0, 7, 8, us].contains(&uid), "user {uid} was heard");
    }
}
