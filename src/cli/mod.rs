//! The command line: what may be typed, and which function does it.
//!
//! Each command is a file that exports `run` and gives an [`Exit`]. Results go to standard output;
//! whatever went wrong goes to standard error, for people.

mod accounts;
mod authorize;
mod certificates;
mod check;
mod columns;
mod completions;
mod demo;
mod errand;
mod exit;
mod healthcheck;
mod import;
mod init;
mod line;
mod man;
mod owner;
mod password;
mod reload;
mod send_test;
mod serve;
mod servers;
mod support_bundle;
mod token;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::exit::Exit;

/// Keeps old mail clients working: takes their password sign-in for SMTP, IMAP and POP3, and signs
/// in at the provider with OAuth 2.0.
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
    /// Write a configuration file by asking for what it needs, and say what to enter in the old
    /// application.
    ///
    /// Finds the provider by the address, asks for the application's id and secret and for who uses
    /// it, writes a file in which every line says why, gets the person's consent if one is needed,
    /// and makes the local password. Each answer may be a flag; without a terminal nothing is asked.
    /// Nothing is written before the last answer, and no file is replaced unasked.
    #[command(after_help = "\
Example: mailbearer init
         mailbearer init --address app@contoso.com --grant client-credentials \
--client-id 11111111-2222-3333-4444-555555555555 --client-secret-env CONTOSO_SECRET")]
    Init(Box<init::InitArgs>),
    /// Run the relay until SIGTERM or SIGINT.
    ///
    /// Prints every address that it listens on. The first signal lets signed-in sessions finish
    /// for `shutdown.grace`; a second one ends them.
    #[command(after_help = "Example: mailbearer -c mailbearer.toml serve")]
    Serve,
    /// Check the configuration file, and tell everything that is wrong with it.
    ///
    /// Reads the secrets that the file names, and asks nothing of the network. With --online it goes
    /// the way that sessions go, for every protocol that a listener serves: DNS, TCP, TLS, the token, the sign-in; each step
    /// is told with ok or with cause and fix. A relay that runs does so itself, with the accounts and
    /// secrets that it has read, and nobody's consent is used up.
    #[command(after_help = "\
Example: mailbearer -c mailbearer.toml check
         mailbearer check --online alice@contoso.com")]
    Check(CheckArgs),
    /// Send a test message, and show what the provider says to it.
    ///
    /// It goes the way that a session of the account goes: token, TLS, sign-in, MAIL, RCPT, DATA. It
    /// is from the account's mailbox. The last line tells the provider's reply to the message, in
    /// which most name it as their queue does.
    #[command(after_help = "Example: mailbearer send-test alice@contoso.com --to bob@example.com")]
    SendTest(SendTestArgs),
    /// Show every account: its grant, its token, and what went wrong last.
    #[command(after_help = "Example: mailbearer accounts --json")]
    Accounts(AccountsArgs),
    /// Make a local password: what the mail client shows to mailbearer.
    ///
    /// It is printed once, and kept in a form that does not tell it. One without a label is good
    /// for everything, and replaces the earlier one without a label; one with a label is one more,
    /// for a program of its own. A device of [devices] has one, for its `username`, and for
    /// submission. `--hash` makes nothing: it prints what the configuration file wants for a
    /// password of your choice.
    #[command(after_help = "\
Example: mailbearer password alice@contoso.com --label scanner
         mailbearer password scanner-2
         printf '%s\\n' 'correct horse battery' | mailbearer password --hash")]
    Password(PasswordArgs),
    /// Print a fresh access token and nothing else, for programs that speak OAuth themselves.
    #[command(after_help = "Example: mailbearer token alice@contoso.com --protocol imap")]
    Token(TokenArgs),
    /// Get a person's consent for an account, or give it back.
    ///
    /// Shows which redirect URI the application needs, opens the browser and waits until the person
    /// has signed in; an account whose grant is device-code gets a code to enter elsewhere. The
    /// consent is kept if whoever gave it is the account, one of its `mailbox` values, or named by
    /// --as; a provider that tells no name is believed. Otherwise what was kept before stays. A
    /// relay that runs uses the consent at once.
    #[command(after_help = "\
Example: mailbearer authorize alice@contoso.com
         mailbearer authorize alice@contoso.com --paste
         mailbearer authorize shared@contoso.com --device --as alice@contoso.com
         mailbearer authorize alice@contoso.com --refresh-token-stdin < refresh-token
         mailbearer authorize alice@contoso.com --revoke")]
    Authorize(AuthorizeArgs),
    /// Make a local authority, and a certificate of it for the listeners' TLS.
    ///
    /// For networks where no public authority gives one. Devices trust the authority once; run
    /// again, the command keeps it and renews the certificate. The names are localhost, 127.0.0.1,
    /// ::1, this machine's host name, those of the certificate before, and each --name.
    #[command(after_help = "Example: mailbearer certificates --out certs --name mail.contoso.com \
                      --name 192.0.2.10")]
    Certificates(CertificatesArgs),
    /// Translate the configuration of another program: email-oauth2-proxy's.
    ///
    /// Servers, accounts and grants become ours. What has no counterpart is told, with what to do;
    /// what lacks something is set aside as comments, so that `check` accepts the rest. Tokens are
    /// not taken over.
    #[command(after_help = "\
