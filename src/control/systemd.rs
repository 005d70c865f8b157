//! systemd, over D-Bus: questions and orders are calls of its manager's methods. What a unit's properties mean is in [`unit`].

mod unit;

use super::supervisor::{Order, Supervisor};
use crate::model::{ControlState, plain};
use crate::sys::systemd::{Manager, Unasked};
use futures_util::{FutureExt, StreamExt};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use unit::Unit;

use zbus::{MatchRule, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant};

/// systemd answers within milliseconds. So long it may be out of reach until it counts as gone: an upgrade has it execute itself
/// anew, and it reads all its units then.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to reach it.
const AGAIN: Duration = Duration::from_millis(100);

/// A unit. A question has a connection of its own: one that is kept and not read would fill systemd's memory with its signals. An
/// act asks several times within seconds, and keeps its connection, over which it hears what becomes of its job.
pub(super) struct Systemd {
    unit: String,
    runtime: Result<Runtime, String>,
    link: RefCell<Option<Link>>,
}

struct Link {
    manager: Manager,
    path: ObjectPath<'static>,
    job: Option<Job>,
}

/// A job of ours that has not ended yet, as far as we know.
struct Job {
    path: OwnedObjectPath,
    /// The ends of this unit's jobs.
    ends: MessageStream,
}

impl Systemd {
    /// The unit with this name, suffix included.
    pub(super) fn new(unit: String) -> Systemd {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Systemd { unit, runtime: runtime.map_err(|e| e.to_string()), link: RefCell::default() }
    }

    /// Asks, until there is an answer or [`PATIENCE`] has run out.
    fn ask<T>(&self, question: impl AsyncFn(&mut Link) -> Result<T, Unasked>) -> Result<T, Unasked> {
        let runtime = self.runtime.as_ref().map_err(|e| Unasked::Silent(e.clone()))?;
        let mut last = format!("not within {}", crate::model::show_duration(PATIENCE));
        let asking = async {
            loop {
                match self.attempt(&question).await {
                    Err(Unasked::Silent(why)) => last = why,
                    answer => return answer,
                }
                sleep(AGAIN).await;
            }
        };
        let answer = runtime.block_on(async { timeout(PATIENCE, asking).await });
        answer.unwrap_or(Err(Unasked::Silent(last)))
    }

    /// A connection that fails is given up, and with it what is known of the job: what came of it is seen all the same.
    async fn attempt<T>(&self, question: impl AsyncFn(&mut Link) -> Result<T, Unasked>) -> Result<T, Unasked> {
        let kept = self.link.take();
        let mut link = match kept {
            Some(link) => link,
            None => {
                let manager = Manager::connect().await?;
                let path = manager.unit(&self.unit).await?;
                Link { manager, path, job: None }
            }
        };
        let answer = question(&mut link).await;
        if !matches!(answer, Err(Unasked::Silent(_))) {
            self.link.replace(Some(link));
        }
        answer
    }

    /// The unit's properties, all of one moment, and how our job ended if it has ended badly.
    fn look(&self) -> Result<(Unit, Option<String>), Unasked> {
        self.ask(async |link| Ok((link.unit().await?, link.job_failed()?)))
    }

    fn order(&self, order: Order) -> Result<(), Unasked> {
        let (unit, _) = self.look()?;
        let runtime = self.runtime.as_ref().map_err(|e| Unasked::Silent(e.clone()))?;
        // Not repeated where the connection breaks: it may have been heard.
        let ordering = self.attempt(async |link| {
            let method = match order {
                Order::Kill => return link.kill(&self.unit).await,
                Order::Up => "StartUnit",
                Order::Down => "StopUnit",
                Order::Restart { by_hand: true } => "RestartUnit",
                // It does nothing to what is stopped, even if that came to be so this very moment.
                Order::Restart { .. } if !unit.is_down() => "TryRestartUnit",
                Order::Restart { .. } if unit.wanted() == Some(false) => return Ok(()),
                Order::Restart { .. } => "StartUnit",
            };
            if order != Order::Down {
                // Its start limit counts our starts as well, and our own limits have said yes. What is not loaded has none.
                let _ = link.manager.manager("ResetFailedUnit", &(&self.unit,)).await;
            }
            let ends = MatchRule::builder()
                .msg_type(zbus::message::Type::Signal)
                .interface("org.freedesktop.systemd1.Manager")
                .member("JobRemoved")
                .arg(2, unit.id.as_str());
            let ends = link.manager.signals(ends).await?;
            let reply = link.manager.manager(method, &(&self.unit, "replace")).await?;
            link.job = Some(Job { path: reply.body().deserialize()?, ends });
            Ok(())
        });
        let told = runtime.block_on(async { timeout(PATIENCE, ordering).await });
        told.unwrap_or_else(|_| Err(Unasked::Silent("it may or may not have been told".to_owned())))
    }
}

impl Link {
    async fn unit(&mut self) -> Result<Unit, Unasked> {
        // An empty name stands for every interface: one answer, of one moment.
        let reply = self.manager.call(&self.path, "org.freedesktop.DBus.Properties", "GetAll", &("",)).await?;
        let body = reply.body();
        let properties: HashMap<String, OwnedVariant> = body.deserialize()?;
        let mut unit = Unit::new(&properties);
        if let Some(path) = unit::job(&properties) {
            let reply = self.manager.call(path, "org.freedesktop.DBus.Properties", "GetAll", &("",)).await;
            // It may be gone by now.
            if let Ok(reply) = reply {
                let properties: HashMap<String, OwnedVariant> = reply.body().deserialize()?;
                unit.job = unit::text(&properties, "JobType");
            }
        }
        Ok(unit)
    }

    /// How the job has ended, unless that was well or has not been yet. Signals come before the answers to later questions.
    fn job_failed(&mut self) -> Result<Option<String>, Unasked> {
        let Some(job) = &mut self.job else { return Ok(None) };
        while let Some(Some(end)) = job.ends.next().now_or_never() {
            let end = end?;
            let body = end.body();
            let (_, path, _, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize()?;
            if path == *job.path {
                let failed = (result != "done").then(|| plain(result).into_owned());
                self.job = None;
                return Ok(failed);
            }
        }
        Ok(None)
    }

    /// The main process, or whatever else is left of the unit.
    async fn kill(&mut self, unit: &str) -> Result<(), Unasked> {
        let main = self.manager.manager("KillUnit", &(unit, "main", libc::SIGKILL)).await;
        match main {
            Err(Unasked::Refused { .. }) => self.manager.manager("KillUnit", &(unit, "all", libc::SIGKILL)).await,
            other => other,
        }
        .map(|_| ())
    }
}

impl Supervisor for Systemd {
    fn state(&self) -> Result<ControlState, String> {
        match self.look() {
            Ok((_, Some(result))) => Err(format!("systemd's job for {} ended with `{result}`", self.unit)),
            Ok((unit, None)) => unit.judge(),
            Err(gone @ (Unasked::NotHere | Unasked::Silent(_))) => {
                Ok(ControlState { word: plain(&gone.to_string()).into(), ..ControlState::default() })
            }
            Err(e) => Err(plain(&e.to_string()).into_owned()),
        }
    }

    fn tell(&self, order: Order) -> Result<(), String> {
        self.order(order).map_err(|e| plain(&e.to_string()).into_owned())
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(50)
    }
}

#[cfg(test)]
mod tests;
