//! Shows, and takes commands: one axum router, served on TCP and on a unix socket.
