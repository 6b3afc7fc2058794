//! `demo`: the main job shown on this machine alone. A stand-in provider, the relay before it, and
//! an old client that sends a message with AUTH PLAIN and reads it back with IMAP LOGIN.

mod client;
mod columns;
mod print;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::NamedTempFile;

use self::client::Heard;
use super::{DemoArgs, Exit, print as say, tell};
use crate::account::{AccountSettings, LocalPassword, Sender};
use crate::app::{App, Backing};
use crate::config::{Config, LogFormat, LogSettings, WebSettings};
use crate::logging;
use crate::names::{AccountPattern, Username};
use crate::net::egress::Egress;
use crate::net::listen::{Door, ListenAddress};
use crate::provider::{PerProtocol, Protocol};
use crate::relay::{Limits, ListenerSettings, ListenerTls};
use crate::sandbox::{Sandbox, SandboxSettings};
use crate::secret::{SecretSource, SecretString};
use crate::store::{KeySource, StoreSettings};

/// Whose mailbox the demo uses.
const ACCOUNT: &str = "alice@example.com";

/// The local password that the demo's old client shows. It opens nothing but this demo.
const PASSWORD: &str = "old-password";

/// Who has a mailbox at the stand-in provider.
const DOMAIN: &str = "*@example.com";

/// How many sessions a demo serves at once; more than anybody starts by hand.
const SESSIONS: usize = 100;

/// How long sessions may take to end when the demo does.
const GRACE: Duration = Duration::from_secs(2);

/// How a demo fails: a sentence for the user.
type Result<T> = std::result::Result<T, String>;

/// Runs the demo.
pub(super) fn run(arguments: DemoArgs) -> Exit {
    logging::init(&LogSettings { level: tracing::Level::WARN, format: LogFormat::Text });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(demo(arguments)),
        Err(error) => Err(format!("no threads can be started ({error})")),
    };
    match result {
        Ok(()) => Exit::Done,
        Err(problem) => {
            tell(problem);
            Exit::Failed
        }
    }
}

async fn demo(arguments: DemoArgs) -> Result<()> {
    let covered = AccountPattern::parse(DOMAIN).map_err(|error| error.to_string())?;
    let provider = Sandbox::start(SandboxSettings::new(vec![covered]))
        .await
        .map_err(|error| format!("the stand-in provider cannot start ({error})"))?;
    if arguments.provider_only {
        let facts = if arguments.json { print::json(&provider) } else { print::facts(&provider) };
        shown(&facts)?;
        return until_interrupted().await;
    }
    let mut ca_file = NamedTempFile::new().map_err(|error| no_file(&error))?;
    ca_file.write_all(provider.ca_pem().as_bytes()).map_err(|error| no_file(&error))?;
    let app = App::bind(config(&provider, &ca_file)?, Backing::in_memory())
        .map_err(|error| error.to_string())?;
    let address = |protocol| {
        let bound = app.bound().find(|bound| bound.protocol == protocol);
        bound.and_then(|bound| bound.address.tcp()).ok_or("a listener is missing")
    };
    let (submission, imap) = (address(Protocol::Submission)?, address(Protocol::Imap)?);
    let shutdown = app.shutdown();
    let relay = tokio::spawn(app.run());

    let result = round_trip(&provider, submission, imap).await;
    if result.is_ok() && !arguments.once {
        shown(&print::to_paste(submission, imap))?;
        until_interrupted().await?;
    }
    shutdown.drain.cancel();
    let _ = relay.await;
    result
}

/// Sends a message and reads it back; shows both sides.
async fn round_trip(provider: &Sandbox, submission: SocketAddr, imap: SocketAddr) -> Result<()> {
    let sent = client::MESSAGE;
    let by_smtp = client::send(submission).await?;
    shown(&print::side_by_side(
        "Sending a message. The client signs in with AUTH PLAIN and a password;\n\
         mailbearer makes it AUTH XOAUTH2 and a token (>). The rest is the same (=).",
        &by_smtp,
        provider,
        Protocol::Submission,
    ))?;
    let Heard { transcript, message } = client::fetch(imap).await?;
    shown(&print::side_by_side(
        "Reading it back. IMAP LOGIN with a password becomes AUTHENTICATE XOAUTH2.",
        &transcript,
        provider,
        Protocol::Imap,
    ))?;
    let mailbox = Username::parse(ACCOUNT).map_err(|error| error.to_string())?;
    let stored = provider.messages(&mailbox);
    let arrived = stored.last().map(|stored| stored.as_ref());
    if arrived != Some(sent) {
        return Err(format!(
            "the provider holds another message than the {} bytes sent",
            sent.len()
        ));
    }
    if message != sent {
        return Err(format!("{} bytes came back for the {} sent", message.len(), sent.len()));
    }
    shown(&format!("The message came back byte for byte ({} bytes).\n", sent.len()))
}

/// The relay before the stand-in provider.
fn config(provider: &Sandbox, ca_file: &NamedTempFile) -> Result<Config> {
    let account = AccountSettings {
        name: AccountPattern::parse(ACCOUNT).map_err(|error| error.to_string())?,
        provider: Arc::new(provider.provider(ca_file.path())),
        grant: Arc::new(provider.grant()),
        scopes: provider.scopes(),
        local_password: LocalPassword::Plain(SecretSource::Value(SecretString::from(PASSWORD))),
        mailbox: PerProtocol::default(),
        sender: Sender::Keep,
        is_pop3_served: false,
    };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = |protocol: Protocol| ListenerSettings {
        name: protocol.name().to_owned(),
        protocol,
        addresses: vec![Door::Tcp(ListenAddress::Socket(loopback))],
        allow: vec![loopback.ip().into()],
        proxy_protocol_from: Vec::new(),
        accounts: None,
        upstream: None,
        tls: ListenerTls::None,
        require_tls: None,
        devices: false,
    };
    Ok(Config {
        web: WebSettings::default(),
        egress: Egress::default(),
        listeners: vec![listener(Protocol::Submission), listener(Protocol::Imap)],
        accounts: vec![account],
        devices: Vec::new(),
        store: StoreSettings { path: PathBuf::new(), key: KeySource::Made(PathBuf::new()) },
        limits: Limits { sessions: SESSIONS, ..Limits::default() },
        log: LogSettings { level: tracing::Level::WARN, format: LogFormat::Text },
        grace: GRACE,
        warnings: Vec::new(),
    })
}

fn no_file(error: &std::io::Error) -> String {
    format!("no temporary file can be written ({error}): set TMPDIR to a directory that can be")
}

fn shown(text: &str) -> Result<()> {
    say(text).map_err(|error| format!("the output cannot be written ({error})"))
}

async fn until_interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let received = |error| format!("signals cannot be received ({error})");
    let mut terminate = signal(SignalKind::terminate()).map_err(received)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(received)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
