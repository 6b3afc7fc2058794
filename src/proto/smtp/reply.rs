//! SMTP replies that mailbearer gives to clients.
//!
//! Sources: RFC 5321 section 4.2, RFC 3463 (enhanced codes), RFC 4954 section 6 (codes of AUTH).
//! Out: lines of printable ASCII, at most [`OWN_LINE_LEN_MAX`] bytes without CRLF.

use super::upstream_reply::{Follows, ONE_LINE_LEN_MAX, split_code};
use crate::names::Username;
use crate::proto::{Farewell, authorize_command, printable};
use crate::refusal::Refusal;

// Our replies, each named for what it says. None holds anything that a peer sent.
pub(super) const GREETING: &str = "220 mailbearer ESMTP ready";
pub(super) const HELO: &str = "250 mailbearer";
pub(super) const OK: &str = "250 2.0.0 OK";
pub(super) const VRFY: &str = "252 2.5.0 nothing is verified here, send the message";
pub(super) const HELP: &str = "214 2.0.0 sign in with AUTH PLAIN or AUTH LOGIN, then send";
pub(super) const HELP_TLS: &str = "214 2.0.0 begin TLS with STARTTLS, then sign in and send";
pub(super) const BEGIN_TLS: &str = "220 2.0.0 ready for the TLS handshake";
pub(super) const BYE: &str = "221 2.0.0 goodbye";
pub(super) const CANCELLED: &str = "501 5.7.0 sign-in cancelled";
pub(super) const NOT_BASE64: &str = "501 5.5.2 this is not base64";
pub(super) const MALFORMED: &str = "501 5.5.2 these credentials are malformed";
pub(super) const FOREIGN_AUTHZID: &str =
    "501 5.7.0 sign in as yourself: leave the authorization identity empty";
pub(super) const MECHANISM_MISSING: &str = "501 5.5.4 AUTH needs a mechanism: PLAIN or LOGIN";
pub(super) const MECHANISM_UNKNOWN: &str = "504 5.5.4 unknown mechanism: use PLAIN or LOGIN";
pub(super) const AUTH_FIRST: &str = "530 5.7.0 Authentication required";
pub(super) const BAD_ORDER: &str = "503 5.5.1 sign in and send MAIL first";
pub(super) const NO_EXPN: &str = "502 5.5.1 EXPN is not served";
pub(super) const NO_STARTTLS: &str = "502 5.5.1 STARTTLS is not offered on this port";
pub(super) const STARTTLS_ARGUMENTS: &str = "501 5.5.4 STARTTLS takes no arguments";
pub(super) const STARTTLS_AGAIN: &str = "503 5.5.1 TLS is active already";
// RFC 4954 section 6: 538 5.7.11, encryption required for requested authentication mechanism.
pub(super) const AUTH_AFTER_TLS: &str = "538 5.7.11 begin TLS first (STARTTLS), then sign in";
// RFC 3207 section 4: 530 to a command that needs TLS.
pub(super) const MAIL_AFTER_TLS: &str = "530 5.7.0 begin TLS first (STARTTLS), then sign in";
pub(super) const UNKNOWN: &str = "500 5.5.1 unknown command";
pub(super) const TOO_LONG: &str = "500 5.5.6 line too long";
pub(super) const ENDLESS: &str = "421 4.7.0 this line does not end, closing";
pub(super) const TOO_MANY_FAILURES: &str = "421 4.7.0 too many failures, closing";
pub(super) const TOO_MANY_COMMANDS: &str = "421 4.7.0 too many commands and no sign-in, closing";
pub(super) const NO_WEB_SERVER: &str = "421 4.7.0 this is no web server, closing";

// The account's name stays out: it may be no ASCII, and the client knows it.
const GRANT_REFUSED: &str = "the provider gives no token for this account; \
                             the administrator finds the reason in mailbearer's log";
const MAILBOX_BUSY: &str =
    "this mailbox has as many sessions as its provider allows, try again later";

/// Longest line that we send, in bytes without CRLF (RFC 5321 section 4.5.3.1.5: 512 with it).
const OWN_LINE_LEN_MAX: usize = 510;

