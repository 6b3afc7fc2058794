//! An obstacle: what stands in the way of a step, for whoever runs a command.

use std::io;

use crate::names::AddressError;
use crate::names::Username;
use crate::net::connect::ConnectError;
use crate::net::tls::TlsError;
use crate::oauth::TokenError;
use crate::proto::{Lasting, UpstreamFault};
use crate::provider::{Protocol, Provider, UpstreamTls};
use crate::relay::diagnosis::{Diagnosis, Remedy};
use crate::relay::gate::Full;
use crate::relay::upstream::SignInError;

/// What stands in the way. Nothing in it is a secret, and it is printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Obstacle {
    /// What happened, in a clause.
    pub cause: String,
    /// What to do, in a clause; empty where the cause says it.
    pub fix: String,
    /// Whether it may pass by itself.
    pub lasting: Lasting,
}

impl Obstacle {
    /// What `error` means on the way to a server whose TLS begins so.
    pub(super) fn of(error: &SignInError, tls: UpstreamTls) -> Self {
        let fix = match error {
            SignInError::Token(error) => return Self::of_token(error),
            SignInError::Tls(error) => fix_of_tls(error, tls),
            SignInError::TimedOut { .. } | SignInError::Broke { .. } => {
                "try again; if it stays so, see what stands between this machine and the server"
            }
            SignInError::Connect(_) | SignInError::Fault { .. } | SignInError::Refused { .. } => {
                error.fix().unwrap_or_default()
            }
        };
        Self { cause: error.to_string(), fix: fix.to_owned(), lasting: lasting(may_pass(error)) }
    }

    /// That there is no token.
    pub(super) fn of_token(error: &TokenError) -> Self {
        let (cause, fix) = (error.cause.clone(), error.fix.clone());
        Self { cause, fix, lasting: lasting(error.is_temporary()) }
    }

    /// What it means that the server answers what belongs to a message with `reply`.
    pub(super) fn of_reply(reply: &str, lasting: Lasting) -> Self {
        let cause = format!("the provider does not take the message: {reply}");
        match Diagnosis::in_session(Protocol::Submission, reply) {
            Some(known) => Self {
                cause: format!("{cause}; {}", known.cause),
                fix: known.fix.to_owned(),
                lasting: if known.remedy == Remedy::Time { Lasting::Temporary } else { lasting },
            },
            None => {
                let fix = match lasting {
                    Lasting::Temporary => "try again later",
                    Lasting::Permanent => {
                        "look the code up at the provider, and check the two addresses"
                    }
                };
                Self { cause, fix: fix.to_owned(), lasting }
            }
        }
    }

    /// That there is no server.
    pub(super) fn no_server(provider: &Provider, protocol: Protocol) -> Self {
        Self {
            cause: format!("the provider {} has no server for {protocol}", provider.name),
            fix: format!("write `providers.{}.{protocol}`", provider.name),
            lasting: Lasting::Permanent,
        }
    }

    /// That no place at the gate of `mailbox` became free.
    pub(super) fn busy(full: Full, mailbox: &Username) -> Self {
        Self {
            cause: format!("{mailbox}: {full}"),
            fix: "let clients of this mailbox open fewer connections, or close idle ones; see \
                  `concurrent_sessions` of the provider"
                .to_owned(),
            lasting: Lasting::Temporary,
        }
    }

    /// That a message can be from nobody.
    pub(super) fn no_sender(mailbox: &str, error: AddressError) -> Self {
        Self {
            cause: format!("{mailbox:?} is no address that a message can be from ({error})"),
            fix: "write the account's address as its `mailbox`".to_owned(),
            lasting: Lasting::Permanent,
        }
    }

    /// That the server does not go on with what belongs to a message.
    pub(super) fn broken(host: &str, problem: &str) -> Self {
        Self {
            cause: format!("{host} did not go on ({problem}), and did not take the message"),
            fix: "try again; if it stays so, see what stands between this machine and the server"
                .to_owned(),
            lasting: Lasting::Temporary,
        }
    }

