//! Tables of what happens and what comes of it, for the whole engine in a small world.

mod acting;
mod beat;
mod braking;
mod crowds;
mod each;
mod flapping;
mod hearsay;
mod judging;
mod living;
mod nagging;
mod needing;
mod outbox;
mod quieting;
mod restoring;
mod several;
mod supervised;
mod telling;
mod time;
mod titles;
