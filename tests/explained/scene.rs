//! A relay where every row of the table has a mailbox of its own: a 432 closes the gate of one for
//! ten seconds.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::provider::Protocol;
use mailbearer::relay::diagnosis::Row;

use crate::support::{Client, PASSWORD, Rig, RigSettings, server};

/// A listener for POP3, whose server [`rig`] puts in the place of the one here, and no patience with
/// gates that are closed.
const EXTRA: &str = "[limits]\n\
                     wait_for_slot = \"0s\"\n\
                     [listeners.pop3]\n\
                     protocol = \"pop3\"\n\
                     address = \"127.0.0.1:0\"\n\
                     accounts = [\"*@example.com\"]\n\
                     upstream = {smtp}\n";

pub(crate) async fn rig() -> Rig {
    rig_with("").await
}

/// The same with more of the file.
pub(crate) async fn rig_with(accounts: &str) -> Rig {
    let extra = format!("{EXTRA}{accounts}").leak();
    let settings = RigSettings { account: "*@example.com", extra, ..RigSettings::default() };
    let rig = Rig::with(settings).await;
    let upstream = |host| format!("upstream = {}", server("127.0.0.1", host));
    let [smtp, pop3] = [rig.provider.smtp(), rig.provider.pop3()];
    assert_eq!(smtp.host, "127.0.0.1");
    rig.reload(|text| text.replace(&upstream(&smtp), &upstream(&pop3))).await.unwrap();
    rig
}

/// Where `mailbox` signs in by `protocol`, with which line, and how the last line of the answer
/// begins: if it is accepted, and in any case.
pub(crate) fn sign_in(
    rig: &Rig,
    protocol: Protocol,
    mailbox: &str,
) -> (SocketAddr, String, [&'static str; 2]) {
    let plain = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{mailbox}\0{PASSWORD}")));
    match protocol {
        Protocol::Submission => (rig.submission, plain, ["235 ", ""]),
        Protocol::Imap => (rig.imap, format!("a LOGIN {mailbox} {PASSWORD}"), ["a OK", "a "]),
        Protocol::Pop3 => (rig.address("pop3"), plain, ["+OK", ""]),
    }
}

/// A session of `mailbox` that is signed in.
pub(crate) async fn signed_in(rig: &Rig, protocol: Protocol, mailbox: &str) -> Client {
    let (address, line, [accepted, _]) = sign_in(rig, protocol, mailbox);
    let mut client = Client::connect(address).await;
    client.line().await;
    client.send(&line).await;
    client.expect_after(accepted).await;
    client
}

/// The provider's line that says `row`; `{tag}` stands for the command's tag.
pub(crate) fn said(row: &Row) -> String {
    let is_tagged = ["NO ", "BAD "].iter().any(|status| row.sample.starts_with(status));
    format!("{}{}\r\n", if is_tagged { "{tag} " } else { "" }, row.sample)
}

/// What `accounts` shows of `mailbox`: protocol, reply, cause and fix.
pub(crate) async fn mail_error(rig: &Rig, mailbox: &str) -> Option<[String; 4]> {
    let error = rig.operator.accounts().await.unwrap().pop().unwrap().mail_error?;
    let shown = [error.protocol, error.reply, error.cause, error.fix];
    Some(shown).filter(|_| error.account == mailbox)
}
