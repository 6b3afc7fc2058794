//! The IMAP server: IMAP4rev1 with one mailbox, INBOX; XOAUTH2 and OAUTHBEARER under TLS alone.
//!
//! Source: RFC 3501, 2177 (IDLE), 2342 (NAMESPACE), 2971 (ID), 3691 (UNSELECT), 4315 (UIDPLUS), 4959
//!         (SASL-IR), 7628, 7888 (LITERAL+).
//! In:     commands with literals. Out: responses; messages byte for byte as they came in.
//! Phases: in clear until STARTTLS, before the sign-in, and signed in ([`session`]).

mod command;
mod fetch;
mod search;
mod selected;
mod session;
mod set;

use bytes::Bytes;

use super::ImapWelcome;
use super::conversation::{Conversation, Cue, End};
use super::script::Step;
use super::server::{Shared, SignedIn};
use super::sign_in::{self, SignInRefusal};
use crate::proto::sasl::challenge;
use crate::provider::{Mechanism, UpstreamTls};
use command::Command;
use session::Session;

/// What the literals of one command may take before the sign-in, in bytes: the longest token.
const LITERALS_LEN_MAX: usize = 65_536;

/// What is shown before the sign-in besides how to sign in. As at Exchange Online, more is shown
/// after it.
const CAPABILITIES: &str = "IMAP4rev1 SASL-IR UIDPLUS ID IDLE NAMESPACE LITERAL+";

/// Speaks with one client until either ends it.
pub(super) async fn converse(mut talk: Conversation, shared: &Shared) {
    let starts_in_clear = shared.begin_tls.imap == UpstreamTls::StartTls;
    if starts_in_clear && let Err(end) = speak_in_clear(&mut talk).await {
        return talk.close(end).await;
    }
    let Ok(mut talk) = talk.start_tls(&shared.tls).await else { return };
    let greeted = if starts_in_clear { Ok(()) } else { greet(&mut talk, Tls::Active).await };
    let signed_in = match greeted {
        Ok(()) => sign_in(&mut talk, shared).await,
        Err(end) => Err(end),
    };
    match signed_in {
        Ok(signed_in) => {
            let mut session = Session::new(shared, talk, signed_in);
            let end = session.speak().await;
            session.close(end).await;
        }
        Err(end) => talk.close(end).await,
    }
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy)]
enum Tls {
    Active,
    Offered,
}

fn capabilities(tls: Tls) -> String {
    match tls {
        Tls::Active => format!("{CAPABILITIES} AUTH=XOAUTH2 AUTH=OAUTHBEARER"),
        Tls::Offered => format!("{CAPABILITIES} STARTTLS LOGINDISABLED"),
    }
}

async fn greet(talk: &mut Conversation, tls: Tls) -> Result<(), End> {
    if talk.cue(Step::Greeting, "*").await? != Cue::Skip {
        talk.say(&format!("* OK [CAPABILITY {}] mailbearer sandbox ready.", capabilities(tls)));
    }
    Ok(())
}

/// Speaks until TLS is to begin.
async fn speak_in_clear(talk: &mut Conversation) -> Result<(), End> {
    greet(talk, Tls::Offered).await?;
    loop {
        let Some(Command { tag, verb, .. }) = Command::read(talk, LITERALS_LEN_MAX).await? else {
            continue;
        };
        if talk.cue(Step::Command(&verb), &tag).await? == Cue::Skip {
            continue;
        }
        match verb.as_str() {
            "STARTTLS" => {
                talk.say(&format!("{tag} OK Begin TLS negotiation now."));
                return Ok(());
            }
            "AUTHENTICATE" | "LOGIN" => {
                talk.say(&format!("{tag} NO [PRIVACYREQUIRED] Start TLS first."));
            }
            _ => common_command(talk, &tag, &verb, &capabilities(Tls::Offered))?,
        }
    }
}

