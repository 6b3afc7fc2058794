//! What the demo prints.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{ACCOUNT, PASSWORD, columns};
use crate::provider::{MailHost, Protocol, UpstreamTls};
use crate::sandbox::{DEFAULT_SCOPE, Sandbox};

/// What was said in the client's last session for `protocol`, under `title`.
pub(super) fn side_by_side(
    title: &str,
    client: &[String],
    provider: &Sandbox,
    protocol: Protocol,
) -> String {
    let last = provider.transcripts().into_iter().rfind(|it| it.protocol == protocol);
    let entries = last.map(|transcript| transcript.entries).unwrap_or_default();
    let heard: Vec<String> = entries.iter().map(ToString::to_string).collect();
    format!("{title}\n\n{}", columns::side_by_side(client, &heard))
}

/// Lines to paste into another terminal.
pub(super) fn to_paste(submission: SocketAddr, imap: SocketAddr) -> String {
    let user = format!("{ACCOUNT}:{PASSWORD}");
    format!(
        "Now with a client of yours: paste these into another terminal. Or set up any mail\n\
         program: SMTP {submission}, IMAP {imap}, no encryption,\n\
         user name {ACCOUNT}, password {PASSWORD}.\n\n\
         # curl sends a message, and prints nothing when it is sent\n\
         printf 'Subject: Hello\\r\\n\\r\\nHello from curl\\r\\n' | curl --silent --show-error \
         --url smtp://{submission} --user {user} --mail-from {ACCOUNT} --mail-rcpt {ACCOUNT} \
         --upload-file -\n\n\
         # curl fetches the last message, and prints it\n\
         curl --silent --show-error --url 'imap://{imap}/INBOX;MAILINDEX=*' --user {user}\n\n\
         # swaks sends a message, and shows what was said\n\
         swaks --server {submission} --auth PLAIN --auth-user {ACCOUNT} --auth-password {PASSWORD} \
         --from {ACCOUNT} --to {ACCOUNT}\n\n\
         Ctrl-C ends it.\n"
    )
}

/// What somebody needs to test against the stand-in provider alone.
pub(super) fn facts(provider: &Sandbox) -> String {
    let mut text = format!(
        "issuer          {}\ntoken endpoint  {}\nclient id       {}\nclient secret   {}\nscope           {DEFAULT_SCOPE}\n",
        provider.issuer(),
        provider.token_endpoint(),
        provider.client_id(),
        provider.client_secret(),
    );
    let (submission, imap, pop3) = (provider.smtp(), provider.imap(), provider.pop3());
    for (name, host) in [("submission", submission), ("imap", imap), ("pop3", pop3)] {
        let _ = writeln!(text, "{name:<15} {host} ({})", tls(&host));
    }
    let _ = writeln!(text, "mailboxes       every name at example.com");
    let _ = write!(text, "authority\n{}", provider.ca_pem());
    let _ = write!(text, "public key of the tokens\n{}Ctrl-C ends it.", provider.public_key_pem());
    text
}

/// The same as one line of JSON, for programs.
pub(super) fn json(provider: &Sandbox) -> String {
    let host = |host: MailHost| {
        let tls = tls(&host);
        serde_json::json!({ "host": host.host, "port": host.port, "tls": tls })
    };
    serde_json::json!({
        "issuer": provider.issuer(),
        "token_endpoint": provider.token_endpoint(),
        "client_id": provider.client_id(),
        "client_secret": provider.client_secret(),
        "scopes": [DEFAULT_SCOPE],
        "submission": host(provider.smtp()),
        "imap": host(provider.imap()),
        "pop3": host(provider.pop3()),
        "ca_pem": provider.ca_pem(),
        "public_key_pem": provider.public_key_pem(),
        "kid": provider.key_id(),
    })
    .to_string()
}

fn tls(host: &MailHost) -> &'static str {
    match host.tls {
        UpstreamTls::Implicit => "implicit",
        UpstreamTls::StartTls => "starttls",
    }
}
