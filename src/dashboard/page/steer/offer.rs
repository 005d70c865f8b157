//! What can be done about a service as it stands: the buttons of its page and of the overview.

use crate::model::{Phase, ServiceView, Status};

/// A button: the last part of its address, and its words.
pub(in crate::dashboard) struct Offer {
    pub verb: &'static str,
    pub words: &'static str,
}

/// Whether its process runs; nothing if that is not known.
pub(super) fn is_up(service: &ServiceView) -> Option<bool> {
    match &service.supervisor {
        Some(supervisor) if supervisor.alive => Some(!matches!(supervisor.phase, Phase::Down | Phase::Finishing)),
        Some(_) => Some(service.pid.is_some()),
        None if service.pid.is_some() => Some(true),
        None => service.checks.iter().any(|check| check.kind == "process").then_some(false),
    }
}

/// What fits its state, the most likely first.
pub(in crate::dashboard) fn offers(service: &ServiceView) -> Vec<Offer> {
    let mut verbs: Vec<(&'static str, &'static str)> = Vec::new();
    match &service.incident {
        Some(incident) if incident.ack.is_none() => verbs.push(("acknowledge", "Acknowledge")),
        Some(_) => verbs.push(("unacknowledge", "Take back acknowledgement")),
        None => {}
    }
    if service.control.is_some() {
        let start = ("start", "Start");
        match (service.status == Status::Stopped, is_up(service)) {
            (true, _) => verbs.push(start),
            (false, Some(true)) => verbs.extend([("restart", "Restart"), ("stop", "Stop")]),
            (false, Some(false)) => verbs.extend([start, ("stop", "Stop")]),
            (false, None) => verbs.extend([start, ("restart", "Restart"), ("stop", "Stop")]),
        }
    }
    match service.status {
        Status::Paused => verbs.push(("resume", "Resume")),
        Status::Stopped => {}
        _ => verbs.push(("pause", "Pause")),
    }
    if service.silenced.is_none() {
        verbs.push(("silence", "Silence"));
    }
    verbs.into_iter().map(|(verb, words)| Offer { verb, words }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incident, Severity, Wall};

    fn service(status: Status, pid: Option<u32>, control: bool) -> ServiceView {
        let json = serde_json::json!({
            "name": "web", "tags": [], "status": status, "since": 0, "summary": "", "depends_on": [], "pid": pid,
            "control": control.then_some("command"), "rules": [],
            "checks": [{ "name": "process", "kind": "process", "about": "", "every": 1, "status": "ok", "metrics": [] }],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_fits_its_state() {
        let words = |service: &ServiceView| offers(service).iter().map(|o| o.verb).collect::<Vec<_>>().join(" ");
        for (status, pid, control, expected) in [
            (Status::Ok, Some(7), true, "restart stop pause silence"),
            (Status::Critical, None, true, "start stop pause silence"),
            (Status::GivenUp, None, true, "start stop pause silence"),
            (Status::Stopped, None, true, "start silence"),
            (Status::Paused, Some(7), true, "restart stop resume silence"),
            (Status::Ok, Some(7), false, "pause silence"),
        ] {
            assert_eq!(words(&service(status, pid, control)), expected, "{status}");
        }
        let mut unseen = service(Status::Ok, None, true);
        unseen.checks.clear();
        assert_eq!(words(&unseen), "start restart stop pause silence");
        let mut troubled = service(Status::Warning, Some(7), false);
        troubled.silenced = Some("for another 8 min".to_owned());
        troubled.incident = Some(Incident {
            id: 1,
            service: "web".into(),
            opened: Wall(0),
            closed: None,
            severity: Severity::Warning,
            title: String::new(),
            rules: Default::default(),
            told: Default::default(),
            ack: None,
            escalated: 0,
        });
        assert_eq!(words(&troubled), "acknowledge pause");
    }
}
