//! The one place that wires the layers: the loop, performing effects, reload, signals, the clock.
