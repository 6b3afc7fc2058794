//! A relay that keeps connections ready, and sessions that come and go.

use mailbearer::provider::Protocol;
use mailbearer::sandbox::Sandbox;

use crate::support::log::Log;
use crate::support::stage::{IMAP_CLEAR, IMAP_WITHOUT_SASL_IR, Stage, Tls, Words, words};
use crate::support::upstream::Script;
use crate::support::{Client, Rig, RigSettings};

/// What is logged once a connection can be given.
pub const READY: &str = "warm connection ready";

/// A listener of each protocol, before servers of each.
const POP3: &str = "[listeners.pop3]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:0\"\n";

/// Tries that must be none too many to be told from none.
pub const SEVERAL: usize = 6;

/// A relay before the stand-in provider, with at most so many warm connections, and `settings`.
pub async fn rig(limit: usize, settings: RigSettings) -> Rig {
    let extra = format!("{POP3}{}[limits]\nwarm_connections = {limit}\n", settings.extra).leak();
    Rig::with(RigSettings { provider: "pop3 = {pop3}\n", extra, ..settings }).await
}

/// A relay before scripted servers, with one warm connection at most.
pub async fn stage() -> Stage {
    Stage::with(Tls::None, "[limits]\nwarm_connections = 1\n").await
}

/// A session of that protocol that is signed in.
pub async fn signed_in(rig: &Rig, protocol: Protocol) -> Client {
    let mut client = rig.greeted(protocol.name()).await;
    sign_in(&mut client, protocol).await;
    client
}

/// The whole sign-in at a provider of that protocol.
pub fn whole(protocol: Protocol) -> Script {
    crate::support::stage::sign_in(protocol)
}

/// The same at a server of IMAP where the token has a line of its own.
pub fn without_sasl_ir() -> Script {
    Script::parse(IMAP_CLEAR).and(&Script::parse(IMAP_WITHOUT_SASL_IR))
}

/// As far into it as no token is shown.
pub fn ahead(protocol: Protocol) -> Script {
    let whole = whole(protocol);
    // The token with its line, the verdict, and in IMAP what is said before that in one write.
    whole.cut(whole.len() - 2)
}

/// The same with the line that shows the token.
pub fn shown(protocol: Protocol) -> Script {
    let whole = whole(protocol);
    whole.cut(whole.len() - 1)
}

/// A stage on which two sessions were signed in; the connection behind them does as `script` says.
pub async fn warmed_up_on(protocol: Protocol, script: Script, log: &Log) -> Stage {
    let stage = stage().await;
    warm_up(&stage, protocol, script, log).await;
    stage
}

/// Has two sessions sign in, behind which a connection is made that does as `script` says.
pub async fn warm_up(stage: &Stage, protocol: Protocol, script: Script, log: &Log) {
    let upstream = stage.upstreams.get(protocol);
    for script in [whole(protocol), whole(protocol), script] {
        upstream.plays(script);
    }
    for _ in 0..2 {
        signed_in_on(stage, protocol).await;
    }
    log.take_until(READY).await;
}

/// A session on that stage that is signed in.
pub async fn signed_in_on(stage: &Stage, protocol: Protocol) -> Client {
    let mut client = stage.greeted(protocol).await;
    sign_in(&mut client, protocol).await;
    client
}

/// Signs in, which must be accepted.
pub async fn sign_in(client: &mut Client, protocol: Protocol) {
    let Words { sign_in, accepted, .. } = words(protocol);
    client.send(sign_in).await;
    client.expect_after(accepted).await;
}

/// A session from its beginning to its end.
pub async fn session(rig: &Rig, protocol: Protocol) {
    let mut client = signed_in(rig, protocol).await;
    client.send(if protocol == Protocol::Imap { "z LOGOUT" } else { "QUIT" }).await;
    client.rest().await;
}

/// As many sessions as call for one connection, which is then ready.
pub async fn warmed_up(rig: &Rig, protocol: Protocol, log: &Log) {
    session(rig, protocol).await;
    session(rig, protocol).await;
    log.take_until(READY).await;
}

/// How many connections the provider's server of that protocol had.
pub fn connections(provider: &Sandbox, protocol: Protocol) -> u64 {
    match protocol {
        Protocol::Submission => provider.smtp_connections(),
        Protocol::Imap => provider.imap_connections(),
        Protocol::Pop3 => provider.pop3_connections(),
    }
}

/// What its client said on the connection of that number.
pub fn heard(rig: &Rig, protocol: Protocol, number: u64) -> Vec<String> {
    let transcripts = rig.provider.transcripts().into_iter();
    let mut found = transcripts.filter(|it| it.protocol == protocol && it.number == number);
    let entries = found.next().unwrap().entries;
    entries
        .iter()
        .map(ToString::to_string)
        .filter_map(|it| Some(it.strip_prefix("C: ")?.into()))
        .collect()
}
