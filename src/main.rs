//! minder, the program. See the library for what it is made of.

fn main() {}
