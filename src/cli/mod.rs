//! The command line: what may be typed, and which function does it.
//!
//! Each command is a file that exports `run` and gives an [`Exit`]. Results go to standard output;
//! whatever went wrong goes to standard error, for people.

mod check;
mod demo;
mod exit;
mod password;
mod serve;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::exit::Exit;

/// Keeps old mail clients working: takes their password sign-in for SMTP and IMAP, and signs in at
/// the provider with OAuth 2.0.
#[derive(Debug, Parser)]
#[command(name = "mailbearer", version, arg_required_else_help = true, after_help = CONFIG_HELP)]
struct Cli {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const CONFIG_HELP: &str = "\
The configuration is the file named by -c or by $MAILBEARER_CONFIG; without either the first that
exists of ./mailbearer.toml, $XDG_CONFIG_HOME/mailbearer/mailbearer.toml and
/etc/mailbearer/mailbearer.toml.

Exit codes: 0 done, 1 failed, 64 usage, 75 try again later, 78 configuration.

Example: mailbearer -c /etc/mailbearer/mailbearer.toml check";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on this machine alone, with a stand-in provider.
    ///
    /// Starts a stand-in provider and the relay before it on free loopback ports, sends one
    /// message with a password and reads it back, and shows what each side said. Then it stays up
    /// until Ctrl-C, with lines to paste for curl and swaks.
    #[command(after_help = "Example: mailbearer demo --once")]
    Demo(DemoArgs),
    /// Run the relay until SIGTERM or SIGINT.
    ///
    /// Prints every address that it listens on. The first signal lets signed-in sessions finish
    /// for `shutdown.grace`; a second one ends them.
    #[command(after_help = "Example: mailbearer -c mailbearer.toml serve")]
    Serve,
    /// Check the configuration file, and tell everything that is wrong with it.
    ///
    /// Reads the secrets that the file names, and asks nothing of the network.
    #[command(after_help = "Example: mailbearer -c mailbearer.toml check")]
    Check,
    /// Make a local password: what the mail client shows to mailbearer.
    #[command(after_help = "\
Example: printf '%s\\n' 'correct horse battery' | mailbearer password --hash")]
    Password(PasswordArgs),
}

/// What `demo` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// Exit after the round trip: 0 if the message came back byte for byte.
    #[arg(long)]
    pub once: bool,
    /// Run the stand-in provider alone, for other people's tests.
    #[arg(long, conflicts_with = "once")]
    pub provider_only: bool,
    /// Print what is needed to use the stand-in provider as one line of JSON.
    #[arg(long, requires = "provider_only")]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Args)]
struct PasswordArgs {
    /// Read a password on standard input, one line of 1 to 1,024 bytes, and print the hash of it
    /// to write in the file as `local_password`.
    #[arg(long, required = true)]
    hash: bool,
}

/// Runs the command that the process was started with.
pub fn main() -> Exit {
    match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => {
            // Standard output may be closed; there is nobody left to tell.
            let _ = error.print();
            // clap's own code for wrong usage is 2; help and version are no errors.
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        }
    }
}

/// The one place that knows which function carries out which command.
fn run(cli: Cli) -> Exit {
    match cli.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Serve => serve::run(cli.config),
        Command::Check => check::run(cli.config),
        Command::Password(PasswordArgs { hash: _ }) => password::run(),
    }
}

/// Prints a line on standard output.
///
/// # Errors
/// When nobody reads it.
fn print(line: impl fmt::Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Prints what a command was asked for, or tells that it cannot be printed.
fn finish(result: impl fmt::Display) -> Exit {
    match print(result) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tell(format_args!("standard output cannot be written ({error})"));
            Exit::Failed
        }
    }
}

/// Prints a line on standard error. If that is closed there is nobody left to tell.
fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_help_text_with_an_example_of_it() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, example) = help.split_once("Example: ").unwrap();
            assert!(example.contains(command.get_name()), "{example}");
        }
    }
}
