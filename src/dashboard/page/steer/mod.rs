//! What people do by the page: they are told what will happen, confirm it, and see what came of it.
//!
//! `GET /do/VERB` asks, and changes nothing; `POST /do/VERB` begins it, once, and leads to `/outcomes/N`. It goes on whether
//! somebody looks or not, and is put down to the one who asked.

mod confirm;
mod deed;
mod field;
mod offer;
mod outcome;
mod quiet;
mod service;
mod tell;
mod whole;

pub(in crate::dashboard) use offer::offers;
pub(in crate::dashboard) use outcome::Outcomes;
pub(super) use tell::place;

use crate::dashboard::Routes;
use crate::model::Role::{Admin, Operator};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(Operator, "/do/{verb}", confirm::ask)
        .post(Operator, "/do/{verb}", confirm::act)
        .get(Admin, "/do/reload", confirm::ask)
        .post(Admin, "/do/reload", confirm::act)
        .get(Operator, "/outcomes/{number}", outcome::show)
}
