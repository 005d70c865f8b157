//! The same for programs, as JSON.

use super::board::{Board, SPANS, Told};
use super::uptime::Share;
use serde_json::{Map, Value, json};

pub(super) fn render(board: &Board) -> String {
    let told = |one: &Told| {
        let updates = one.updates.iter().map(|(at, words)| json!({ "at": at.utc(), "words": words }));
        json!({
            "id": one.id,
            "service": one.service,
            "state": one.state.word(),
            "opened": one.opened.utc(),
            "closed": one.closed.map(|at| at.utc()),
            "updates": updates.collect::<Vec<Value>>(),
        })
    };
    let services = board.services.iter().map(|service| {
        let uptime = SPANS.map(|(days, words)| (words.replace(' ', ""), share(board.uptime(service, days))));
        let days = service.days.iter().map(|day| {
            let mut day_json = share(day.share);
            day_json["date"] = day.date.to_string().into();
            day_json["incidents"] = day.incidents.into();
            day_json
        });
        json!({
            "id": service.slug,
            "name": service.name,
            "group": service.group,
            "description": service.description,
            "state": service.state.word(),
            "uptime": Map::from_iter(uptime),
            "days": days.collect::<Vec<Value>>(),
        })
    });
    let maintenance = board.maintenance.iter().map(|one| {
        let services = (!one.services.is_empty()).then_some(&one.services);
        json!({ "services": services, "reason": one.reason, "begins": one.begins.utc(), "ends": one.ends.utc() })
    });
    let whole = json!({
        "title": board.title,
        "state": board.state.word(),
        "words": board.headline,
        "updated": board.at.utc(),
        "services": services.collect::<Vec<Value>>(),
        "incidents": board.incidents.iter().take(super::page::MOST).map(told).collect::<Vec<Value>>(),
        "maintenance": maintenance.collect::<Vec<Value>>(),
    });
    whole.to_string()
}

/// Percent of the known time, and how much of it was known and bad, in seconds.
fn share(share: Share) -> Value {
    let percent = share.percent().map(|percent| (percent * 1000.0).floor() / 1000.0);
    json!({ "percent": percent, "known": share.known / 1000, "down": share.down / 1000 })
}
