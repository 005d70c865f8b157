//! The pages for people: rendered from the templates in `web/`, complete without a script.

pub(super) mod assets;
mod chart;
mod incidents;
mod machine;
mod messages;
pub(super) mod overview;
mod people;
mod rules;
mod service;
mod span;
pub(super) mod steer;
pub(super) mod strip;
mod words;

pub(super) use words::{Here, Page, filters};

use super::Routes;
use crate::model::Role::Viewer;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(None, "/assets/{name}", assets::show)
        .get(Viewer, "/", overview::show)
        .get(Viewer, "/services/{name}", service::show)
        .get(Viewer, "/incidents", incidents::show)
        .get(Viewer, "/incidents/{id}", incidents::one::show)
        .get(Viewer, "/rules", rules::show)
        .get(Viewer, "/machine", machine::show)
        .and(people::routes())
        .and(messages::routes())
        .and(steer::routes())
        .get(Viewer, "/fragments/services", overview::fragment)
}