    /// That the server took the message or did not, and nobody knows which.
    pub(super) fn no_answer(host: &str, problem: &str) -> Self {
        Self {
            cause: format!(
                "{host} did not answer to the message ({problem}), so it may have taken it"
            ),
            fix: "look for the message before you send another".to_owned(),
            lasting: Lasting::Temporary,
        }
    }
}

fn lasting(may_pass: bool) -> Lasting {
    if may_pass { Lasting::Temporary } else { Lasting::Permanent }
}

/// Whether the same may go better later, with nobody doing anything.
fn may_pass(error: &SignInError) -> bool {
    match error {
        SignInError::Token(error) => error.is_temporary(),
        SignInError::Connect(ConnectError::Resolve { source, .. })
            if source.kind() == io::ErrorKind::TimedOut =>
        {
            true
        }
        // glibc's and musl's words for EAI_AGAIN, which the standard library does not tell apart.
        SignInError::Connect(ConnectError::Resolve { source, .. }) => {
            let told = source.to_string();
            ["Temporary failure", "Try again"].iter().any(|words| told.contains(words))
        }
        SignInError::Connect(ConnectError::Refused { .. } | ConnectError::TimedOut { .. })
        | SignInError::Broke { .. }
        | SignInError::TimedOut { .. } => true,
        SignInError::Connect(ConnectError::Proxy(error)) => error.problem.may_pass(),
        SignInError::Connect(
            ConnectError::NoAddress { .. } | ConnectError::Bind { .. } | ConnectError::Egress(_),
        ) => false,
        SignInError::Tls(_) => false,
        SignInError::Fault { fault, .. } => match fault {
            // IMAP's BYE has no code; it is how servers say that they are busy.
            UpstreamFault::TurnedAway { reply } => !reply.starts_with('5'),
            UpstreamFault::NoStartTls
            | UpstreamFault::CleartextBehindStartTls
            | UpstreamFault::Preauth
            | UpstreamFault::NoMechanism { .. }
            | UpstreamFault::Protocol { .. } => false,
        },
        SignInError::Refused { refusal, .. } => match refusal.lasting {
            Lasting::Temporary => true,
            Lasting::Permanent => Diagnosis::of(&refusal.reply).remedy == Remedy::Time,
        },
    }
}

