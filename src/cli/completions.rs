//! `completions SHELL`: what the shell needs to complete commands and options.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Exit, finish, tell};

/// What `completions` is asked for.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell.
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "mailbearer", &mut script);
    match String::from_utf8(script) {
        Ok(script) => finish(script.trim_end()),
        Err(error) => {
            tell(format_args!("the script cannot be printed ({error})"));
            Exit::Failed
        }
    }
}
