//! The commands of SMTP as clients send them before they are signed in.
//!
//! Sources: RFC 5321 section 4.1.1, RFC 4954 section 4 (AUTH), RFC 3207 section 4 (STARTTLS).
//! In:  one line without its end. Out: which command it is, and of an AUTH what it carries.
//!
//! Nothing is refused that an old device is known to send: any case, blanks anywhere, EHLO without
//! a name, `AUTH=LOGIN` for `AUTH LOGIN`. The crate smtp-proto refuses the last two and takes an
//! empty initial response for none, so lines are read here.

use crate::proto::preauth::is_http;
use crate::proto::sasl::exchange::Request;

/// A command, as far as it matters before the sign-in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Command<'a> {
    /// EHLO, with or without a name.
    Ehlo,
    /// HELO, with or without a name.
    Helo,
    /// AUTH, with what stands behind it.
    Auth(Request<'a>),
    /// NOOP.
    Noop,
    /// RSET.
    Rset,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// MAIL, the start of a transaction.
    Mail,
    /// RCPT, DATA, BDAT or BURL, which go on with a transaction.
    Transaction,
    /// STARTTLS.
    StartTls,
    /// STARTTLS with something behind it, which RFC 3207 section 4 forbids.
    StartTlsWithArguments,
    /// The request line of a browser.
    Http,
    /// Anything else.
    Unknown,
}

impl<'a> Command<'a> {
    /// Whether `line` is a MAIL.
    pub(super) fn is_mail(line: &[u8]) -> bool {
        Command::parse(line) == Command::Mail
    }

    /// Reads one line.
    pub(super) fn parse(line: &'a [u8]) -> Self {
        if is_http(line) {
            return Self::Http;
        }
        let line = line.trim_ascii();
        if let Some(argument) = strip_auth_sign(line) {
            return Self::Auth(Request::parse(argument));
        }
        let (verb, argument) = split_word(line);
        match verb.to_ascii_uppercase().as_slice() {
            b"EHLO" => Self::Ehlo,
            b"HELO" => Self::Helo,
            b"AUTH" => Self::Auth(Request::parse(argument)),
            b"NOOP" => Self::Noop,
            b"RSET" => Self::Rset,
            b"VRFY" => Self::Vrfy,
            b"EXPN" => Self::Expn,
            b"HELP" => Self::Help,
            b"QUIT" => Self::Quit,
            b"MAIL" => Self::Mail,
            b"RCPT" | b"DATA" | b"BDAT" | b"BURL" => Self::Transaction,
            b"STARTTLS" if argument.is_empty() => Self::StartTls,
            b"STARTTLS" => Self::StartTlsWithArguments,
            _ => Self::Unknown,
        }
    }
}

/// What stands behind `AUTH=`: devices send it that copy the line `250-AUTH=LOGIN` which servers
/// once showed to Outlook Express.
fn strip_auth_sign(line: &[u8]) -> Option<&[u8]> {
    let (verb, argument) = line.split_at_checked(b"AUTH=".len())?;
    verb.eq_ignore_ascii_case(b"AUTH=").then_some(argument)
}

/// The first word, and what follows it without the blanks around it.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_in_any_case_and_between_any_blanks() {
        for line in [&b"EHLO client"[..], b"ehlo", b"EhLo\tclient", b"  EHLO  ", b"EHLO [::1] x"] {
            assert_eq!(Command::parse(line), Command::Ehlo, "{line:?}");
        }
        for line in [&b"mail from:<a@b> SIZE=3"[..], b"MAIL", b"Mail  FROM: <>"] {
            assert_eq!(Command::parse(line), Command::Mail, "{line:?}");
        }
        for line in [&b"RCPT TO:<a>"[..], b"data", b"BDAT 5 LAST", b"Burl imap://x"] {
            assert_eq!(Command::parse(line), Command::Transaction, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_command_is_unknown() {
        for line in [&b""[..], b" ", b"EHLO\0", b"EHLOX", b"\xff\xfe", b"MAIL=1", b"\x16\x03\x01"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line:?}");
        }
    }

    #[test]
    fn starttls_is_told_from_one_with_arguments() {
        for line in [&b"STARTTLS"[..], b"starttls \t", b" StartTLS"] {
            assert_eq!(Command::parse(line), Command::StartTls, "{line:?}");
        }
        for line in [&b"STARTTLS x"[..], b"STARTTLS  \tEHLO"] {
            assert_eq!(Command::parse(line), Command::StartTlsWithArguments, "{line:?}");
        }
        assert_eq!(Command::parse(b"STARTTLSX"), Command::Unknown);
    }

    #[test]
    fn auth_is_read_as_devices_send_it() {
        let auth =
            |mechanism, initial_response| Command::Auth(Request { mechanism, initial_response });
        for line in [&b"AUTH LOGIN"[..], b"auth LOGIN ", b"AUTH=LOGIN", b"Auth= LOGIN\t"] {
            assert_eq!(Command::parse(line), auth(b"LOGIN", None), "{line:?}");
        }
        for line in [&b"AUTH plain AAA="[..], b" auth  plain\t AAA= ", b"AUTH=plain AAA="] {
            assert_eq!(Command::parse(line), auth(b"plain", Some(b"AAA=")), "{line:?}");
        }
        for line in [&b"AUTH"[..], b"AUTH ", b"AUTH="] {
            assert_eq!(Command::parse(line), auth(b"", None), "{line:?}");
        }
    }

    #[test]
    fn a_request_line_of_http_is_known_by_its_end() {
        for line in [&b"GET / HTTP/1.1"[..], b"POST /x HTTP/1.0", b"PRI * HTTP/2.0"] {
            assert_eq!(Command::parse(line), Command::Http, "{line:?}");
        }
        for line in [&b"GET /HTTP/1.1"[..], b"GET / HTTP/1.2", b"GET / HTTP/1.1x", b"GET /"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line:?}");
        }
    }
}