/// What to do about TLS that did not come about; rustls's words tell which it is.
fn fix_of_tls(error: &TlsError, tls: UpstreamTls) -> &'static str {
    let TlsError::Handshake { problem, .. } = error else { return "" };
    let is = |words: &str| problem.contains(words);
    if is("UnknownIssuer") {
        "nobody that is trusted here issued the certificate: write its authority's certificate (PEM) \
         as the provider's `ca_file`; where something on the path looks into TLS, that one's"
    } else if is("not valid for name") {
        "write a host that the certificate names, or have the server show another certificate"
    } else if is("expired") || is("not valid yet") {
        "have the server's certificate renewed, or set this machine's clock"
    } else if is("InvalidContentType") || is("corrupt message") {
        match tls {
            UpstreamTls::Implicit => {
                "the server does not begin with TLS on that port: write tls = \"starttls\" or the \
                 other port"
            }
            UpstreamTls::StartTls => "see what stands between this machine and the server",
        }
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;
    use crate::proto::UpstreamRefusal;

    fn refused(reply: &str, lasting: Lasting) -> SignInError {
        let mailbox = Username::parse("alice@contoso.com").unwrap();
        let (reply, challenge_status) = (reply.to_owned(), None);
        let refusal = UpstreamRefusal { reply, lasting, challenge_status, is_farewell: false };
        SignInError::Refused { host: "smtp.example:587".into(), mailbox, claims: None, refusal }
    }

    fn turned_away(reply: &str) -> SignInError {
        let fault = UpstreamFault::TurnedAway { reply: reply.into() };
        SignInError::Fault { host: "smtp.example:587".into(), fault }
    }

    fn unresolved(words: &str) -> SignInError {
        let (host, source) = ("smtp.example:587".to_owned(), io::Error::other(words.to_owned()));
        ConnectError::Resolve { host, source }.into()
    }

    #[test]
    fn obstacle_is_temporary_only_when_waiting_may_help() {
        let host = || "smtp.example:587".to_owned();
        let closed = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, lasting) in [
            (unresolved("failed: Temporary failure in name resolution"), Lasting::Temporary),
            (unresolved("failed: Name or service not known"), Lasting::Permanent),
            (ConnectError::Refused { host: host(), source: closed }.into(), Lasting::Temporary),
            (SignInError::TimedOut { host: host() }, Lasting::Temporary),
            (turned_away("421 4.3.2 busy"), Lasting::Temporary),
            (turned_away("BYE busy"), Lasting::Temporary),
            (turned_away("554 5.7.1 blocked"), Lasting::Permanent),
            (
                SignInError::Fault { host: host(), fault: UpstreamFault::NoStartTls },
                Lasting::Permanent,
            ),
            (refused("454 4.7.0 later", Lasting::Temporary), Lasting::Temporary),
            (
                refused("NO [ALERT] Too many simultaneous connections.", Lasting::Permanent),
                Lasting::Temporary,
            ),
            (
                refused("535 5.7.3 Authentication unsuccessful", Lasting::Permanent),
                Lasting::Permanent,
            ),
        ] {
            assert_eq!(Obstacle::of(&error, UpstreamTls::StartTls).lasting, lasting, "{error}");
        }
    }

    #[test]
    fn obstacle_of_a_refusal_names_the_mailbox_as_people_write_it() {
        let error = refused("535 5.7.8 Error: authentication failed", Lasting::Permanent);
        let told = "smtp.example:587 refuses the sign-in as alice@contoso.com: 535 5.7.8 Error: \
                    authentication failed; ";
        let cause = Obstacle::of(&error, UpstreamTls::StartTls).cause;
        assert!(cause.starts_with(told), "{cause}");
    }

    #[test]
    fn obstacle_of_a_handshake_names_what_to_change() {
        for (problem, tls, part) in [
            ("invalid peer certificate: UnknownIssuer", UpstreamTls::StartTls, "`ca_file`"),
            (
                "invalid peer certificate: certificate not valid for name \"a\"; certificate is only \
                 valid for DnsName(\"b\")",
                UpstreamTls::StartTls,
                "a host that the certificate names",
            ),
            ("invalid peer certificate: certificate expired: ...", UpstreamTls::Implicit, "clock"),
            (
                "received corrupt message of type InvalidContentType",
                UpstreamTls::Implicit,
                "\"starttls\"",
            ),
        ] {
            let problem = problem.to_owned();
            let error = TlsError::Handshake { host: "smtp.example".into(), problem }.into();
            let obstacle = Obstacle::of(&error, tls);
            assert!(obstacle.fix.contains(part), "{obstacle:?}");
            assert_eq!(obstacle.lasting, Lasting::Permanent);
        }
    }

    #[test]
    fn reply_that_no_table_knows_is_not_blamed_on_the_sign_in() {
        let obstacle = Obstacle::of_reply("550 5.1.1 User unknown", Lasting::Permanent);
        assert_eq!(
            obstacle.cause,
            "the provider does not take the message: 550 5.1.1 User unknown"
        );
        assert!(!obstacle.fix.is_empty() && !obstacle.fix.contains("mailbox"), "{obstacle:?}");
        let known = "554 5.2.252 SendAsDenied; a@contoso.com not allowed to send as b@contoso.com";
        let obstacle = Obstacle::of_reply(known, Lasting::Permanent);
        let diagnosis = Diagnosis::in_session(Protocol::Submission, known).unwrap();
        assert_eq!(obstacle.fix, diagnosis.fix);
        assert!(obstacle.cause.ends_with(diagnosis.cause), "{obstacle:?}");
        let later = Obstacle::of_reply("451 4.7.1 slow down", Lasting::Temporary);
        assert_eq!((later.lasting, later.fix.as_str()), (Lasting::Temporary, "try again later"));
    }
}
