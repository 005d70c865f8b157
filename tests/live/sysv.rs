//! minder and an init script as Debian's template has it: `start-stop-daemon`, a pidfile, LSB's functions.

use super::SOON;
use super::support::{Minder, Receiver, process_exists, signal, stays, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Writes the script. Its `start` fails where the daemon runs already, and its `stop` where it does not.
fn script(minder: &Minder) -> PathBuf {
    let dir = minder.dir().display();
    let text = format!(
        r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          app
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
### END INIT INFO
PATH=/sbin:/usr/sbin:/bin:/usr/bin
PIDFILE={dir}/app.pid
. /lib/lsb/init-functions
case "$1" in
  start)
    start-stop-daemon --start --background --make-pidfile --pidfile $PIDFILE --chdir {dir} --exec /bin/sleep -- 100000
    ;;
  stop)
    start-stop-daemon --stop --retry=TERM/5/KILL/5 --pidfile $PIDFILE && rm -f $PIDFILE
    ;;
  status)
    pidofproc -p $PIDFILE /bin/sleep >/dev/null
    ;;
  *)
    echo "Usage: app start|stop|status" >&2
    exit 3
    ;;
esac
"#
    );
    let path = minder.dir().join("app");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn an_init_script_starts_stops_and_restarts_what_minder_watches() {
    let receiver = Receiver::start();
    let mut minder = Minder::new();
    let script = script(&minder);
    let keys = format!(
        "    grace: 1s
    settle: 1s
    control: {{ sysv: {script} }}
    checks:
      - process: {{ pidfile: {dir}/app.pid }}
        every: 500ms
    rules: [process.down -> restart]
",
        script = script.display(),
        dir = minder.dir().display(),
    );
    minder.write_app(&receiver, &keys);
    minder.start();
    // It did not run: what is not up is started.
    wait_until("it is started", SOON, || minder.watched("app").is_some_and(process_exists));
    minder.wait_status("app", "ok", SOON);
    let first = minder.watched("app").unwrap();
    minder.ok(&["start", "app"]);
    minder.ok(&["restart", "app"]);
    let second = minder.wait_replaced("app", first, SOON);
    signal(second, "KILL");
    let third = minder.wait_replaced("app", second, SOON);
    let own = minder.pid();
    minder.kill();
    assert!(process_exists(third) && !process_exists(own), "it outlives minder");
    minder.start();
    wait_until("minder finds it again", SOON, || minder.watched("app") == Some(third));
    minder.ok(&["stop", "app"]);
    assert!(!process_exists(third));
    minder.ok(&["stop", "app"]);
    minder.wait_status("app", "stopped", SOON);
    stays("nothing starts it", Duration::from_secs(3), || minder.watched("app").is_none());
}
