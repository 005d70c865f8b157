//! The pages about those who use the others: signing in and out, who is signed in, and who did what.

mod audit;
mod sessions;
mod sign_in;

use crate::dashboard::Routes;
use crate::model::Role::{Admin, Viewer};
use url::form_urlencoded;

pub(super) fn routes() -> Routes {
    Routes::default()
        .get(None, "/sign-in", sign_in::show)
        .post(None, "/sign-in", sign_in::enter)
        .post(None, "/sign-out", sign_in::leave)
        .get(Viewer, "/sessions", sessions::show)
        .post(Viewer, "/sessions/end", sessions::end)
        .get(Admin, "/audit", audit::show)
}

/// A field of a form; empty if it is not there.
fn field(body: &[u8], name: &str) -> String {
    form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}
