//! What the demo prints.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{ACCOUNT, PASSWORD};
use crate::provider::{MailHost, Protocol, UpstreamTls};
use crate::sandbox::{DEFAULT_SCOPE, Sandbox};

/// Characters in each of the two columns; both fit a terminal of 132.
const COLUMN_LEN: usize = 64;

/// The client's transcript beside the provider's last one for `protocol`.
pub(super) fn side_by_side(
    title: &str,
    client: &[String],
    provider: &Sandbox,
    protocol: Protocol,
) -> String {
    let heard: Vec<String> = provider
        .transcripts()
        .into_iter()
        .rfind(|transcript| transcript.protocol == protocol)
        .map(|transcript| transcript.entries.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let mut text = format!("{title}\n\n");
    let rows = client.len().max(heard.len());
    let line = |lines: &[String], row: usize| lines.get(row).map_or(String::new(), |it| cut(it));
    let mut row_of = |left: &str, right: &str| {
        let row = format!("  {left:<COLUMN_LEN$} | {right}");
        text.push_str(row.trim_end());
        text.push('\n');
    };
    row_of("old client <-> mailbearer", "mailbearer <-> provider");
    row_of(&"-".repeat(COLUMN_LEN), &"-".repeat(COLUMN_LEN));
    for row in 0..rows {
        row_of(&line(client, row), &line(&heard, row));
    }
    text.push('\n');
    text
}

fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMN_LEN {
        return line.to_owned();
    }
    line.chars().take(COLUMN_LEN - 3).chain("...".chars()).collect()
}

/// Lines to paste into another terminal.
pub(super) fn to_paste(submission: SocketAddr, imap: SocketAddr) -> String {
    let user = format!("{ACCOUNT}:{PASSWORD}");
    format!(
        "Now with a client of yours, from another terminal:\n\n\
         printf 'Subject: Hello\\r\\n\\r\\nHello from curl\\r\\n' | curl --silent --show-error \
         --url smtp://{submission} --user {user} --mail-from {ACCOUNT} --mail-rcpt {ACCOUNT} \
         --upload-file -\n\n\
         curl --silent --show-error --url 'imap://{imap}/INBOX;MAILINDEX=*' --user {user}\n\n\
         swaks --server {submission} --auth PLAIN --auth-user {ACCOUNT} --auth-password {PASSWORD} \
         --from {ACCOUNT} --to {ACCOUNT}\n\n\
         Ctrl-C ends it.\n"
    )
}

/// What somebody needs to test against the stand-in provider alone.
pub(super) fn facts(provider: &Sandbox) -> String {
    let mut text = format!(
        "token endpoint  {}\nclient id       {}\nclient secret   {}\nscope           {DEFAULT_SCOPE}\n",
        provider.token_endpoint(),
        provider.client_id(),
        provider.client_secret(),
    );
    for (name, host) in [("submission", provider.smtp()), ("imap", provider.imap())] {
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
        "token_endpoint": provider.token_endpoint(),
        "client_id": provider.client_id(),
        "client_secret": provider.client_secret(),
        "scopes": [DEFAULT_SCOPE],
        "submission": host(provider.smtp()),
        "imap": host(provider.imap()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_to_their_column() {
        assert_eq!(cut(&"é".repeat(COLUMN_LEN)), "é".repeat(COLUMN_LEN));
        let cut = cut(&"é".repeat(COLUMN_LEN + 1));
        assert_eq!((cut.chars().count(), cut.ends_with("...")), (COLUMN_LEN, true));
    }
}
