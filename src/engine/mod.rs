//! Every decision: `(state, input, now) -> (state, effects)`. No async, no I/O, no clock.
