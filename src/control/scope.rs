//! Scopes: control groups of systemd's for what it has not started itself. What is in one of its own lives on however minder's
//! unit is stopped, and `systemctl` shows and limits it by itself.

use crate::model::{plain, show_duration};
use crate::sys::proc;
use crate::sys::systemd::{Manager, Unasked};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// systemd answers within milliseconds, and its daemon waits for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between looks whether it has come to be, and attempts to have it so.
const AGAIN: Duration = Duration::from_millis(5);
/// What is wrong with the scope of a process that has just died, which is neither new nor to be entered.
const GOING: [&str; 3] = [
    "org.freedesktop.systemd1.UnitInactive",
    "org.freedesktop.systemd1.UnitExists",
    "org.freedesktop.systemd1.NoSuchUnit",
];

/// Puts a process of this service into its scope, and sees that it is there.
pub(super) fn enter(service: &str, pid: u32) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let name = name(service);
    let entering = async {
        let manager = Manager::connect().await?;
        let description = format!("{service}, started by minder");
        while let Err(refused) = manager.scope(&name, &description, pid).await {
            match refused {
                Unasked::Refused { name, .. } if GOING.contains(&name.as_str()) => sleep(AGAIN).await,
                other => return Err(other),
            }
        }
        while !is_in(&name, pid) {
            sleep(AGAIN).await;
        }
        Ok(())
    };
    match runtime.block_on(async { timeout(PATIENCE, entering).await }) {
        Ok(entered) => entered.map_err(|e| plain(&e.to_string()).into_owned()),
        Err(_) => Err(format!("systemd has not made {name} within {}", show_duration(PATIENCE))),
    }
}

/// The letters of a service's name are all letters of a unit's.
fn name(service: &str) -> String {
    format!("minder-{service}.scope")
}

fn is_in(name: &str, pid: u32) -> bool {
    let groups = proc::read(pid, "cgroup", 64 << 10).unwrap_or_default();
    String::from_utf8_lossy(&groups).lines().any(|group| group.rsplit('/').next() == Some(name))
}
