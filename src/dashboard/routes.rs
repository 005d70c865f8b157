//! Routes, each with whom it needs: there is no other way to add one, so none is open by oversight.

use super::api::Operation;
use super::{Front, who};
use crate::model::Role;
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;

/// A route, for those who look at all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// How it is asked.
    pub method: Method,
    /// Where it is, with `{names}` of what varies.
    pub path: &'static str,
    /// The least role that it needs; nothing if everybody may ask.
    pub needs: Option<Role>,
}

/// A router in the making.
#[derive(Default)]
pub(super) struct Routes {
    pub router: Router<Arc<Front>>,
    pub list: Vec<Route>,
    /// Those for programs, with what [`super::api::openapi`] says of them.
    pub described: Vec<Described>,
}

/// A route for programs and those who write them.
pub(super) type Described = (Route, Operation);

impl Routes {
    /// Asks without changing anything.
    pub fn get<H, T>(self, needs: impl Into<Option<Role>>, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Arc<Front>>,
        T: 'static,
    {
        self.add(Method::GET, needs.into(), path, get(handler))
    }

    /// Changes something.
    pub fn post<H, T>(self, needs: impl Into<Option<Role>>, path: &'static str, handler: H) -> Routes
    where
        H: Handler<T, Arc<Front>>,
        T: 'static,
    {
        self.add(Method::POST, needs.into(), path, post(handler))
    }

    fn add(
        mut self,
        method: Method,
        needs: Option<Role>,
        path: &'static str,
        handler: MethodRouter<Arc<Front>>,
    ) -> Routes {
        // Where there is no such method, nobody needs a role to be told so.
        let guarded = handler.route_layer(from_fn_with_state(needs, who::let_through));
        self.router = self.router.route(path, guarded);
        self.list.push(Route { method, path, needs });
        self
    }

    /// What the route that was added last is for. Each of the API has this: a test sees to it.
    pub fn about(mut self, operation: Operation) -> Routes {
        self.described.extend(self.list.last().cloned().map(|route| (route, operation)));
        self
    }

    /// These, and those.
    pub fn and(mut self, other: Routes) -> Routes {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self.described.extend(other.described);
        self
    }
}
