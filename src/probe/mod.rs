//! Asks: one file per kind of check, and the snapshot. A probe never judges.
