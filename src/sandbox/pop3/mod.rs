//! The POP3 server, as Exchange Online's is: XOAUTH2 and OAUTHBEARER under TLS alone, and the token
//! on a line of its own or not at all.
//!
//! Source: RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH).
//! In:     commands. Out: replies; messages byte for byte as they came in, their lines that begin
//!         with a dot stuffed, with a CRLF at the end where they have none.
//! Phases: in clear until STLS, before the sign-in, and signed in ([`session`]).

mod session;

use super::conversation::{Conversation, Cue, End};
use super::record::hidden;
use super::script::Step;
use super::server::{Shared, SignedIn};
use super::sign_in::{self, SignInRefusal};
use crate::proto::sasl::challenge;
use crate::provider::{Mechanism, UpstreamTls};
use session::Session;

/// What CAPA shows besides how to sign in.
const CAPABILITIES: &str = "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING";

/// Speaks with one client until either ends it.
pub(super) async fn converse(mut talk: Conversation, shared: &Shared) {
    let starts_in_clear = shared.begin_tls.pop3 == UpstreamTls::StartTls;
    if starts_in_clear && let Err(end) = speak_in_clear(&mut talk).await {
        return talk.close(end).await;
    }
    let Ok(mut talk) = talk.start_tls(&shared.tls).await else { return };
    let greeted = if starts_in_clear { Ok(()) } else { greet(&mut talk).await };
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

/// A line from the client.
struct Command {
    /// In upper case; it is data of the peer and may be anything.
    verb: String,
    argument: String,
}

impl Command {
    /// Reads one and puts it on record without its credentials.
    async fn read(talk: &mut Conversation) -> Result<Self, End> {
        let line = talk.line().await?;
        let text = String::from_utf8_lossy(&line);
        let (verb, argument) = text.split_once(' ').unwrap_or((&text, ""));
        let command = Self { verb: verb.to_ascii_uppercase(), argument: argument.to_owned() };
        match (command.verb.as_str(), argument.split_once(' ')) {
            ("AUTH", Some((mechanism, response))) => {
                let response = hidden("token", response.len());
                talk.heard(format!("{verb} {mechanism} {response}").as_bytes());
            }
            _ => talk.heard(&line),
        }
        Ok(command)
    }
}

async fn greet(talk: &mut Conversation) -> Result<(), End> {
    if talk.cue(Step::Greeting, "").await? != Cue::Skip {
        talk.say("+OK mailbearer sandbox POP3 ready.");
    }
    Ok(())
}

/// Speaks until TLS is to begin.
async fn speak_in_clear(talk: &mut Conversation) -> Result<(), End> {
    greet(talk).await?;
    loop {
        let Command { verb, .. } = Command::read(talk).await?;
        if talk.cue(Step::Command(&verb), "").await? == Cue::Skip {
            continue;
        }
        match verb.as_str() {
            "STLS" => {
                talk.say("+OK Begin TLS negotiation.");
                return Ok(());
            }
            "CAPA" => talk.say(&capabilities("STLS")),
            "QUIT" => return quit(talk),
            _ => talk.say("-ERR Start TLS first."),
        }
    }
}

fn capabilities(sign_in: &str) -> String {
    format!("+OK\r\n{CAPABILITIES}\r\n{sign_in}\r\n.")
}

fn quit<T>(talk: &mut Conversation) -> Result<T, End> {
    talk.say("+OK Signing off.");
    Err(End::Orderly)
}

/// Speaks until somebody is signed in.
async fn sign_in(talk: &mut Conversation, shared: &Shared) -> Result<SignedIn, End> {
    loop {
        let Command { verb, argument } = Command::read(talk).await?;
        if talk.cue(Step::Command(&verb), "").await? == Cue::Skip {
            continue;
        }
        match verb.as_str() {
            "AUTH" => {
                if let Some(signed_in) = authenticate(talk, shared, &argument).await? {
                    return Ok(signed_in);
                }
            }
            "CAPA" => talk.say(&capabilities(session::SASL)),
            "QUIT" => return quit(talk),
            _ => talk.say("-ERR Command is not valid in this state."),
        }
    }
}

/// Asks for the token and judges it.
async fn authenticate(
    talk: &mut Conversation,
    shared: &Shared,
    argument: &str,
) -> Result<Option<SignedIn>, End> {
    let (name, inline) = argument.split_once(' ').unwrap_or((argument, ""));
    let Some(mechanism) = sign_in::mechanism(name) else {
        talk.say("-ERR Unrecognized authentication type.");
        return Ok(None);
    };
    if !inline.is_empty() {
        talk.say("-ERR Protocol error. Connection is closed. 10");
        return Err(End::Orderly);
    }
    talk.say("+ ");
    let response = talk.line().await?;
    if *response == *b"*" {
        talk.heard(&response);
        talk.say("-ERR AUTH cancelled.");
        return Ok(None);
    }
    talk.heard_hidden("token", response.len());
    let verdict = shared.judge(talk, mechanism, &response, "").await?;
    match verdict.result {
        Ok(signed_in) => {
            talk.say("+OK User successfully authenticated.");
            Ok(Some(signed_in))
        }
        Err(_) if verdict.answered => Ok(None),
        Err(SignInRefusal::Crowded) => {
            // RFC 3206 section 4: what may pass.
            talk.say("-ERR [SYS/TEMP] Too many simultaneous connections.");
            Ok(None)
        }
        Err(refusal) => refuse(talk, mechanism, refusal).await.map(|()| None),
    }
}

/// Sends the error challenge, and the final reply once the client answered it.
async fn refuse(
    talk: &mut Conversation,
    mechanism: Mechanism,
    refusal: SignInRefusal,
) -> Result<(), End> {
    let challenge = sign_in::error_challenge(mechanism, refusal, talk.protocol());
    talk.say(&format!("+ {challenge}"));
    let answer = talk.line().await?;
    talk.heard(&answer);
    if *answer == *challenge::acknowledgement(mechanism).as_bytes() {
        talk.say("-ERR Authentication failure: unknown user name or bad password.");
    } else {
        talk.say("-ERR The error challenge wants another answer.");
    }
    Ok(())
}