Example: mailbearer import emailproxy emailproxy.config --output mailbearer.toml")]
    Import(import::ImportArgs),
    /// Have the running relay read its configuration again.
    ///
    /// As SIGHUP does: all of it or nothing. No session ends but those of accounts and devices that
    /// are gone.
    #[command(after_help = "Example: mailbearer reload")]
    Reload,
    /// Tell whether the running relay is ready, by the exit code: 0 or 1.
    #[command(after_help = "Example: mailbearer -c /etc/mailbearer/mailbearer.toml healthcheck")]
    Healthcheck,
    /// Gather what whoever helps wants to know, in one text that is safe to paste.
    ///
    /// Version, configuration without its secrets, states of the accounts, and how the last hundred
    /// sessions ended, which a relay that runs knows. Values are shown by the type of their key: no
    /// secret is, nor a key that is not known.
    #[command(after_help = "Example: mailbearer support-bundle --hide-names --output bundle.txt")]
    SupportBundle(support_bundle::SupportBundleArgs),
    /// Print what a shell needs to complete commands and options.
    #[command(after_help = "\
Example: mailbearer completions bash > /usr/share/bash-completion/completions/mailbearer")]
    Completions(completions::CompletionsArgs),
    /// Print the manual pages, or write a file for each.
    #[command(after_help = "Example: mailbearer man --out /usr/local/share/man/man1")]
    Man(man::ManArgs),
}

/// What `accounts` is asked for.
#[derive(Debug, Clone, Copy, Args)]
struct AccountsArgs {
    /// Print an array of JSON objects; times are RFC 3339, UTC, or null.
    #[arg(long)]
    json: bool,
}

/// What `check` is asked for.
#[derive(Debug, Args)]
struct CheckArgs {
    /// Try the way to the provider of this account too, or of every account of the file.
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1)]
    online: Option<Option<String>>,
}

/// What `send-test` is asked for.
#[derive(Debug, Args)]
struct SendTestArgs {
    /// The account, or an address that a wildcard covers.
    account: String,
    /// To whom.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
}

/// What `certificates` is asked for.
#[derive(Debug, Args)]
struct CertificatesArgs {
    /// Where ca.pem, ca.key, server.pem and server.key lie; it is made if there is none.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A host name or IP address that devices enter as their server. May be given several times.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

/// What `token` is asked for.
#[derive(Debug, Args)]
struct TokenArgs {
    /// The account, or an address that a wildcard covers.
    account: String,
    /// What the token is for. Default: the first of submission, imap and pop3 that the provider has.
    #[arg(long, value_name = "PROTOCOL", value_parser = PROTOCOLS)]
    protocol: Option<String>,
}

/// What `authorize` is asked for.
#[derive(Debug, Args)]
struct AuthorizeArgs {
    /// The account.
    account: String,
    /// Print the address to open, in a browser anywhere, and read the one that it ends at: for
    /// machines without a browser.
    #[arg(long, group = "way")]
    paste: bool,
    /// Print a code to enter on another device (RFC 8628), as text and as a QR picture.
    #[arg(long, group = "way")]
    device: bool,
    /// Read a refresh token on standard input, one line of up to 65,536 characters.
    #[arg(long, group = "way")]
    refresh_token_stdin: bool,
    /// Accept the consent of this person too. May be given several times.
    #[arg(long = "as", value_name = "USER", conflicts_with = "revoke")]
    users: Vec<String>,
    /// Give the consent back: at the provider if it has an endpoint for that, and here.
    #[arg(long, group = "way")]
    revoke: bool,
    /// Print one JSON object a line, and open nothing.
    #[arg(long)]
    json: bool,
}

/// The protocols by name.
const PROTOCOLS: [&str; 3] = ["submission", "imap", "pop3"];

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

/// What `password` is asked for.
#[derive(Debug, Args)]
struct PasswordArgs {
    /// The account, an address that a wildcard covers, or the device.
    #[arg(required_unless_present = "hash")]
    name: Option<String>,
    /// Make one more password, which this label tells from the others. A device has one alone.
    #[arg(long, conflicts_with_all = ["list", "revoke"])]
    label: Option<String>,
    /// With --label, what the password is good for; submission alone if left out. May be given
    /// several times. A password without a label is good for everything.
    #[arg(
        long = "protocol",
        value_name = "PROTOCOL",
        value_parser = PROTOCOLS,
        conflicts_with_all = ["list", "revoke"]
    )]
    protocols: Vec<String>,
    /// Show the passwords that were made: label, protocols, when, and when they were used last.
    #[arg(long)]
    list: bool,
    /// Print the list as JSON.
    #[arg(long, requires = "list")]
    json: bool,
    /// End the password with this label; without one, that which has none.
    #[arg(long, value_name = "LABEL", num_args = 0..=1, conflicts_with = "list")]
    revoke: Option<Option<String>>,
    /// Read a password on standard input, one line of 1 to 1,024 bytes, and print the hash of it
    /// to write in the file as `local_password`.
    #[arg(long, exclusive = true)]
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
        Command::Init(arguments) => init::run(cli.config, &arguments),
        Command::Serve => serve::run(cli.config),
        Command::Check(CheckArgs { online: None }) => check::run(cli.config),
        Command::Check(CheckArgs { online: Some(account) }) => {
            check::online::run(cli.config, account)
        }
        Command::SendTest(arguments) => send_test::run(cli.config, arguments),
        Command::Accounts(AccountsArgs { json }) => accounts::run(cli.config, json),
        Command::Password(PasswordArgs { hash: true, .. }) => password::run(),
        Command::Password(arguments) => password::made::run(cli.config, arguments),
        Command::Token(arguments) => token::run(cli.config, arguments),
        Command::Authorize(arguments) => authorize::run(cli.config, arguments),
        Command::Certificates(arguments) => certificates::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Reload => reload::run(cli.config),
        Command::Healthcheck => healthcheck::run(cli.config),
        Command::SupportBundle(arguments) => support_bundle::run(cli.config, &arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(&arguments),
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
