//! `/metrics`: everything that can be drawn as a curve, for Prometheus and its like.
//!
//! How much there is, is bounded by the plan: labels are the names in it, and no text that comes from elsewhere.

mod minder;
mod process;
mod text;

use super::api::Operation;
use super::{Ask, Front, Problem};
use crate::model::{
    CheckView, Kind, Name, OfService, Role, RuleState, ServiceView, Severity, Snapshot, Status, Used, Vitals, Wall,
};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use text::{Families, Form, Sort};

pub(super) fn routes() -> super::Routes {
    super::Routes::default().get(Role::Viewer, "/metrics", show).about(
        Operation::new("Everything that can be drawn as a curve, for Prometheus")
            .more("OpenMetrics for those whose `Accept` names it, and the older text for others.")
            .answers_text_in(Form::Open.media_type())
            .answers_text_in(Form::Older.media_type()),
    )
}

/// The store is waited for so long; what only it knows is missing if it does not answer, and nothing else.
const STORE: Duration = Duration::from_secs(1);
/// So many messages that are dead are counted.
const DEAD: usize = 1000;

/// Each message that is dead counts for its notifier.
type Dead = BTreeMap<Name, usize>;

async fn show(State(front): State<Arc<Front>>, headers: HeaderMap) -> Result<Response, Problem> {
    let form = Form::asked_for(&headers);
    let (snapshot, vitals) = (front.snapshot().await?, front.ask(Ask::Vitals).await?);
    let dead = tokio::time::timeout(STORE, front.look(|history| history.all_dead(None, DEAD))).await;
    let dead = dead.ok().and_then(Result::ok).map(|messages| {
        let mut dead: Dead = front.plan().notifiers.keys().map(|name| (Arc::clone(name), 0)).collect();
        messages.iter().filter_map(|message| dead.get_mut(&message.to).map(|count| *count += 1)).for_each(drop);
        dead
    });
    let streams = front.streams.open();
    // A thousand services are megabytes: not on a thread that others wait for.
    let render = move || render(form, &snapshot, &vitals, dead.as_ref(), streams);
    let text = tokio::task::spawn_blocking(render).await.map_err(|_| Problem::ending())?;
    Ok(([(CONTENT_TYPE, form.media_type())], text).into_response())
}

