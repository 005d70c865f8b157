//! minder under a supervisor of its own, and as a Debian package: each tried on a machine of its own, which is this one in
//! namespaces, with what is written to `/etc`, `/usr` and `/var` in memory.
#![allow(clippy::disallowed_methods, reason = "a test may start programs as it likes")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod package;
mod pulse;
mod systemd;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Makes the machine. What was written stands in `$ROOM/etc`, `$ROOM/usr` and `$ROOM/var`.
const BOOT: &str = r#"
set -eE
trap 'echo "line $LINENO failed: $BASH_COMMAND"' ERR
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/lock
export ROOM=/run/room
mkdir $ROOM $ROOM/dir
mount --bind "$DIR" $ROOM/dir
cp "$MINDER" $ROOM/minder
for tree in etc usr var tmp; do
    mkdir $ROOM/$tree $ROOM/$tree.work
    mount -t overlay overlay -o "lowerdir=/$tree,upperdir=$ROOM/$tree,workdir=$ROOM/$tree.work" /$tree
done
chmod 1777 /tmp
ip link set lo up
# So long something is waited for, in tenths of a second.
soon() { for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.1; done; echo "never: $*"; return 1; }
cd $ROOM/dir
"#;

/// Runs these lines of a shell on a machine of their own; `$ROOM/dir` is `dir`, and `$ROOM/minder` is minder.
fn on_a_machine(dir: &Path, lines: &str) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: it needs root");
        return None;
    }
    let script = format!("{BOOT}\n{lines}");
    // The first process of the machine ends when the lines do, and all others with it.
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "100", "unshare", "-m", "-p", "-f", "-n", "-i", "-u", "--mount-proc", "--kill-child"]);
    command.args(["bash", "-c", &script]).env("DIR", dir).env("MINDER", env!("CARGO_BIN_EXE_minder"));
    Some(command.output().unwrap())
}

/// The same, which must go well; what it printed.
#[track_caller]
fn well_on_a_machine(dir: &Path, lines: &str) -> String {
    let Some(output) = on_a_machine(dir, lines) else { return String::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}
