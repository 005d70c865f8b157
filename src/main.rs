//! minder, the program. See the library for what it is made of.

use std::process::ExitCode;

fn main() -> ExitCode {
    minder::cli::main(std::env::args_os())
}
