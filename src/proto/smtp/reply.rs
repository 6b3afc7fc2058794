//! SMTP replies: those that mailbearer gives to clients, and those that it reads from upstreams.
//!
//! Sources: RFC 5321 section 4.2, RFC 3463 (enhanced codes), RFC 4954 section 6 (codes of AUTH).
//! In:  lines of an upstream, at most [`LINE_LEN_MAX`] bytes each and [`LINES_MAX`] a reply.
//! Out: whole replies; and for clients lines of printable ASCII, at most [`OWN_LINE_LEN_MAX`] bytes.

use bytes::Bytes;

use crate::proto::{Farewell, Input, Line, UpstreamFault, authorize_command, printable};
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

/// Longest line that we send, in bytes without CRLF (RFC 5321 section 4.5.3.1.5: 512 with it).
const OWN_LINE_LEN_MAX: usize = 510;

/// Longest line of an upstream's reply, in bytes without CRLF.
///
/// RFC 5321 section 4.5.3.1.5 allows 512; error challenges of providers are longer.
const LINE_LEN_MAX: usize = 2_048;

/// Most lines of one reply. The longest EHLO replies in use have some twenty.
const LINES_MAX: usize = 100;

/// Longest rendering of an upstream's reply in one line, in bytes.
const ONE_LINE_LEN_MAX: usize = 400;

/// The line that tells a client why it is not signed in.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::WrongPassword => {
            "535 5.7.8 the user name or the local password is wrong".to_owned()
        }
        Refusal::ConsentNeeded { account } => format!(
            "454 4.7.0 this account has to be authorized, run: {}",
            authorize_command(account)
        ),
        // The account's name stays out: it may be no ASCII, and the client knows it.
        Refusal::GrantRefused { account: _ } => {
            "454 4.7.0 the provider gives no token for this account; \
             the administrator finds the reason in mailbearer's log"
                .to_owned()
        }
        Refusal::Unavailable(unavailable) => format!("454 4.7.0 {}", unavailable.text()),
        Refusal::UpstreamRefused { reply, cause } => upstream_refused(reply, cause),
    }
}

/// The line that ends a session which has not signed in.
pub(super) fn farewell(farewell: Farewell) -> String {
    let code = match farewell {
        Farewell::Draining => "421 4.3.2",
        Farewell::SignInTimeout => "421 4.4.2",
        Farewell::TooManySessions | Farewell::TooManyFromPeer => "421 4.7.0",
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

/// A whole reply of an upstream: one or more lines of one code.
#[derive(Debug)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<Bytes>,
}

impl Reply {
    /// Its code: 0 to 999.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The texts of its lines, without the codes.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| line.get(4..).unwrap_or_default())
    }

    /// The text of its last line.
    pub(super) fn last_text(&self) -> &[u8] {
        self.texts().last().unwrap_or_default()
    }

    /// Its lines as the upstream sent them, without their ends.
    pub(super) fn into_lines(self) -> Vec<Bytes> {
        self.lines
    }

    /// Code and texts as one line: printable ASCII, at most 400 bytes. The enhanced code that
    /// servers repeat on each line (RFC 2034 section 4) stands there once.
    pub(super) fn one_line(&self) -> String {
        let enhanced_code = self.texts().next().and_then(enhanced_code);
        let mut line = format!("{:03}", self.code).into_bytes();
        for (position, text) in self.texts().enumerate() {
            let repeated = enhanced_code.filter(|_| position > 0);
            let text = repeated.and_then(|code| text.strip_prefix(code)).unwrap_or(text);
            if !text.trim_ascii().is_empty() {
                line.push(b' ');
                line.extend_from_slice(text.trim_ascii());
            }
        }
        printable(&line, ONE_LINE_LEN_MAX)
    }
}

/// The lines of a reply that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    lines: Vec<Bytes>,
    code: Option<u16>,
}

impl ReplyReader {
    /// Takes lines of `input` until a reply is whole; `None` while it is not.
    ///
    /// # Errors
    /// [`UpstreamFault::Protocol`] when the lines are no reply, or too long or too many.
    pub(super) fn read(&mut self, input: &mut Input) -> Result<Option<Reply>, UpstreamFault> {
        let fault = |problem| Err(UpstreamFault::Protocol { problem });
        loop {
            let line = match input.take_line(LINE_LEN_MAX) {
                Line::Whole(line) => line,
                Line::Incomplete => return Ok(None),
                Line::TooLong | Line::Skipped(_) | Line::Endless => {
                    return fault("a line of its reply has more than 2,048 bytes");
                }
            };
            let Some((code, follows)) = split_code(&line) else {
                return fault("a line of its reply does not begin with a code");
            };
            if *self.code.get_or_insert(code) != code {
                return fault("the lines of one reply have different codes");
            }
            self.lines.push(line);
            match follows {
                Follows::Nothing => {
                    self.code = None;
                    return Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }));
                }
                Follows::Line if self.lines.len() == LINES_MAX => {
                    return fault("a reply of it has more than 100 lines");
                }
                Follows::Line => {}
            }
        }
    }
}

