//! Asks: one file per kind of check, and the snapshot. A probe never judges.

mod certificate;
mod http;
mod names;
mod net;
mod tcp;
mod tls;
mod words;

#[cfg(test)]
mod fixtures;

pub use net::Net;
