//! Bad ground: what else runs on a machine, and what goes wrong on one. Each test shows what minder does about it.
//!
//! | what goes wrong | what minder does | tests |
//! |---|---|---|
//! | a pidfile is missing, empty, garbage, negative, zero, beyond any pid, 64 MB | the service is down, and it is said why; one younger than a second that says nothing is waited for | `pidfiles` |
//! | it names pid 1, or minder | nobody is watched, nobody is signalled | `pidfiles` |
//! | it is a link to elsewhere | followed only if root or the process's user owns the link | `pidfiles` |
//! | its pid was given to another program | known by the start time, and by the age of the pidfile: down | `pidfiles` |
//! | an untrusted user points it at somebody else's process | watched, never signalled; the record names the path at fault | `pidfiles` |
//! | a daemon dies at once, for ever | restarted within its budget, then given up; told once; under runit, too; of its deaths ten are recorded, then one a minute | `daemons` |
//! | one ignores TERM | killed when its time is over; said so | `daemons` |
//! | a start command hangs | ended at its deadline before the next try; if its daemon is there, it is left until then | `daemons` |
//! | one forks and forks | the last process is the daemon; it is started once | `daemons` |
//! | one floods its output | the end of it is kept | `daemons` |
//! | a start hangs in the kernel, its program being on a dead mount | it has none of minder's files: the next minder starts | `start` |
//! | no process can be made | said so, tried again; everything else goes on | `machine` |
//! | no descriptors are left | deaths are polled for | `machine` |
//! | the disk is full, or can only be read | nothing stops; what is kept in memory is written when there is room | `machine` |
//! | `/run` is full | the command line waits for room, and nothing else | `start` |
//! | a database is corrupt | put aside; nothing is started before a person says so; damage in the past costs the past only | `machine`, `store::tests` |
//! | its log was lost, or it is an old copy | noticed within a boot of the machine; nothing is started before a person says so | `store::tests` |
//! | somebody else holds its lock | read all the same, written later | `start`, `store::tests` |
//! | the clock is set, by seconds to ten years, ahead and back | no hold is completed, nobody is thought dead, no restart is given back, no message ends, nothing of the past is let go of for a day | `clock`, `engine::tests::time`, `store::steady` |
//! | the machine sleeps, or is held up | the same; each check is asked once, not for all that was missed | `engine::tests::time`, `engine_invariants` |
//! | a mount is dead | its check fails; it takes one thread, and hangs nobody | `live::filesystem` |
//! | an SMTP server accepts and says nothing | given up after 30 s, tried again; no other message waits for it | `crowd` |
//! | one falls silent after the letter | sent again, with the same `Message-ID` | `servers` |
//! | a webhook answers 500, then works | tried again, ever less often; the order is kept; what is over by then is one message | `crowd`, `live::messages` |
//! | its answer, or that of a check, never ends, or is huge; its headers never end | 4 kB of it are read of a message's, the bound of the check of a check's; a failure | `servers`, `crowd` |
//! | it points elsewhere | not followed: refused | `servers` |
//! | a thousand tests of a notifier that hangs | half of all attempts at most: what has happened is told | `crowd` |
//! | one refuses a message | said so; kept through `kill -9`, and sent again on request | `messages` |
//! | a resolver never answers | what needs a name fails; what needs none goes on; a name holds one thread | `servers` |
//! | a TLS handshake stalls | failed at the deadline | `servers` |
//! | names, command lines, outputs, logs hold control characters and invalid UTF-8 | shown as text, in one line, everywhere | `words` |
//! | 10,000 processes a minute live and die beside it | they are none of its business | `crowd` |
//! | thousands of events a second | a death is told within moments | `rules` |
//! | ten services fail at once | the brake lets as many restarts go as it is told to, and holds the others | `live::many`, `engine::tests::braking` |
//! | a thousand services fail at once | a message each, and an all-clear each | `rules` |
//! | rules are replaced while they are read, under a storm of HUP | always a whole plan; the last one in the end | `rules` |
//! | names and rules are as long as they may be; 5,000 mounts | it works | `rules` |
//! | standard streams are closed, their reader is gone, or hangs | lines of the log are lost, and nothing else | `start` |
//! | there is next to no memory | it works, or says why not; for what its own loader needs, the system speaks | `start` |
//! | minder is killed: in a restart, a stop, a reload, while it tells, while it writes | what was begun is carried on; never two daemons, no lost order, firing and resolving take turns, each end is told | `killed` |
//! | it is killed two hundred times while its receivers fail, hang, close, and take what they do not answer | nothing is lost; nothing is told twice to one who honours the key | `lost` |
//! | minder is told to end while a command runs | the command has 2 s more; what became of it is on record | `killed` |
//!
//! What cannot be helped, and is not tested: while minder is down nobody cuts the output of a daemon that floods, and nobody keeps
//! the deadline of a command that runs as minder is killed; a process that has made a session of its own is not ended with the
//! command that started it. A clock that is wrong when minder is started is believed.
#![allow(clippy::disallowed_methods, reason = "tests start programs and watch the time")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod crowd;
mod daemons;
mod killed;
mod lost;
mod machine;
mod messages;
mod pidfiles;
mod rules;
mod servers;
mod start;
mod words;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::process_exists;

/// For what takes a moment: generous, since it is only waited for as long as it is not so.
const SOON: Duration = Duration::from_secs(20);

/// A process of this test's own, which ends with it.
struct Own(Child);

impl Own {
    fn spawn(program: &str, arguments: &[&str]) -> Own {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Own(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn lives(&self) -> bool {
        process_exists(self.pid())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A script with this body, to be started by minder.
fn script(path: &Path, body: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}