/// The line that tells a client why it is not signed in: the answer to its AUTH.
pub(super) fn refusal(refusal: &Refusal) -> String {
    // RFC 4954 section 6: 454, temporary authentication failure.
    match refusal {
        Refusal::WrongPassword => {
            "535 5.7.8 the user name or the local password is wrong".to_owned()
        }
        Refusal::NoDevice => AUTH_FIRST.to_owned(),
        Refusal::ConsentNeeded { account } => format!("454 4.7.0 {}", consent_needed(account)),
        Refusal::GrantRefused { account: _ } => format!("454 4.7.0 {GRANT_REFUSED}"),
        Refusal::MailboxBusy => format!("454 4.3.2 {MAILBOX_BUSY}"),
        Refusal::Unavailable(unavailable) => format!("454 4.7.0 {}", unavailable.text()),
        Refusal::UpstreamRefused { reply, cause } => upstream_refused(reply, cause),
    }
}

/// The line that tells a device why it may not send: the answer to its MAIL, which has no 454 and
/// no 535 (RFC 5321 section 4.3.2).
pub(super) fn refusal_of_mail(refusal: &Refusal) -> String {
    match refusal {
        // Neither is said of a password that was shown: a device shows none.
        Refusal::WrongPassword | Refusal::NoDevice => AUTH_FIRST.to_owned(),
        Refusal::ConsentNeeded { account } => format!("451 4.3.0 {}", consent_needed(account)),
        Refusal::GrantRefused { account: _ } => format!("451 4.3.0 {GRANT_REFUSED}"),
        Refusal::MailboxBusy => format!("451 4.3.2 {MAILBOX_BUSY}"),
        Refusal::Unavailable(unavailable) => format!("451 4.3.0 {}", unavailable.text()),
        Refusal::UpstreamRefused { reply, cause } => {
            let told = upstream_refused(reply, cause);
            let text = told.get(3..).unwrap_or_default().trim_start();
            printable(format!("550 5.7.1 {}", without_status(text)).as_bytes(), OWN_LINE_LEN_MAX)
        }
    }
}

fn consent_needed(account: &Username) -> String {
    format!("this account has to be authorized, run: {}", authorize_command(account))
}

/// A text without the enhanced status code that it begins with (RFC 3463 section 2), if it does.
fn without_status(text: &str) -> &str {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_number =
        |it: &&str| (1..=3).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = first.split('.');
    let is_of_class = matches!(parts.next(), Some("2" | "4" | "5"));
    let is_status = is_of_class && parts.clone().count() == 2 && parts.all(|it| is_number(&it));
    if is_status { rest } else { text }
}

/// The line that ends a session which has not signed in.
pub(super) fn farewell(farewell: Farewell) -> String {
    let code = match farewell {
        Farewell::Draining => "421 4.3.2",
        Farewell::SignInTimeout => "421 4.4.2",
        Farewell::TooManySessions | Farewell::TooManyFromPeer | Farewell::NoAddress => "421 4.7.0",
    };
    format!("{code} {}", farewell.text())
}

