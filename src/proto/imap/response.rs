//! What a client hears before the sign-in: greeting, capabilities, refusals, farewells.
//!
//! Source: RFC 3501 section 7, RFC 5530 (response codes).
//! Out:    lines without CRLF: printable ASCII that holds nothing a client sent but its tag.

use super::command::{Fault, Tag};
use crate::proto::{Privacy, authorize_command, printable};
use crate::refusal::Refusal;

/// Longest part of a reply that comes from elsewhere, in bytes: an upstream's reply, its cause.
const QUOTED_LEN_MAX: usize = 400;

/// Whether LITERAL+ (RFC 7888) is among the capabilities.
///
/// A client may go on sending such literals after the sign-in without asking again, so it is shown
/// only where the upstreams are known to take them. Before the sign-in they are always taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonSyncLiterals {
    /// It is shown.
    Offered,
    /// It is not shown.
    NotOffered,
}

/// The capabilities before the sign-in.
pub(super) fn capabilities(literals: NonSyncLiterals, privacy: Privacy) -> String {
    let literals = match literals {
        NonSyncLiterals::Offered => " LITERAL+",
        NonSyncLiterals::NotOffered => "",
    };
    let sign_in = match privacy {
        Privacy::Clear | Privacy::Tls => "AUTH=PLAIN AUTH=LOGIN",
        Privacy::Offered => "STARTTLS AUTH=PLAIN AUTH=LOGIN",
        // RFC 3501 section 6.2.3: a client must not send LOGIN where this is shown.
        Privacy::Required => "STARTTLS LOGINDISABLED",
    };
    format!("IMAP4rev1 SASL-IR ID{literals} {sign_in}")
}

/// The tagged response to a command that was carried out.
pub(super) fn completed(tag: &Tag, command: &str) -> String {
    format!("{tag} OK {command} completed")
}

/// The tagged response to STARTTLS.
pub(super) fn begin_tls(tag: &Tag) -> String {
    format!("{tag} OK ready for the TLS handshake")
}

/// The response to a command that was not; untagged where there is no usable tag.
pub(super) fn fault(tag: Option<&Tag>, fault: Fault) -> String {
    let condition = match fault {
        Fault::Mechanism => "NO",
        // RFC 5530: nothing is wrong but that the connection is in clear.
        Fault::Privacy => "NO [PRIVACYREQUIRED]",
        Fault::Tag
        | Fault::NoCommand
        | Fault::UnknownCommand
        | Fault::StartTls
        | Fault::StartTlsAgain
        | Fault::Arguments
        | Fault::LoginArguments
        | Fault::AuthenticateArguments
        | Fault::Glued
        | Fault::Unquoted
        | Fault::Nul
        | Fault::LineTooLong
        | Fault::LiteralTooLong
        | Fault::TooManyLiterals
        | Fault::Username(_)
        | Fault::Sasl(_) => "BAD",
    };
    match tag {
        Some(tag) => format!("{tag} {condition} {fault}"),
        None => format!("* {condition} {fault}"),
    }
}

/// The tagged response to a refused sign-in.
///
/// Only a wrong password is told as one: a client that hears AUTHENTICATIONFAILED asks its user
/// for another, and no other password helps where a grant, a token or a server is missing.
pub(super) fn refusal(tag: &Tag, refusal: &Refusal) -> String {
    match refusal {
        // There are no devices here.
        Refusal::WrongPassword | Refusal::NoDevice => {
            format!("{tag} NO [AUTHENTICATIONFAILED] user name or password is wrong")
        }
        Refusal::ConsentNeeded { account } => format!(
            "{tag} NO [CONTACTADMIN] this account has to be authorized, run: {}",
            authorize_command(account)
        ),
        Refusal::GrantRefused { .. } => format!(
            "{tag} NO [CONTACTADMIN] the provider gives no access to this account: the reason \
             and what to run are in mailbearer's log"
        ),
        // RFC 5530 section 3: LIMIT, a limit of the server's that may pass.
        Refusal::MailboxBusy => format!(
            "{tag} NO [LIMIT] this mailbox has as many sessions as its provider allows, try again \
             later"
        ),
        Refusal::Unavailable(unavailable) => {
            format!("{tag} NO [UNAVAILABLE] {}", unavailable.text())
        }
        Refusal::UpstreamRefused { reply, cause } => {
            let clauses = [text_of(reply), cause].into_iter();
            let clauses = clauses.map(|clause| printable(clause.as_bytes(), QUOTED_LEN_MAX));
            let clauses: Vec<_> = clauses.filter(|clause| !clause.is_empty()).collect();
            format!("{tag} NO [AUTHORIZATIONFAILED] {}", clauses.join("; "))
        }
    }
}

/// The text of an upstream's NO, BAD or BYE. Its response code is left out: AUTHENTICATIONFAILED from
/// there says that the token is bad, and a client would take it to be said of the local password.
fn text_of(reply: &str) -> &str {
    let conditions = ["NO", "BAD", "BYE"];
    let text = conditions.iter().find_map(|condition| {
        let text = reply.strip_prefix(condition)?;
        (text.is_empty() || text.starts_with(' ')).then_some(text)
    });
    let text = text.unwrap_or(reply).trim();
    let behind_code = text.strip_prefix('[').and_then(|code| code.split_once(']'));
    behind_code.map_or(text, |(_, text)| text.trim())
}

/// The last words before we close.
pub(super) fn bye(text: &str) -> String {
    format!("* BYE {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_cannot_be_broken_by_what_an_upstream_said() {
        let (tag, _) = Tag::split_off(b"a1 LOGIN").unwrap();
        let said = Refusal::UpstreamRefused {
            reply: "NO no\r\n* OK forged".to_owned() + &"x".repeat(1000),
            cause: "because\0of \u{fc}".to_owned(),
        };
        let shown = refusal(&tag, &said);
        assert!(shown.starts_with("a1 NO [AUTHORIZATIONFAILED] no??* OK forgedxxx"), "{shown}");
        assert!(shown.ends_with("; because?of ??"), "{shown}");
        assert!(shown.len() < 500);
    }

    #[test]
    fn an_upstreams_words_come_without_its_code_and_with_their_cause() {
        let (tag, _) = Tag::split_off(b"a1 LOGIN").unwrap();
        for (reply, shown) in [
            (
                "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                "Invalid credentials (Failure); so it is",
            ),
            ("NO AUTHENTICATE failed.", "AUTHENTICATE failed.; so it is"),
            ("BAD [X", "[X; so it is"),
            ("BYE [UNAVAILABLE]", "so it is"),
            ("NO", "so it is"),
            ("NOT ours", "NOT ours; so it is"),
        ] {
            let said =
                Refusal::UpstreamRefused { reply: reply.to_owned(), cause: "so it is".to_owned() };
            assert_eq!(refusal(&tag, &said), format!("a1 NO [AUTHORIZATIONFAILED] {shown}"));
        }
    }
}
