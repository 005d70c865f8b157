//! The machine itself.

use super::openapi::Operation;
use crate::dashboard::{Front, Problem, Routes};
use crate::model::MachineView;
use crate::model::Role::Viewer;
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

pub(super) fn routes() -> Routes {
    Routes::default().get(Viewer, "/api/v1/machine", machine).about(
        Operation::new("What the machine has, what is used of it, and by whom")
            .more("Rates and shares are of the time since the look before; sizes are bytes, shares percent.")
            .answers::<MachineView>(),
    )
}

async fn machine(State(front): State<Arc<Front>>) -> Result<Json<Arc<MachineView>>, Problem> {
    Ok(Json(front.machine().await?))
}