/// An upstream's own 5xx line with the likely cause behind it. Anything that is no 5xx line becomes
/// the text of a 535, so that a client never hears another kind of answer here.
fn upstream_refused(reply: &str, cause: &str) -> String {
    let reply = printable(reply.as_bytes(), ONE_LINE_LEN_MAX);
    let (code, text) = match split_code(reply.as_bytes()) {
        Some((500..=599, Follows::Nothing)) => reply.split_at(3),
        _ => ("535", reply.as_str()),
    };
    let clauses = [text, cause].map(str::trim).into_iter().filter(|clause| !clause.is_empty());
    let text = clauses.collect::<Vec<_>>().join("; ");
    printable(format!("{code} {text}").as_bytes(), OWN_LINE_LEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;
    use crate::refusal::Unavailable;

    fn upstream_refused(reply: &str, cause: &str) -> String {
        refusal(&Refusal::UpstreamRefused { reply: reply.to_owned(), cause: cause.to_owned() })
    }

    #[test]
    fn an_upstream_refusal_is_one_line_with_its_cause() {
        assert_eq!(
            upstream_refused("535 5.7.3 no", "wrong mailbox"),
            "535 5.7.3 no; wrong mailbox"
        );
        assert_eq!(upstream_refused("535", "wrong mailbox"), "535 wrong mailbox");
        assert_eq!(upstream_refused("535 5.7.3 no", ""), "535 5.7.3 no");
        assert_eq!(upstream_refused("", ""), "535");
    }

    #[test]
    fn an_upstream_refusal_is_never_another_kind_of_reply() {
        for reply in ["235 2.7.0 ok", "454 4.7.0 later", "535-5.7.3 no", "NO [ALERT] x", "5355"] {
            assert_eq!(upstream_refused(reply, "cause"), format!("535 {reply}; cause"));
        }
        assert_eq!(upstream_refused("535 a\r\n235 b", "c\r\nd"), "535 a??235 b; c??d");
    }

    /// RFC 5321 section 4.3.2 has no 535 for MAIL, and X.7.3, X.7.8 and X.7.139 are about a sign-in
    /// that no device has tried. RFC 3463 section 3.8: X.7.1, not authorized to send.
    #[test]
    fn an_upstream_refusal_has_the_status_of_mail_in_place_of_its_own_where_mail_hears_it() {
        let told = |reply: &str, cause: &str| {
            let (reply, cause) = (reply.to_owned(), cause.to_owned());
            refusal_of_mail(&Refusal::UpstreamRefused { reply, cause })
        };
        for (reply, text) in [
            ("535 5.7.3 Authentication unsuccessful", "Authentication unsuccessful; cause"),
            ("535 5.7.139 SMTP AUTH is disabled", "SMTP AUTH is disabled; cause"),
            ("554 5.2.0 no", "no; cause"),
            ("535 no", "no; cause"),
            ("535", "cause"),
            ("NO [ALERT] x", "NO [ALERT] x; cause"),
            // One that stands elsewhere, or is none (RFC 3463 section 2), is text.
            ("535 see 5.7.3", "see 5.7.3; cause"),
            ("535 5.7 no", "5.7 no; cause"),
            ("535 5.7.3.1 no", "5.7.3.1 no; cause"),
            ("535 1.2.3 is our release", "1.2.3 is our release; cause"),
            ("535 5.7.1000 no", "5.7.1000 no; cause"),
        ] {
            assert_eq!(told(reply, "cause"), format!("550 5.7.1 {text}"), "{reply}");
        }
        let long = told(&format!("535 5.7.3 {}", "r".repeat(900)), &"c".repeat(900));
        assert!(long.len() <= OWN_LINE_LEN_MAX && long.contains("rrr; ccc"), "{long}");
    }

    #[test]
    fn an_upstream_refusal_fits_a_line_of_512_bytes() {
        let line = upstream_refused(&format!("535 {}", "r".repeat(900)), &"c".repeat(900));
        assert_eq!(line.len() + "\r\n".len(), 512);
        assert!(line.contains("rrr; ccc"), "{line}");
    }

    #[test]
    fn an_account_without_a_grant_is_never_told_of_a_wrong_password() {
        let account = Username::parse("müller@example.com").unwrap();
        let line = refusal(&Refusal::GrantRefused { account });
        assert!(line.starts_with("454 4.7.0 ") && line.is_ascii(), "{line}");
        assert!(line.contains("log") && !line.contains("password"), "{line}");
    }

    #[test]
    fn a_grant_without_consent_is_told_as_temporary_with_what_to_run() {
        let line =
            |name| refusal(&Refusal::ConsentNeeded { account: Username::parse(name).unwrap() });
        let told = "454 4.7.0 this account has to be authorized, run: mailbearer authorize";
        assert_eq!(line("alice@example.com"), format!("{told} alice@example.com"));
        assert_eq!(line("m\u{fc}ller@example.com"), format!("{told} ACCOUNT"));
        let longest = line(&"x".repeat(Username::LEN_MAX));
        assert!(longest.len() <= OWN_LINE_LEN_MAX, "{longest}");
    }

    #[test]
    fn an_outage_is_told_as_temporary() {
        for outage in [
            Unavailable::TokenEndpoint,
            Unavailable::Upstream,
            Unavailable::Overloaded,
            Unavailable::LocalPassword,
        ] {
            let line = refusal(&Refusal::Unavailable(outage));
            assert_eq!(line, format!("454 4.7.0 {}", outage.text()));
        }
    }
}