/// Whether a line of a reply is its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// It is: `NNN text`, or `NNN` alone.
    Nothing,
    /// It is not: `NNN-text`.
    Line,
}

/// Reads `NNN`, `NNN text` or `NNN-text`.
fn split_code(line: &[u8]) -> Option<(u16, Follows)> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let follows = match rest.first() {
        None | Some(b' ') => Follows::Nothing,
        Some(b'-') => Follows::Line,
        Some(_) => return None,
    };
    let code = digits.iter().try_fold(0, |code, digit| {
        digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0'))
    })?;
    Some((code, follows))
}

/// The enhanced code at the start of a text, if there is one: `5.7.8`.
fn enhanced_code(text: &[u8]) -> Option<&[u8]> {
    let code = text.split(|&byte| byte == b' ').next()?;
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let parts = || code.split(|&byte| byte == b'.');
    (parts().count() == 3 && parts().all(is_number)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;
    use crate::refusal::Unavailable;

    fn read(sent: &[u8]) -> Result<Option<Reply>, UpstreamFault> {
        let mut input = Input::default();
        input.extend(sent);
        ReplyReader::default().read(&mut input)
    }

    fn problem(sent: &[u8]) -> &'static str {
        match read(sent) {
            Err(UpstreamFault::Protocol { problem }) => problem,
            other => panic!("{other:?} is no fault of the protocol"),
        }
    }

    fn one_line(sent: &[u8]) -> String {
        read(sent).unwrap().unwrap().one_line()
    }

    fn upstream_refused(reply: &str, cause: &str) -> String {
        refusal(&Refusal::UpstreamRefused { reply: reply.to_owned(), cause: cause.to_owned() })
    }

    #[test]
    fn a_reply_ends_with_its_first_line_without_a_hyphen() {
        let reply = read(b"250-a\r\n250-\r\n250 c\r\n250 next\r\n").unwrap().unwrap();
        assert_eq!(reply.code(), 250);
        assert_eq!(reply.texts().collect::<Vec<_>>(), [&b"a"[..], b"", b"c"]);
        assert_eq!(reply.last_text(), b"c");
        assert_eq!(reply.into_lines(), [&b"250-a"[..], b"250-", b"250 c"]);
        assert!(read(b"250-a\r\n250-b\r\n").unwrap().is_none());
    }

    #[test]
    fn a_reply_is_read_without_text_and_with_a_bare_lf() {
        for sent in [&b"334\r\n"[..], b"334 \r\n", b"334\n"] {
            let reply = read(sent).unwrap().unwrap();
            assert_eq!((reply.code(), reply.last_text()), (334, &b""[..]), "{sent:?}");
        }
    }

    #[test]
    fn lines_that_are_no_reply_are_a_fault() {
        let wrong: [&[u8]; 7] =
            [b"\r\n", b"25\r\n", b"abc\r\n", b"250x\r\n", b"+OK\r\n", b"2 0 a\r\n", b"2500 a\r\n"];
        for sent in wrong {
            assert!(problem(sent).contains("a code"), "{sent:?}");
        }
        assert!(problem(b"250-a\r\n251 b\r\n").contains("different codes"));
    }

    #[test]
    fn a_reply_is_bounded_in_width_and_length() {
        let line = |len: usize| format!("250 {}\r\n", "x".repeat(len - 4)).into_bytes();
        assert!(read(&line(LINE_LEN_MAX)).unwrap().is_some());
        assert!(problem(&line(LINE_LEN_MAX + 1)).contains("2,048"));
        let lines = |count: usize| format!("{}250 x\r\n", "250-x\r\n".repeat(count - 1));
        assert!(read(lines(LINES_MAX).as_bytes()).unwrap().is_some());
        assert!(problem(lines(LINES_MAX + 1).as_bytes()).contains("100 lines"));
    }

    #[test]
    fn a_reply_in_one_line_shows_its_enhanced_code_once() {
        assert_eq!(
            one_line(
                b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n\
                  535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp\r\n"
            ),
            "535 5.7.8 Username and Password not accepted. For more information, go to \
             https://support.google.com/mail/?p=BadCredentials x - gsmtp"
        );
        assert_eq!(one_line(b"535-no\r\n535 5.7.8 way\r\n"), "535 no 5.7.8 way");
        assert_eq!(one_line(b"535-5.7.8\r\n535 5.7.8\r\n"), "535 5.7.8");
        assert_eq!(one_line(b"535\r\n"), "535");
    }

    #[test]
    fn a_reply_in_one_line_is_printable_and_short() {
        assert_eq!(one_line(b"535 \x1b[31m\xc3\xa9\x00.\r\n"), "535 ?[31m???.");
        let long = format!("{}535 end\r\n", "535-long\r\n".repeat(LINES_MAX - 1));
        assert_eq!(one_line(long.as_bytes()).len(), ONE_LINE_LEN_MAX);
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
