//! What holds under every supervisor alike: choosing another of them is changing one key. A row is a supervisor, a column a
//! function; the table in the README shows them all.

mod rows;

use super::SOON;
use super::support::{Minder, Receiver, free_port, process_exists, readme, stays, wait_for, wait_until};
use rows::{ByCommand, Daemontools, InitScript, Row, Runit, S6, UnderSupervisord, UnderSystemd, Upstart, patience};
use std::path::Path;
use std::time::{Duration, Instant};

/// A minder beside a supervisor with a service, `app`, that is `patient.py` with its vices.
struct Scene<R> {
    // In the order in which they end.
    service: R,
    minder: Minder,
    receiver: Receiver,
}

/// A shell script that can be run.
fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const CHECKS: &str = "    checks:
      - process: PROCESS
        every: 500ms
      - http: \"http://127.0.0.1:PORT/\"
        every: 500ms
      - heartbeat: 2s
";

impl<R: Row> Scene<R> {
    /// The service is well, and minder knows its process. `keys` are more of the service; nothing if it cannot be tried here.
    fn new(keys: &str) -> Option<Scene<R>> {
        let (receiver, mut minder) = (Receiver::start(), Minder::new());
        let (dir, port) = (minder.dir().to_owned(), free_port());
        let keys = keys.replace("PROCESS", &R::process(&dir)).replace("PORT", &port.to_string());
        minder.write(&format!(
            "defaults: {{ every: {} }}
notifiers:
  chat: {{ webhook: {{ url: \"{}\" }} }}
services:
  app:
    notify: [chat]
    grace: 2s
    settle: 1s
    control: {}
{keys}",
            if R::TELLS { "1h" } else { "500ms" },
            receiver.url(),
            R::control(&dir),
        ));
        let env = format!(
            "{} env app --rules {} --socket {}",
            env!("CARGO_BIN_EXE_minder"),
            minder.rules().display(),
            minder.socket.display()
        );
        // A new life is well, unless it is to end.
        let run = format!(
            "cd {}\necho $$ >pid\nrm -f sick silent\ntest -e ends && sleep 0.2 && exit 7\n\
             exec env $({env} 2>/dev/null) /usr/bin/python3 {} {} {port}",
            dir.display(),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/patient.py").display(),
            dir.display(),
        );
        script(&dir.join("run"), &run);
        let service = R::start(&mut minder)?;
        wait_until("it serves", SOON, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        minder.start();
        let scene = Scene { service, minder, receiver };
        scene.wait_well();
        Some(scene)
    }

    /// Has the service do something: see `patient.py`.
    fn make_it(&self, what: &str) {
        std::fs::write(self.minder.dir().join(what), "").unwrap();
    }

    #[track_caller]
    fn wait_well(&self) {
        self.minder.wait_status("app", "ok", SOON);
        self.wait_watched();
    }

    /// minder watches the process of which the supervisor says that it is the service's.
    #[track_caller]
    fn wait_watched(&self) {
        let pids = || (self.minder.watched("app"), self.service.pid());
        let same = || {
            let (watched, pid) = pids();
            (watched.is_some() && watched == pid).then_some(())
        };
        wait_for(|| format!("minder watches it: {:?}", pids()), SOON, same);
    }

    /// It is restarted by minder, through its supervisor, for a rule with this in it; once.
    #[track_caller]
    fn is_restarted_for(&self, rule: &str, what: &str) {
        let old = self.service.pid();
        assert!(old.is_some());
        self.make_it(what);
        wait_until("it has another process", SOON, || self.service.pid().is_some_and(|new| Some(new) != old));
        let event = self.receiver.wait(SOON, &["minder.firing", rule]).json();
        assert_eq!(event["data"]["actions"][0]["ok"], true, "{event:#}");
        self.wait_well();
    }
}

fn a_failing_probe_restarts_it<R: Row>() {
    let Some(scene) = Scene::<R>::new(&format!("{CHECKS}    rules: [http.failed for 2 times -> restart]\n")) else {
        return;
    };
    scene.is_restarted_for("http.failed", "sick");
}

fn a_lost_heartbeat_restarts_it<R: Row>() {
    let Some(scene) = Scene::<R>::new(&format!("{CHECKS}    rules: [heartbeat.missing -> restart]\n")) else { return };
    let first = scene.service.pid();
    stays("it is well while it beats", Duration::from_secs(3), || scene.service.pid() == first);
    scene.is_restarted_for("heartbeat.missing", "silent");
}

fn its_state_is_read<R: Row>() {
    let Some(scene) = Scene::<R>::new("    checks: [{ process: PROCESS, every: 500ms }]\n") else { return };
    for (order, phase, status) in R::ORDERS {
        scene.service.order(&scene.minder, order);
        let seen = || scene.minder.service("app").unwrap_or_default();
        let is_so = || {
            let seen = seen();
            // Where there is no supervisor, there is nothing but its process.
            let same = seen["supervisor"].is_null() || seen["supervisor"]["phase"] == *phase;
            (same && seen["status"] == *status).then_some(())
        };
        wait_for(|| format!("after {order:?}: {phase}, {status}; it is {:#}", seen()), SOON, is_so);
    }
    scene.wait_well();
    assert!(scene.receiver.requests().is_empty(), "{:#?}", scene.receiver.requests());
}

fn what_its_operator_took_down_stays_down<R: Row>() {
    let Some(scene) = Scene::<R>::new(&format!(
        "{CHECKS}    rules: [process.down -> restart, http.failed -> restart, heartbeat.missing -> restart]\n"
    )) else {
        return;
    };
    let (down, up) = (R::ORDERS[R::ORDERS.len() - 2].0, R::ORDERS[R::ORDERS.len() - 1].0);
    scene.service.order(&scene.minder, down);
    wait_until("it is down", SOON, || scene.service.pid().is_none());
    scene.minder.wait_status("app", "stopped", SOON);
    // Longer than `settle`, and than the heartbeat may be silent.
    stays("nothing starts it", Duration::from_secs(3), || scene.service.pid().is_none());
    for _ in 0..if R::TELLS { 3 } else { 1 } {
        scene.service.order(&scene.minder, up);
        wait_until("it is up", SOON, || scene.service.pid().is_some());
        let since = Instant::now();
        scene.wait_watched();
        assert!(since.elapsed() < patience::<R>(), "noticed after {:?}", since.elapsed());
        scene.service.order(&scene.minder, down);
        scene.minder.wait_status("app", "stopped", SOON);
    }
    scene.service.order(&scene.minder, up);
    scene.wait_well();
    assert!(scene.receiver.requests().is_empty(), "no incident: {:#?}", scene.receiver.requests());
}

fn a_crash_loop_is_counted_and_told_once<R: Row>() {
    let (keys, words) = R::LOOP;
    let Some(scene) = Scene::<R>::new(keys) else { return };
    scene.make_it("ends");
    scene.receiver.wait(2 * SOON, &[words]);
    let counted = || scene.minder.service("app").unwrap()["supervisor"]["restarts"].as_u64();
    assert!(counted().is_none_or(|restarts| restarts >= 5), "{:?}", counted());
    let told = || scene.receiver.requests().iter().filter(|request| request.body.contains(words)).count();
    stays("it is told once", Duration::from_secs(3), || told() == 1);
}

fn a_supervisor_that_is_gone_is_told<R: Row>() {
    let Some(mut scene) = Scene::<R>::new("    rules: [not control.alive -> notify]\n") else { return };
    let lives = scene.service.pid().unwrap();
    let since = Instant::now();
    scene.service.kill();
    scene.receiver.wait(SOON, &["minder.firing", "control.alive"]);
    assert!(since.elapsed() < 2 * patience::<R>(), "told after {:?}", since.elapsed());
    assert!(process_exists(lives), "the service lives on");
}

fn how_it_died_is_told<R: Row>() {
    let Some(scene) =
        Scene::<R>::new("    checks: [{ process: PROCESS, every: 500ms }]\n    rules: [process.down -> notify]\n")
    else {
        return;
    };
    scene.make_it("ends");
    let event = scene.receiver.wait(SOON, &["minder.firing"]).json();
    let death = event["data"]["death"].as_str().unwrap_or_default();
    assert!(death.ends_with("exited with code 7"), "{event:#}");
}

/// The columns of the README's table, in its order.
const COLUMNS: [&str; 7] = [
    "its_state_is_read",
    "a_failing_probe_restarts_it",
    "what_its_operator_took_down_stays_down",
    "a_crash_loop_is_counted_and_told_once",
    "a_supervisor_that_is_gone_is_told",
    "how_it_died_is_told",
    "a_lost_heartbeat_restarts_it",
];

/// Cells that another test backs: row, column, test.
const ELSEWHERE: &[(&str, &str, &str)] =
    &[("systemd", "a_supervisor_that_is_gone_is_told", "systemd::a_systemd_out_of_reach_is_told")];

/// What each cell of the README's table says is tried by a test here, and what is tried stands there.
#[test]
fn the_readme_says_what_is_tried() {
    let list = std::process::Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let tests: Vec<&str> = list.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let text = readme::text();
    let (_, table) = text.split_once("<!-- table: supervisors -->\n").unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    for row in &rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (name, cells) = (cells[0].trim_matches('`'), &cells[1..]);
        assert_eq!(cells.len(), COLUMNS.len(), "{row}");
        for (cell, column) in cells.iter().zip(COLUMNS) {
            let elsewhere = ELSEWHERE.iter().find(|(row, of, _)| (*row, *of) == (name, column));
            let test = elsewhere.map_or(format!("supervised::{name}::{column}"), |(.., test)| (*test).to_owned());
            let (says, tried) = (*cell != "–", tests.contains(&&*test));
            assert_eq!(says, tried, "{name}, {column}: the README says {cell:?}; is there a test {test}? {tried}");
        }
    }
    let named =
        |test: &str| rows.iter().any(|row| row.starts_with(&format!("| `{}` |", test.split("::").nth(1).unwrap())));
    let here = |test: &&&str| test.starts_with("supervised::") && test.matches("::").count() == 2;
    assert!(tests.iter().filter(here).all(|test| named(test)), "a supervisor is not in the README's table");
    assert!(rows.len() >= 8);
}

/// A module for each row, with a test for each of its columns.
macro_rules! table {
    ($($row:ident: $type:ty, $columns:tt;)*) => {$( mod $row { row! { $type, $columns } } )*};
}

macro_rules! row {
    ($type:ty, [$($column:ident)*]) => {$(
        #[test]
        fn $column() {
            use super::*;
            super::$column::<$type>();
        }
    )*};
}

table! {
    runit: Runit, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        a_supervisor_that_is_gone_is_told how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    s6: S6, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        a_supervisor_that_is_gone_is_told how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    daemontools: Daemontools, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        a_supervisor_that_is_gone_is_told how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    systemd: UnderSystemd, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    supervisord: UnderSupervisord, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        a_supervisor_that_is_gone_is_told how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    upstart: Upstart, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        a_supervisor_that_is_gone_is_told how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    sysv: InitScript, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
    command: ByCommand, [
        its_state_is_read a_failing_probe_restarts_it what_its_operator_took_down_stays_down a_crash_loop_is_counted_and_told_once
        how_it_died_is_told a_lost_heartbeat_restarts_it
    ];
}