/// Speaks until somebody is signed in.
async fn sign_in(talk: &mut Conversation, shared: &Shared) -> Result<SignedIn, End> {
    loop {
        let Some(command) = Command::read(talk, LITERALS_LEN_MAX).await? else { continue };
        let Command { tag, verb, mut arguments } = command;
        if talk.cue(Step::Command(&verb), &tag).await? == Cue::Skip {
            continue;
        }
        match verb.as_str() {
            "AUTHENTICATE" => {
                let mechanism = arguments.atom().ok();
                let Some(mechanism) = mechanism.as_deref().and_then(sign_in::mechanism) else {
                    talk.say(&format!("{tag} NO Unsupported authentication mechanism."));
                    continue;
                };
                let inline = arguments.atom().ok();
                let signed_in = authenticate(talk, shared, mechanism, inline, &tag).await?;
                if let Some(signed_in) = signed_in {
                    return Ok(signed_in);
                }
            }
            "LOGIN" => talk.say(&format!("{tag} NO LOGIN is not possible here.")),
            "STARTTLS" => talk.say(&format!("{tag} BAD TLS is active.")),
            _ => common_command(talk, &tag, &verb, &capabilities(Tls::Active))?,
        }
    }
}

/// Reads the initial response if it was not inline, and judges it.
async fn authenticate(
    talk: &mut Conversation,
    shared: &Shared,
    mechanism: Mechanism,
    inline: Option<String>,
    tag: &str,
) -> Result<Option<SignedIn>, End> {
    let response = match inline {
        Some(inline) => Bytes::from(inline),
        None => {
            talk.say("+ ");
            let line = talk.line().await?;
            talk.heard_hidden("token", line.len());
            line
        }
    };
    if *response == *b"*" {
        talk.say(&format!("{tag} BAD AUTHENTICATE cancelled."));
        return Ok(None);
    }
    let verdict = shared.judge(talk, mechanism, &response, tag).await?;
    match verdict.result {
        Ok(signed_in) => {
            let user = &signed_in.user;
            let capabilities = session::capabilities();
            talk.say(&match shared.imap_welcome {
                ImapWelcome::Bare => format!("{tag} OK AUTHENTICATE completed."),
                ImapWelcome::Untagged => {
                    format!(
                        "* CAPABILITY {capabilities}\r\n{tag} OK {user} authenticated (Success)"
                    )
                }
                ImapWelcome::Code => format!("{tag} OK [CAPABILITY {capabilities}] Logged in"),
            });
            Ok(Some(signed_in))
        }
        Err(_) if verdict.answered => Ok(None),
        Err(SignInRefusal::Crowded) => {
            // Gmail's, as seen in public logs.
            talk.say(&format!("{tag} NO [ALERT] Too many simultaneous connections. (Failure)"));
            Ok(None)
        }
        Err(refusal) => refuse(talk, mechanism, refusal, tag).await.map(|()| None),
    }
}

/// Sends the error challenge, and the final reply once the client answered it.
async fn refuse(
    talk: &mut Conversation,
    mechanism: Mechanism,
    refusal: SignInRefusal,
    tag: &str,
) -> Result<(), End> {
    let challenge = sign_in::error_challenge(mechanism, refusal, talk.protocol());
    talk.say(&format!("+ {challenge}"));
    let answer = talk.line().await?;
    talk.heard(&answer);
    if *answer == *challenge::acknowledgement(mechanism).as_bytes() {
        talk.say(&format!("{tag} NO AUTHENTICATE failed."));
    } else {
        talk.say(&format!("{tag} BAD The error challenge wants another answer."));
    }
    Ok(())
}

/// Answers what may be said at any time.
fn common_command(
    talk: &mut Conversation,
    tag: &str,
    verb: &str,
    capabilities: &str,
) -> Result<(), End> {
    match verb {
        "CAPABILITY" => {
            talk.say(&format!("* CAPABILITY {capabilities}\r\n{tag} OK CAPABILITY completed."));
        }
        "NOOP" => talk.say(&format!("{tag} OK NOOP completed.")),
        "ID" => {
            talk.say(&format!("* ID (\"name\" \"mailbearer sandbox\")\r\n{tag} OK ID completed."));
        }
        "LOGOUT" => {
            talk.say(&format!("* BYE Logging out.\r\n{tag} OK LOGOUT completed."));
            return Err(End::Orderly);
        }
        _ => talk.say(&format!("{tag} BAD Command received in invalid state or unknown.")),
    }
    Ok(())
}
