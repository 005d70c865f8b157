//! What people do by the page: they are told what will happen, confirm it, and see what came of it.

mod offer;

pub(in crate::dashboard) use offer::offers;
