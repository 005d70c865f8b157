//! What holds for all services: the interval, limits, who is told.

use super::super::read::{Amount, Place};
use super::super::syntax::Setting;
use super::alerts::{Notifiers, Recipient, of_all};
use super::checks::TIMEOUT;
use super::ledger::{Ledger, Outcome};
use super::mail::Mailing;
use crate::import::{Machine, yaml};
use crate::model::write_duration;
use std::time::Duration;

/// The interval where a file says none, in seconds.
const EVERY: u64 = 30;
/// A longer interval or delay is nobody's.
const LONGEST: u32 = 7 * 86_400;
const PAGE: &str = "minder has a page of its own for this machine, at http://127.0.0.1:8900 unless `dashboard: { listen: .. }` says otherwise";

pub struct Settings {
    /// The interval in seconds.
    pub every: u64,
    given_every: bool,
    delay: Option<u32>,
    /// What a connection may take.
    pub timeout: Duration,
    /// What a program may take, in seconds.
    pub program_timeout: u32,
    pub start_timeout: Option<u32>,
    pub stop_timeout: Option<u32>,
    pub restart_timeout: Option<u32>,
    /// Whether certificates are verified.
    pub verify: bool,
    mailing: Mailing,
    pub recipients: Vec<Recipient>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            every: EVERY,
            given_every: false,
            delay: None,
            timeout: TIMEOUT,
            program_timeout: 300,
            start_timeout: None,
            stop_timeout: None,
            restart_timeout: None,
            verify: false,
            mailing: Mailing::default(),
            recipients: Vec::new(),
        }
    }
}

impl Settings {
    /// Takes a setting over.
    pub fn take(
        &mut self,
        setting: &Setting,
        place: Place,
        notifiers: &mut Notifiers,
        ledger: &mut Ledger,
        machine: &Machine,
    ) -> Outcome {
        match setting {
            Setting::Daemon { every, delay } => self.daemon(*every, *delay),
            Setting::MailServers(servers) => self.mailing.servers(servers, place, ledger),
            Setting::MailFormat(from) => self.mailing.sender(from, machine),
            Setting::Alert(alert) => notifiers.add(alert, &mut self.recipients),
            Setting::Limits(limits) => self.limits(limits),
            Setting::Tls(verify) => {
                self.verify = verify.unwrap_or(self.verify);
                Ok(Vec::new())
            }
            Setting::Onreboot => Ok(Vec::new()),
            Setting::Httpd => Err(PAGE.to_owned()),
            Setting::Needless(why) | Setting::Unknown(why) => Err((*why).to_owned()),
        }
    }

    fn daemon(&mut self, every: u32, delay: Option<u32>) -> Outcome {
        if every == 0 || every > LONGEST {
            return Err("this is no interval".to_owned());
        }
        self.every = u64::from(every);
        self.given_every = true;
        self.delay = delay.filter(|delay| (1..=LONGEST).contains(delay));
        let differs = "after a boot, what was not yet seen up is not judged for so long (`boot_grace`)";
        Ok(self.delay.iter().map(|_| differs.to_owned()).collect())
    }

    fn limits(&mut self, limits: &[(String, Amount)]) -> Outcome {
        let mut differs = Vec::new();
        for (name, amount) in limits {
            let seconds = match amount.unit.as_str() {
                "ms" | "millisecond" | "milliseconds" => amount.number / 1000.0,
                "minute" | "minutes" => amount.number * 60.0,
                _ => amount.number,
            };
            let good = (0.1..=86_400.0).contains(&seconds);
            let whole = good.then_some(seconds.ceil() as u32);
            match name.as_str() {
                "networktimeout" if good => self.timeout = Duration::from_millis((seconds * 1000.0) as u64),
                "programtimeout" if good => self.program_timeout = whole.unwrap_or(self.program_timeout),
                "starttimeout" if good => self.start_timeout = whole,
                "stoptimeout" if good => self.stop_timeout = whole,
                "restarttimeout" if good => self.restart_timeout = whole,
                "programoutput" | "sendexpectbuffer" | "filecontentbuffer" | "httpcontentbuffer" => {
                    differs.push("without the sizes: what minder reads is bounded anyway".to_owned());
                }
                _ => differs.push(format!("without `{name}`")),
            }
        }
        differs.dedup();
        Ok(differs)
    }

    /// The top-level keys.
    pub fn lines(&self, notifiers: &Notifiers, machine: &Machine) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.given_every {
            lines.push(format!("# No `set daemon` says how often: a cycle is taken to be {EVERY} seconds."));
        }
        lines.push("defaults:".to_owned());
        lines.push(format!("  every: {}", write_duration(Duration::from_secs(self.every))));
        if self.timeout != TIMEOUT {
            lines.push(format!("  timeout: {}", write_duration(self.timeout)));
        }
        let all = of_all(&self.recipients);
        if !all.is_empty() {
            lines.push(format!("  notify: {}", yaml::list(&all)));
        }
        if let Some(delay) = self.delay {
            lines.push(format!("boot_grace: {}", write_duration(Duration::from_secs(u64::from(delay)))));
        }
        lines.extend(self.mailing.lines(!notifiers.all.is_empty(), machine));
        if !notifiers.all.is_empty() {
            lines.extend([String::new(), "notifiers:".to_owned()]);
        }
        for (name, address) in &notifiers.all {
            lines.push(format!("  {}:", yaml::scalar(name)));
            lines.push(format!("    email: {{ to: [{}] }}", yaml::scalar(address)));
        }
        lines
    }
}
