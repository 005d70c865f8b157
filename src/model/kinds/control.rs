//! `control`: what a supervisor says of its service. Made by minder for each service with one; its name is kept for it.

use crate::model::{Dimension, Hold, Metric};
use std::time::Duration;

/// Places in [`METRICS`].
pub const ALIVE: u8 = 0;
/// See [`ALIVE`].
pub const WANTED: u8 = 1;
/// See [`ALIVE`].
pub const FAILED: u8 = 2;
/// See [`ALIVE`].
pub const RESTARTS: u8 = 3;
/// See [`ALIVE`].
pub const FLAPPING: u8 = 4;

/// The metrics of every control that is a supervisor. The engine fills them: what counts over time is known there.
pub const METRICS: &[Metric] = &[
    Metric::new("alive", Dimension::Flag, "the supervisor itself is there")
        .liveness()
        .wrong_if(false, "its supervisor is gone"),
    Metric::new("wanted", Dimension::Flag, "its supervisor wants it up").liveness(),
    Metric::new("failed", Dimension::Flag, "its supervisor does not start it any more")
        .liveness()
        .wrong_if(true, "its supervisor has given up on it"),
    Metric::new(
        "restarts",
        Dimension::Count,
        "how often its supervisor has started it again within the last ten minutes",
    )
    .liveness(),
    Metric::new("flapping", Dimension::Flag, "its supervisor starts it again and again: a crash loop")
        .liveness()
        .wrong_if(true, "crash loop"),
];

/// By what a service with a supervisor is judged, unless its rules mention the metric: each is told.
pub const DEFAULT_RULES: &[(u8, Hold)] = &[
    // A supervisor that is itself supervised is back within seconds: runsvdir looks every five.
    (ALIVE, Hold::For(Duration::from_secs(10))),
    (FAILED, Hold::None),
    (FLAPPING, Hold::None),
];
