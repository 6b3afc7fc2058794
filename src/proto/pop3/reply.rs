//! What a client hears before the sign-in: capabilities, failures, refusals, farewells.
//!
//! Sources: RFC 1939 section 3, RFC 2449 sections 4 and 8 (length, response codes), RFC 3206 (`AUTH`,
//!          `SYS/TEMP`, `SYS/PERM`).
//! Out:  lines without CRLF: printable ASCII that holds nothing a client sent.

use crate::proto::{Farewell, authorize_command, printable};
use crate::refusal::Refusal;

// Our replies, each named for what it says.
pub(super) const GREETING: &str = "+OK mailbearer ready";
pub(super) const OK: &str = "+OK";
pub(super) const SEND_PASS: &str = "+OK send PASS";
pub(super) const BEGIN_TLS: &str = "+OK begin TLS now";
pub(super) const BYE: &str = "+OK goodbye";
pub(super) const CAPABILITIES: &str = "+OK capabilities follow";
pub(super) const MECHANISMS: &str = "+OK mechanisms follow";
pub(super) const USER_FIRST: &str = "-ERR say USER first";
pub(super) const SIGN_IN_FIRST: &str = "-ERR sign in first";
pub(super) const TLS_FIRST: &str = "-ERR start TLS first (STLS)";
pub(super) const TLS_ACTIVE: &str = "-ERR TLS is active already";
pub(super) const NO_STLS: &str = "-ERR STLS is not offered on this port";
pub(super) const NO_APOP: &str =
    "-ERR APOP cannot be served, for it never shows the password: use USER and PASS";
pub(super) const NO_ARGUMENTS: &str = "-ERR this command takes no arguments";
pub(super) const PASSWORD_MISSING: &str = "-ERR PASS needs a password";
pub(super) const USERNAME: &str = "-ERR a user name is 1 to 320 bytes with no control characters";
pub(super) const CANCELLED: &str = "-ERR sign-in cancelled";
pub(super) const NOT_BASE64: &str = "-ERR this is not base64";
pub(super) const MALFORMED: &str = "-ERR these credentials are malformed";
pub(super) const FOREIGN_AUTHZID: &str =
    "-ERR sign in as yourself: leave the authorization identity empty";
pub(super) const MECHANISM: &str = "-ERR unknown mechanism: use PLAIN or LOGIN";
pub(super) const UNKNOWN: &str = "-ERR unknown command";
pub(super) const TOO_LONG: &str = "-ERR line too long";
pub(super) const ENDLESS: &str = "-ERR this line does not end, closing";
pub(super) const TOO_MANY_FAILURES: &str = "-ERR too many failures, closing";
pub(super) const TOO_MANY_COMMANDS: &str = "-ERR too many commands before a sign-in, closing";
pub(super) const NO_WEB_SERVER: &str = "-ERR this is no web server, closing";

/// What ends a list (RFC 1939 section 3).
pub(super) const END_OF_LIST: &str = ".";

/// Longest line that we send, in bytes without CRLF (RFC 2449 section 4: 512 with it).
const LINE_LEN_MAX: usize = 510;

/// The line that tells a client why it is not signed in.
///
/// Only a wrong password carries `AUTH`: a client that hears it asks its user for another one
/// (RFC 3206 section 4), and no other password helps where a grant, a token or a server is missing.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        // There are no devices here.
        Refusal::WrongPassword | Refusal::NoDevice => {
            "-ERR [AUTH] the user name or the local password is wrong".to_owned()
        }
        Refusal::ConsentNeeded { account } => format!(
            "-ERR [SYS/PERM] this account has to be authorized, run: {}",
            authorize_command(account)
        ),
        Refusal::GrantRefused { account: _ } => {
            "-ERR [SYS/PERM] the provider gives no token for this account; \
             the administrator finds the reason in mailbearer's log"
                .to_owned()
        }
        Refusal::MailboxBusy => {
            "-ERR [SYS/TEMP] this mailbox has as many sessions as its provider \
                                 allows, try again later"
                .to_owned()
        }
        Refusal::Unavailable(unavailable) => format!("-ERR [SYS/TEMP] {}", unavailable.text()),
        Refusal::UpstreamRefused { reply, cause } => {
            let clauses = [text_of(reply), cause.trim()].into_iter();
            let clauses: Vec<_> = clauses.filter(|clause| !clause.is_empty()).collect();
            let line = format!("-ERR [SYS/PERM] {}", clauses.join("; "));
            printable(line.as_bytes(), LINE_LEN_MAX)
        }
    }
}

/// The line that ends a session which has not signed in.
pub(super) fn farewell(farewell: Farewell) -> String {
    let code = match farewell {
        Farewell::SignInTimeout => "",
        Farewell::Draining
        | Farewell::TooManySessions
        | Farewell::TooManyFromPeer
        | Farewell::NoAddress => "[SYS/TEMP] ",
    };
    format!("-ERR {code}{}", farewell.text())
}

/// The text of an upstream's `-ERR` line. Its response code is left out: `[AUTH]` from there says
/// that the token is bad, and a client would take it to be said of the local password.
fn text_of(reply: &str) -> &str {
    let text = reply.strip_prefix("-ERR").unwrap_or(reply).trim();
    let behind_code = text.strip_prefix('[').and_then(|code| code.split_once(']'));
    behind_code.map_or(text, |(_, text)| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream_refused(reply: &str, cause: &str) -> String {
        refusal(&Refusal::UpstreamRefused { reply: reply.to_owned(), cause: cause.to_owned() })
    }

    #[test]
    fn an_upstreams_words_come_without_its_code_and_with_their_cause() {
        for (reply, shown) in [
            ("-ERR [AUTH] Invalid credentials", "Invalid credentials; so it is"),
            ("-ERR Logon failure [abc]", "Logon failure [abc]; so it is"),
            ("-ERR [SYS/PERM]", "so it is"),
            ("-ERR", "so it is"),
            ("-ERR [half", "[half; so it is"),
        ] {
            assert_eq!(upstream_refused(reply, "so it is"), format!("-ERR [SYS/PERM] {shown}"));
        }
    }

    #[test]
    fn a_refusal_is_one_printable_line_whatever_an_upstream_said() {
        let shown = upstream_refused("-ERR no\r\n+OK forged", "because\0of \u{fc}");
        assert_eq!(shown, "-ERR [SYS/PERM] no??+OK forged; because?of ??");
        assert_eq!(upstream_refused(&"x".repeat(400), &"y".repeat(400)).len(), LINE_LEN_MAX);
    }
}
