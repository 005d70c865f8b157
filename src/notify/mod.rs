//! Delivers messages: one file per kind of notifier.
