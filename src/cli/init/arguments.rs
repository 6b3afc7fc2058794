//! What `init` is told by flags. Whatever is told is not asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// What `init` is asked for.
#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// The mailbox: what programs will sign in by.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) address: Option<String>,
    /// Its provider: microsoft, google, outlook-com, yahoo, fastmail … Default: what the address, or
    /// the MX records of its domain, tell.
    #[arg(long, value_name = "NAME", conflicts_with = "issuer")]
    pub(super) provider: Option<String>,
    /// A provider that is not built in, by its issuer; its mail servers are told as well.
    #[arg(long, value_name = "URL")]
    pub(super) issuer: Option<String>,
    /// What tokens are asked for at that issuer, separated by blanks.
    #[arg(long, value_name = "SCOPES", requires = "issuer")]
    pub(super) scopes: Option<String>,
    /// The submission server of that provider: HOST:PORT, with /tls or /starttls behind it where
    /// the port does not tell.
    #[arg(long, value_name = "HOST:PORT", requires = "issuer")]
    pub(super) submission: Option<String>,
    /// Its IMAP server.
    #[arg(long, value_name = "HOST:PORT", requires = "issuer")]
    pub(super) imap: Option<String>,
    /// Its POP3 server.
    #[arg(long, value_name = "HOST:PORT", requires = "issuer")]
    pub(super) pop3: Option<String>,
    /// Certificates (PEM) that it is trusted by, besides those of this machine.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Microsoft's directory (tenant) ID, or a domain of the organisation. Default: the address's.
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// How tokens are obtained: authorization-code or device-code (a person consents),
    /// client-credentials (an application's permission), service-account (Google Workspace).
    #[arg(long, value_name = "GRANT")]
    pub(super) grant: Option<String>,
    /// The application (client) ID of the registration at the provider.
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// The variable of the environment that holds the client secret.
    #[arg(long, value_name = "NAME", group = "secret")]
    pub(super) client_secret_env: Option<String>,
    /// The file that holds the client secret.
    #[arg(long, value_name = "FILE", group = "secret")]
    pub(super) client_secret_file: Option<PathBuf>,
    /// Read the client secret on standard input, one line, and keep it in a file for the owner alone.
    #[arg(long, group = "secret")]
    pub(super) client_secret_stdin: bool,
    /// The JSON file of a service account, as Google made it.
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// What is served, and where: submission, imap or pop3, with =ADDRESS behind it for another than
    /// the usual one. May be given several times. Default: submission and imap, on this machine.
    #[arg(long, value_name = "PROTOCOL[=ADDRESS]")]
    pub(super) listen: Vec<String>,
    /// A network of printers and scanners that send without signing in. May be given several times.
    #[arg(long, value_name = "NETWORK")]
    pub(super) devices: Vec<String>,
    /// Where the page listens that shows the accounts, or off. Default: 127.0.0.1:8587; for a new
    /// file the next port that is free, by thousands.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) web: Option<String>,
    /// The file to write. Default: the one that -c names, or ./mailbearer.toml; with --unit
    /// /etc/mailbearer/mailbearer.toml, with --compose beside that file.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write the unit of systemd, too, into this file. Password and consent are left to the service.
    #[arg(long, alias = "systemd", value_name = "FILE")]
    pub(super) unit: Option<PathBuf>,
    /// Write a compose file, too. Password and consent are left to the container.
    #[arg(long, value_name = "FILE", conflicts_with = "unit")]
    pub(super) compose: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    pub(super) force: bool,
    /// How the person consents when the file is written: browser, paste, device or later. Default
    /// where nobody is asked: later.
    #[arg(long, value_name = "WAY")]
    pub(super) authorize: Option<String>,
    /// The name server to ask for MX records. Default: the system's.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) name_server: Option<SocketAddr>,
    /// Ask nothing: take what is proposed, and stop where nothing can be.
    #[arg(long, short)]
    pub(super) yes: bool,
}
