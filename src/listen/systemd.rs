//! Changes of units, which systemd tells over D-Bus.

use crate::model::{CheckId, Input, show_duration};
use crate::sys::systemd::{Manager, Unasked};
use futures_util::StreamExt;
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

/// A check is told of once in this time, however much happens.
const BURST: Duration = Duration::from_millis(20);
/// So long systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between attempts to reach systemd: growing from the first to the second. It is out of reach for a moment when an upgrade has it
/// execute itself anew.
const DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// From this delay on it is told that there is only polling.
const TELL_FROM: Duration = Duration::from_secs(3);

enum Request {
    Watch(CheckId, String),
    Forget(CheckId),
}

/// The units that are watched, by a thread of its own with a connection of its own, from the first on.
pub(super) struct Units {
    inputs: UnboundedSender<Input>,
    requests: Option<UnboundedSender<Request>>,
}

impl Units {
    pub(super) fn new(inputs: UnboundedSender<Input>) -> Units {
        Units { inputs, requests: None }
    }

    pub(super) fn watch(&mut self, check: CheckId, unit: String) {
        let requests = self.requests.get_or_insert_with(|| {
            let (requests, theirs) = unbounded_channel();
            let watcher =
                Watcher { inputs: self.inputs.clone(), requests: theirs, units: HashMap::new(), noted: false };
            let thread = std::thread::Builder::new().name("systemd".to_owned()).stack_size(512 << 10);
            if let Err(e) = thread.spawn(move || watcher.run()) {
                note(&self.inputs, &e.to_string());
            }
            requests
        });
        let _ = requests.send(Request::Watch(check, unit));
    }

    pub(super) fn forget(&mut self, check: CheckId) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(Request::Forget(check));
        }
    }
}

fn note(inputs: &UnboundedSender<Input>, why: &str) {
    let _ = inputs.send(Input::Noted(format!("changes of systemd's units are noticed by polling: {why}").into()));
}

struct Watcher {
    inputs: UnboundedSender<Input>,
    requests: UnboundedReceiver<Request>,
    units: HashMap<CheckId, String>,
    noted: bool,
}

/// Nobody wants to be told anything any more.
struct Over;

/// What systemd tells over one connection.
struct Session {
    manager: Manager,
    changes: MessageStream,
    reloads: MessageStream,
    /// The checks of each unit, by the path that systemd knows it by.
    paths: HashMap<String, Vec<CheckId>>,
}

