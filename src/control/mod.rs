//! Starts and stops: one file per supervisor. What is reported is what was seen to happen.
