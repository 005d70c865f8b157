//! A stand-in for the engine that does what it is told: what a command does to how things stand, and what it answers.

use minder::model::*;

/// Does it; nothing if it is not one of these, or there is no such service.
pub fn obey(who: &str, command: &Command, now: &mut Snapshot) -> Option<Answer> {
    let words = match command {
        Command::Start { service } | Command::Restart { service } => {
            let it = find(now, service)?;
            (it.status, it.pid, it.incident) = (Status::Ok, Some(4711), None);
            it.summary.clear();
            format!("{service} is up as pid 4711")
        }
        Command::Stop { service } => {
            let it = find(now, service)?;
            (it.status, it.pid, it.incident) = (Status::Stopped, None, None);
            format!("{service} is down")
        }
        Command::Pause { service } => {
            find(now, service)?.status = Status::Paused;
            format!("{service} is paused")
        }
        Command::Resume { service } => {
            find(now, service)?.status = Status::Ok;
            format!("{service} is judged again")
        }
        Command::Acknowledge { service, reason, .. } => {
            let ack = Ack { by: who.to_owned(), reason: reason.clone(), since: now.at, until: None };
            find(now, service)?.incident.as_mut()?.ack = Some(ack);
            format!("{who} looks after {service}")
        }
        Command::Unacknowledge { service } => {
            find(now, service)?.incident.as_mut()?.ack = None;
            format!("nobody looks after {service}")
        }
        Command::Write { incident, .. } => format!("written about incident {incident}"),
        Command::Release => {
            now.brake = None;
            "what was held goes ahead".to_owned()
        }
        _ => return None,
    };
    Some(Answer { ok: true, words })
}

fn find<'a>(now: &'a mut Snapshot, name: &str) -> Option<&'a mut ServiceView> {
    now.services.iter_mut().find(|service| *service.name == *name)
}
