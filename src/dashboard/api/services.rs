//! How things stand: services, silences, maintenance, notifiers.

use super::asked::{Asked, Page, length};
use super::openapi::Operation;
use crate::dashboard::{Front, Problem, Routes};
use crate::model::Role::Viewer;
use crate::model::{
    MaintenanceView, MessageKind, Name, Notifier, NotifierPlace, ServiceView, Severity, Silence, Snapshot, Status,
};
use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/status", status)
        .about(Operation::new("How everything stands: all services at one moment").answers::<Snapshot>())
        .get(Viewer, "/api/v1/services", list)
        .about(Operation::new("Services by name").asks::<Which>().pages::<ServiceView>())
        .get(Viewer, "/api/v1/services/{name}", one)
        .about(Operation::new("A service").answers::<ServiceView>())
        .get(Viewer, "/api/v1/silences", silences)
        .about(
            Operation::new("The silences in effect; `silence` and `unsilence` are commands").answers::<Vec<Silence>>(),
        )
        .get(Viewer, "/api/v1/maintenance", maintenance)
        .about(
            Operation::new("The maintenance of the plan, with its open or its next window")
                .answers::<Vec<MaintenanceView>>(),
        )
        .get(Viewer, "/api/v1/notifiers", notifiers)
        .about(Operation::new("Where messages go; `notify-test` is a command").answers::<Vec<NotifierView>>())
}

/// Which services to show: those that match all of what is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// With this status.
    status: Option<Status>,
    /// Of this group.
    group: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// With this in the name, the description, the group or a tag, in whatever case.
    q: Option<String>,
    /// With a name behind this one: the next page.
    after: Option<String>,
    /// At most so many: 100 where this is missing, and never more than 1000.
    limit: Option<NonZeroUsize>,
}

impl Which {
    fn is_wanted(&self, service: &ServiceView) -> bool {
        let group = service.group.as_deref();
        self.status.is_none_or(|status| status == service.status)
            && self.group.as_deref().is_none_or(|wanted| group == Some(wanted))
            && self.tag.as_ref().is_none_or(|tag| service.tags.contains(tag))
            && self.after.as_deref().is_none_or(|after| &*service.name > after)
            && self.q.as_ref().is_none_or(|q| {
                let q = q.to_lowercase();
                let tags = service.tags.iter().map(String::as_str);
                let mut texts =
                    [Some(&*service.name), service.description.as_deref(), group].into_iter().flatten().chain(tags);
                texts.any(|text| text.to_lowercase().contains(&q))
            })
    }
}

async fn status(State(front): State<Arc<Front>>) -> Result<Json<Arc<Snapshot>>, Problem> {
    front.snapshot().await.map(Json)
}

async fn list(
    State(front): State<Arc<Front>>,
    Asked(which, address): Asked<Which>,
) -> Result<Page<ServiceView>, Problem> {
    let snapshot = front.snapshot().await?;
    let mut found: Vec<&ServiceView> = snapshot.services.iter().filter(|service| which.is_wanted(service)).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let length = length(which.limit);
    let found = found.into_iter().take(length + 1).cloned().collect();
    Ok(Page::new(found, length, &address, "after", |service: &ServiceView| service.name.to_string()))
}

async fn one(State(front): State<Arc<Front>>, Path(name): Path<String>) -> Result<Json<ServiceView>, Problem> {
    let snapshot = front.snapshot().await?;
    super::known(&snapshot, &name).map(|service| Json(service.clone()))
}

async fn silences(State(front): State<Arc<Front>>) -> Result<Json<Vec<Silence>>, Problem> {
    front.snapshot().await.map(|snapshot| Json(snapshot.silences.clone()))
}

async fn maintenance(State(front): State<Arc<Front>>) -> Result<Json<Vec<MaintenanceView>>, Problem> {
    front.snapshot().await.map(|snapshot| Json(snapshot.maintenance.clone()))
}

/// A named place where messages go, without its secrets.
#[derive(Serialize, JsonSchema)]
struct NotifierView {
    /// Its name.
    name: Name,
    /// By what: `email`, `webhook`, `exec`.
    by: &'static str,
    /// Whose form its messages have: `slack`.
    preset: Option<String>,
    /// It is told of this and worse.
    severity: Severity,
    /// The kinds of message that it gets.
    kinds: Vec<MessageKind>,
    /// How often it hears that something is still wrong, in milliseconds; nothing if it does not.
    remind: Option<u64>,
    /// How long a message to it is worth sending, in milliseconds.
    expire: u64,
}

impl NotifierView {
    fn of(notifier: &Notifier) -> NotifierView {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let preset = match &notifier.place {
            NotifierPlace::Webhook(webhook) => webhook.preset.clone(),
            _ => None,
        };
        NotifierView {
            name: Arc::clone(&notifier.name),
            by: notifier.place.name(),
            preset,
            severity: notifier.severity,
            kinds: notifier.kinds.iter().copied().collect(),
            remind: notifier.remind.map(millis),
            expire: millis(notifier.expire),
        }
    }
}

async fn notifiers(State(front): State<Arc<Front>>) -> Json<Vec<NotifierView>> {
    Json(front.plan().notifiers.values().map(|notifier| NotifierView::of(notifier)).collect())
}
