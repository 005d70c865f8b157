//! Who is mailed, and of what.

use super::super::syntax::{Alert, Events};
use super::ledger::Outcome;
use super::names::Names;
use crate::import::yaml;
use crate::model::NotifierPlace;

/// What monit calls the events that our rules can tell of.
const EVENTS: &[&str] = &[
    "bytein",
    "byteout",
    "checksum",
    "connection",
    "content",
    "exist",
    "gid",
    "icmp",
    "link",
    "nonexist",
    "permission",
    "pid",
    "resource",
    "saturation",
    "size",
    "speed",
    "status",
    "timestamp",
    "uid",
    "uptime",
];

/// Somebody who is mailed.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// The notifier.
    pub name: String,
    /// Of what; of everything where this is missing.
    pub events: Option<Vec<&'static str>>,
}

/// Every notifier, by its mail address.
#[derive(Default)]
pub struct Notifiers {
    names: Names,
    /// Names and addresses.
    pub all: Vec<(String, String)>,
}

impl Notifiers {
    /// The notifier of an address.
    fn of(&mut self, address: &str) -> Result<String, String> {
        if let Some((name, _)) = self.all.iter().find(|(_, known)| known.eq_ignore_ascii_case(address)) {
            return Ok(name.clone());
        }
        let keys = format!("to: [{}]", yaml::scalar(address));
        let keys: serde_yaml::Value = serde_yaml::from_str(&keys).unwrap_or_default();
        match NotifierPlace::read("email", keys) {
            Some(Ok(place)) if place.mistakes().is_empty() => {}
            _ => return Err("this is not a mail address".to_owned()),
        }
        let name = self.names.give(address.split('@').next().unwrap_or_default(), "mail");
        self.all.push((name.clone(), address.to_owned()));
        Ok(name)
    }

    /// Takes an `alert` over to these recipients.
    pub fn add(&mut self, alert: &Alert, recipients: &mut Vec<Recipient>) -> Outcome {
        let mut differs = Vec::new();
        let heard: Vec<&'static str> = EVENTS.iter().copied().filter(|event| hears(&alert.events, event)).collect();
        if heard.is_empty() {
            return Err("no rule of minder tells of these events".to_owned());
        }
        let events = (heard.len() < EVENTS.len()).then_some(heard);
        if events.is_some() {
            differs.push("told by the rules about these events (`notify NAME`), and of nothing else".to_owned());
        }
        if alert.reminder {
            differs.push("an incident is told when it begins and when all is well again, without reminders".to_owned());
        }
        if alert.format {
            differs.push("messages have a format of their own".to_owned());
        }
        let name = self.of(&alert.address)?;
        recipients.retain(|recipient| recipient.name != name);
        recipients.push(Recipient { name, events });
        Ok(differs)
    }

    /// Takes an address away from these recipients.
    pub fn remove(&self, address: &str, recipients: &mut Vec<Recipient>) {
        if let Some((name, _)) = self.all.iter().find(|(_, known)| known.eq_ignore_ascii_case(address)) {
            recipients.retain(|recipient| recipient.name != *name);
        }
    }
}

fn hears(events: &Events, event: &str) -> bool {
    match events {
        Events::All => true,
        Events::Only(some) => some.iter().any(|e| e == event),
        Events::Not(some) => some.iter().all(|e| e != event),
    }
}

/// Those who hear of everything, as names.
pub fn of_all(recipients: &[Recipient]) -> Vec<String> {
    recipients.iter().filter(|recipient| recipient.events.is_none()).map(|recipient| recipient.name.clone()).collect()
}

/// Those who hear of this event, but not of everything.
pub fn of_event(recipients: &[Recipient], event: &str) -> Vec<String> {
    let hears = |recipient: &&Recipient| recipient.events.as_ref().is_some_and(|events| events.contains(&event));
    recipients.iter().filter(hears).map(|recipient| recipient.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(address: &str, events: Events) -> Alert {
        Alert { address: address.to_owned(), events, reminder: false, format: false }
    }

    #[test]
    fn an_address_is_one_notifier_and_a_filter_is_kept() {
        let (mut notifiers, mut recipients) = (Notifiers::default(), Vec::new());
        let words = |list: &[&str]| list.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let not = Events::Not(words(&["instance", "action"]));
        assert_eq!(notifiers.add(&alert("ops@example.org", not), &mut recipients), Ok(Vec::new()));
        let only = Events::Only(words(&["nonexist", "timeout"]));
        let differs = notifiers.add(&alert("ops@example.com", only), &mut recipients).unwrap();
        assert_eq!(differs.len(), 1);
        assert!(notifiers.add(&alert("OPS@example.org", Events::All), &mut recipients).is_ok());
        assert_eq!(notifiers.all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ops", "ops-2"]);
        assert_eq!(of_all(&recipients), ["ops"]);
        assert_eq!(of_event(&recipients, "nonexist"), ["ops-2"]);
        assert!(of_event(&recipients, "resource").is_empty());
        assert!(notifiers.add(&alert("nobody", Events::All), &mut recipients).is_err());
        assert!(notifiers.add(&alert("a@b.org", Events::Only(words(&["action"]))), &mut recipients).is_err());
        notifiers.remove("ops@example.org", &mut recipients);
        assert!(of_all(&recipients).is_empty());
    }
}
