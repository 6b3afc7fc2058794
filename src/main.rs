//! The command `mailbearer`: the library's command line, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    mailbearer::cli::main().into()
}