fn render(form: Form, snapshot: &Snapshot, vitals: &Vitals, dead: Option<&Dead>, streams: usize) -> String {
    let mut out = Families::new(form);
    minder::add(&mut out, snapshot, vitals, dead, streams);
    let nothing = OfService::default();
    for service in &snapshot.services {
        let counted = vitals.services.get(&service.name).unwrap_or(&nothing);
        of_service(&mut out, service, counted);
        for check in &service.checks {
            of_check(&mut out, service, check);
            if check.kind == "process" {
                let used = counted.used.get(&check.name).copied().unwrap_or_default();
                process::add(&mut out, service, check, used);
            }
        }
    }
    out.text()
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

fn seconds(at: Wall) -> f64 {
    at.0 as f64 / 1e3
}

/// Every status, and its word as a label.
const STATUSES: [(Status, &str); 7] = [
    (Status::Ok, "ok"),
    (Status::Warning, "warning"),
    (Status::Critical, "critical"),
    (Status::Unknown, "unknown"),
    (Status::Paused, "paused"),
    (Status::Stopped, "stopped"),
    (Status::GivenUp, "given-up"),
];

fn of_service(out: &mut Families, service: &ServiceView, counted: &OfService) {
    let name = &*service.name;
    let its = [("service", name)];
    let about = [
        ("service", name),
        ("group", service.group.as_deref().unwrap_or_default()),
        ("control", service.control.as_deref().unwrap_or_default()),
    ];
    out.add(Sort::Info, "minder_service_info".into(), || "What a service is.".into(), &about, 1.0);
    for (status, word) in STATUSES {
        let help = "The status of a service: 1 for the one that it has.";
        let labels = [("service", name), ("status", word)];
        out.gauge("minder_service_status", help, &labels, flag(service.status == status));
    }
    let help = "Since when a service has its status.";
    out.gauge("minder_service_status_since_timestamp_seconds", help, &its, seconds(service.since));
    let incident = service.incident.as_ref();
    out.gauge("minder_service_incident_open", "An incident of the service is open.", &its, flag(incident.is_some()));
    let acknowledged = incident.is_some_and(|incident| incident.ack.is_some());
    let help = "Somebody looks after the open incident of the service.";
    out.gauge("minder_service_incident_acknowledged", help, &its, flag(acknowledged));
    let help = "Nobody is told of the service, or of some of its rules.";
    out.gauge("minder_service_silenced", help, &its, flag(service.silenced.is_some()));
    let help = "Messages and automatic restarts of the service are held, because of what it needs.";
    out.gauge("minder_service_held", help, &its, flag(service.held.is_some()));
    if let Some(supervisor) = &service.supervisor {
        let help = "How often the supervisor of the service has started it again within the last ten minutes.";
        out.gauge("minder_service_supervisor_restarts", help, &its, f64::from(supervisor.restarts));
    }

    out.counter("minder_service_incidents_total", "Incidents that began.", &its, counted.incidents as f64);
    out.counter("minder_service_deaths_total", "Ends of processes that were seen.", &its, counted.deaths as f64);
    let restarts = counted.actions.get(&("restart", "done")).copied().unwrap_or(0);
    out.counter("minder_service_restarts_total", "Restarts by minder that were done.", &its, restarts as f64);
    for ((action, outcome), count) in &counted.actions {
        let labels = [("service", name), ("action", *action), ("outcome", *outcome)];
        let help = "Actions by what came of them: done, failed, or held where they were due.";
        out.counter("minder_actions_total", help, &labels, *count as f64);
    }
    for rule in &service.rules {
        let severity = match rule.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let labels = [("service", name), ("rule", &*rule.name), ("severity", severity)];
        out.gauge("minder_rule_firing", "A rule fires.", &labels, flag(rule.state == RuleState::Firing));
        let help = "The condition of a rule is true, but not for long enough.";
        out.gauge("minder_rule_pending", help, &labels, flag(rule.state == RuleState::Pending));
        let fired = counted.fired.get(&*rule.name).copied().unwrap_or(0);
        out.counter("minder_rule_firings_total", "How often a rule has fired.", &labels, fired as f64);
    }
}

fn of_check(out: &mut Families, service: &ServiceView, check: &CheckView) {
    let labels = [("service", &*service.name), ("check", &*check.name), ("kind", check.kind.as_str())];
    let help = "A rule of severity warning or critical on the check fires.";
    out.gauge("minder_check_bad", help, &labels, flag(check.status.is_bad()));
    let unknown = check.status == Status::Unknown;
    out.gauge("minder_check_unknown", "What the check asks cannot be said.", &labels, flag(unknown));
    let help = "How often the check asks.";
    out.gauge("minder_check_interval_seconds", help, &labels, check.every as f64 / 1e3);
    if let Some(took) = check.took {
        out.gauge("minder_check_duration_seconds", "How long the latest answer took.", &labels, took / 1e3);
    }
    if let Some(at) = check.at {
        let help = "When the latest answer came: its age is `time()` less this.";
        out.gauge("minder_check_answered_timestamp_seconds", help, &labels, seconds(at));
    }
    let labels = [("service", &*service.name), ("check", &*check.name)];
    let mut names = HashSet::new();
    for metric in &check.metrics {
        let Some(value) = metric.value else { continue };
        let (name, factor) = named(&check.kind, &metric.name, &metric.unit);
        // What is called by a user may come out the same: one of the two is better than a text that nobody takes.
        if !names.insert(name.clone()) {
            continue;
        }
        let help = || {
            let table = Kind::metrics_of(&check.kind).unwrap_or_default();
            let about = table.iter().find(|known| known.name == metric.name).map(|known| known.about);
            let about = about.unwrap_or("what it says of itself");
            format!("{}.{}: {about}.", check.kind, metric.name).into()
        };
        out.add(Sort::Gauge, name.into(), help, &labels, value * factor);
    }
}

/// The name of a metric for Prometheus, which wants base units at its end; and by what to multiply its value.
fn named(kind: &str, metric: &str, unit: &str) -> (String, f64) {
    let sane = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
    };
    let (unit, factor) = match unit {
        "bytes" => ("_bytes", 1.0),
        "seconds" => ("_seconds", 1.0),
        "percent" => ("_ratio", 0.01),
        "bytes/s" => ("_bytes_per_second", 1.0),
        "count/s" => ("_per_second", 1.0),
        _ => ("", 1.0),
    };
    let name = sane(metric);
    // These ends say of a name that it is a part of something else.
    let reserved = ["count", "sum", "bucket", "total", "info", "created"];
    let is_reserved = unit.is_empty() && name.rsplit('_').next().is_some_and(|last| reserved.contains(&last));
    let end = if is_reserved { "_now" } else { unit };
    (format!("minder_{}_{name}{end}", sane(kind)), factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_base_units() {
        for (kind, metric, unit, name) in [
            ("process", "cpu", "percent", "minder_process_cpu_ratio"),
            ("process", "memory.total", "bytes", "minder_process_memory_total_bytes"),
            ("process", "count", "count", "minder_process_count_now"),
            ("process", "read", "bytes/s", "minder_process_read_bytes_per_second"),
            ("http", "cert.expires", "seconds", "minder_http_cert_expires_seconds"),
            ("http", "failed", "flag", "minder_http_failed"),
            ("exec", "perf./Größe \"x\"", "count/s", "minder_exec_perf__gr__e__x__per_second"),
        ] {
            assert_eq!(named(kind, metric, unit).0, name);
        }
    }
}
