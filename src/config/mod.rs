//! YAML text to a [`crate::model::Plan`], or every mistake in it. Pure, but for reading the files.