impl Watcher {
    fn run(mut self) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _: Result<(), Over> = runtime.block_on(self.watch());
            }
            Err(e) => note(&self.inputs, &e.to_string()),
        }
    }

    async fn watch(&mut self) -> Result<(), Over> {
        let mut delay = DELAYS.0;
        loop {
            let session = timeout(PATIENCE, Session::begin(&self.units)).await;
            match session.unwrap_or_else(|_| Err(late())) {
                Ok(session) => {
                    delay = DELAYS.0;
                    // What happened before is not told.
                    self.touch(self.units.keys().copied());
                    self.listen(session).await?;
                    self.touch(self.units.keys().copied());
                }
                Err(e) if delay >= TELL_FROM && !std::mem::replace(&mut self.noted, true) => {
                    note(&self.inputs, &e.to_string());
                }
                Err(_) => {}
            }
            let mut over = pin!(sleep(delay));
            loop {
                tokio::select! {
                    () = &mut over => break,
                    request = self.requests.recv() => self.take(request.ok_or(Over)?),
                }
            }
            delay = (delay * 2).min(DELAYS.1);
        }
    }

    /// Until the connection breaks.
    async fn listen(&mut self, mut session: Session) -> Result<(), Over> {
        let mut touched = HashSet::new();
        let mut burst = pin!(sleep(Duration::ZERO));
        let mut waits = false;
        loop {
            tokio::select! {
                change = session.changes.next() => {
                    let Some(Ok(change)) = change else { return Ok(()) };
                    let header = change.header();
                    let Some(checks) = header.path().and_then(|path| session.paths.get(path.as_str())) else { continue };
                    touched.extend(checks.iter().copied());
                }
                reload = session.reloads.next() => {
                    let Some(Ok(reload)) = reload else { return Ok(()) };
                    // When it has read its units anew, a name may stand for another one.
                    if let Ok(false) = reload.body().deserialize::<bool>() {
                        touched.extend(self.units.keys().copied());
                        if session.find(&self.units).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                request = self.requests.recv() => {
                    let request = request.ok_or(Over)?;
                    let (Request::Watch(check, _) | Request::Forget(check)) = &request;
                    session.forget(*check);
                    if let Request::Watch(check, unit) = &request {
                        let found = session.add(*check, unit).await;
                        // What happened before is not told.
                        touched.insert(*check);
                        if found.is_err() {
                            self.take(request);
                            return Ok(());
                        }
                    }
                    self.take(request);
                }
                () = &mut burst, if waits => waits = false,
            }
            if !waits && !touched.is_empty() {
                self.touch(touched.drain());
                burst.as_mut().set(sleep(BURST));
                waits = true;
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Watch(check, unit) => self.units.insert(check, unit),
            Request::Forget(check) => self.units.remove(&check),
        };
    }

    fn touch(&self, checks: impl Iterator<Item = CheckId>) {
        for check in checks {
            let _ = self.inputs.send(Input::Touched(check));
        }
    }
}

impl Session {
    async fn begin(units: &HashMap<CheckId, String>) -> Result<Session, Unasked> {
        let manager = Manager::connect().await?;
        let signal = || MatchRule::builder().msg_type(Type::Signal);
        let changes = signal().interface("org.freedesktop.DBus.Properties").member("PropertiesChanged");
        let changes = manager.signals(changes.path_namespace("/org/freedesktop/systemd1/unit")).await?;
        let reloads =
            manager.signals(signal().interface("org.freedesktop.systemd1.Manager").member("Reloading")).await?;
        let mut session = Session { manager, changes, reloads, paths: HashMap::new() };
        session.find(units).await?;
        Ok(session)
    }

    /// Asks where all units are.
    async fn find(&mut self, units: &HashMap<CheckId, String>) -> Result<(), Unasked> {
        self.paths.clear();
        for (check, unit) in units {
            self.add(*check, unit).await?;
        }
        Ok(())
    }

    /// Asks where this unit is. One that systemd does not know is for those to tell who ask for its state.
    async fn add(&mut self, check: CheckId, unit: &str) -> Result<(), Unasked> {
        match timeout(PATIENCE, self.manager.unit(unit)).await {
            Ok(Ok(path)) => {
                self.paths.entry(path.as_str().to_owned()).or_default().push(check);
                // What nobody refers to, systemd forgets as soon as it is inactive: how and when it ended, too. Only root may.
                let _ = timeout(PATIENCE, self.manager.manager("RefUnit", &(unit,))).await;
            }
            Ok(Err(Unasked::Refused { .. })) => {}
            Ok(Err(e)) => return Err(e),
            Err(_) => return Err(late()),
        }
        Ok(())
    }

    fn forget(&mut self, check: CheckId) {
        self.paths.retain(|_, checks| {
            checks.retain(|c| *c != check);
            !checks.is_empty()
        });
    }
}

fn late() -> Unasked {
    Unasked::Silent(format!("not within {}", show_duration(PATIENCE)))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test starts programs")]
mod tests {
    use super::*;
    use crate::sys::testing::systemd::{boot, is_inside};
    use std::process::Command;

    const UNITS: &[(&str, &str)] =
        &[("app", "[Service]\nExecStart=/bin/sleep 100000\n"), ("other", "[Service]\nExecStart=/bin/sleep 100000\n")];

    #[allow(clippy::disallowed_methods, reason = "a test may start a program")]
    fn systemctl(arguments: &[&str]) {
        assert!(Command::new("systemctl").args(arguments).status().unwrap().success(), "systemctl {arguments:?}");
    }

    /// What is told within this time; the checks, one by one.
    fn told(inputs: &mut UnboundedReceiver<Input>, time: Duration) -> Vec<u32> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut told = Vec::new();
        let listen = async {
            while let Some(input) = inputs.recv().await {
                match input {
                    Input::Touched(check) => told.push(check.0),
                    other => panic!("{other:?}"),
                }
            }
        };
        let _ = runtime.block_on(async { timeout(time, listen).await });
        told
    }

    fn told_of(inputs: &mut UnboundedReceiver<Input>, check: u32) {
        let found = (0..100).any(|_| told(inputs, Duration::from_millis(100)).contains(&check));
        assert!(found, "nothing was told of {check}");
    }

    #[test]
    fn a_change_is_told_at_once_also_after_systemd_has_started_anew() {
        if !is_inside() {
            let Some((systemd, _dir)) = boot(UNITS) else { return };
            let here = "listen::systemd::tests::a_change_is_told_at_once_also_after_systemd_has_started_anew";
            return systemd.run_test(here);
        }
        let (tx, mut rx) = unbounded_channel();
        let mut units = Units::new(tx);
        units.watch(CheckId(7), "app.service".to_owned());
        // It is listening.
        told_of(&mut rx, 7);
        told(&mut rx, Duration::from_millis(200));
        systemctl(&["start", "other"]);
        assert_eq!(told(&mut rx, Duration::from_millis(300)), [0; 0], "of another unit");
        systemctl(&["start", "app"]);
        told_of(&mut rx, 7);
        told(&mut rx, Duration::from_millis(200));
        systemctl(&["kill", "-s", "KILL", "app"]);
        told_of(&mut rx, 7);
        systemctl(&["daemon-reexec"]);
        told(&mut rx, Duration::from_secs(2));
        systemctl(&["start", "app"]);
        told_of(&mut rx, 7);
        // Reading the units anew changes nothing.
        systemctl(&["daemon-reload"]);
        told(&mut rx, Duration::from_millis(500));
        systemctl(&["stop", "app"]);
        told_of(&mut rx, 7);
        units.forget(CheckId(7));
        told(&mut rx, Duration::from_millis(300));
        systemctl(&["start", "app"]);
        assert_eq!(told(&mut rx, Duration::from_millis(300)), [0; 0], "of what is forgotten");
    }
}
