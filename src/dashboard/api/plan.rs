//! The plan in effect, as the page of the rules shows it.

use super::asked::{Asked, Page, length};
use super::openapi::Operation;
use crate::dashboard::outline::{PlanOutline, ServiceOutline};
use crate::dashboard::{Front, Problem, Routes};
use crate::model::Name;
use crate::model::Role::Viewer;
use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Viewer, "/api/v1/plan", plan)
        .about(Operation::new("The plan in effect but its services, without its secrets").answers::<PlanView>())
        .get(Viewer, "/api/v1/plan/services", list)
        .about(
            Operation::new("The services of the plan with their checks and rules, in the order of the files")
                .asks::<Which>()
                .pages::<ServiceOutline>(),
        )
        .get(Viewer, "/api/v1/plan/services/{name}", one)
        .about(
            Operation::new("A service of the plan, with every default that applies to it").answers::<ServiceOutline>(),
        )
}

/// The plan in effect.
#[derive(Serialize, JsonSchema)]
struct PlanView {
    #[serde(flatten)]
    outline: PlanOutline,
    /// So many services it has.
    services: usize,
    /// Who hears of what concerns no single service.
    notify: Vec<Name>,
    /// Why the latest plan was refused, if it was; then this one stays in effect.
    refused: Option<String>,
}

async fn plan(State(front): State<Arc<Front>>) -> Result<Json<PlanView>, Problem> {
    let refused = front.snapshot().await?.refused.clone();
    let plan = front.plan();
    let (outline, services) = (PlanOutline::of(&plan), plan.services.len());
    Ok(Json(PlanView { outline, services, notify: plan.notify.clone(), refused }))
}

/// Which services to show.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Those that come behind this one: the next page.
    after: Option<String>,
    /// At most so many: 100 where this is missing, and never more than 1000.
    limit: Option<NonZeroUsize>,
}

async fn list(
    State(front): State<Arc<Front>>,
    Asked(which, address): Asked<Which>,
) -> Result<Page<ServiceOutline>, Problem> {
    let (plan, length) = (front.plan(), length(which.limit));
    let first = match which.after {
        Some(name) => {
            plan.services.iter().position(|s| *s.name == *name).ok_or_else(|| Problem::no_service(&name))? + 1
        }
        None => 0,
    };
    let services = plan.services.iter().skip(first).take(length + 1);
    let outlines = services.map(|service| ServiceOutline::of(&plan, service)).collect();
    Ok(Page::new(outlines, length, &address, "after", |service: &ServiceOutline| service.name.to_string()))
}

async fn one(State(front): State<Arc<Front>>, Path(name): Path<String>) -> Result<Json<ServiceOutline>, Problem> {
    let plan = front.plan();
    let service = plan.services.iter().find(|service| *service.name == *name);
    let service = service.ok_or_else(|| Problem::no_service(&name))?;
    Ok(Json(ServiceOutline::of(&plan, service)))
}
