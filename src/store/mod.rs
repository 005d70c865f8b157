//! Keeps: state in `state.db`, samples in `history.db`.
