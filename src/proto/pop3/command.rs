//! The commands of POP3 as clients send them before they are signed in.
//!
//! Sources: RFC 1939 sections 5 to 7, RFC 2449 section 5 (CAPA), RFC 2595 section 4 (STLS), RFC 5034
//!          section 4 (AUTH).
//! In:  one line without its end. Out: which command it is, and what it carries.

use crate::proto::preauth::is_http;
use crate::proto::sasl::exchange::Request;

/// A command, as far as it matters before the sign-in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Command<'a> {
    /// USER, with the name: blanks around it are no part of it.
    User(&'a [u8]),
    /// PASS, with the password: all that stands behind the one blank, further blanks included
    /// (RFC 1939 section 7). `None` without that blank.
    Pass(Option<&'a [u8]>),
    /// AUTH, with what stands behind it.
    Auth(Request<'a>),
    /// APOP, with or without arguments.
    Apop,
    /// CAPA.
    Capa,
    /// STLS without arguments.
    Stls,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// A command for those who are signed in.
    Transaction,
    /// CAPA or STLS with an argument, which neither takes.
    Arguments,
    /// The request line of a browser.
    Http,
    /// Anything else.
    Unknown,
}

impl<'a> Command<'a> {
    /// Reads one line, in any case and with blanks before it.
    pub(super) fn parse(line: &'a [u8]) -> Self {
        if is_http(line) {
            return Self::Http;
        }
        let (verb, rest) = split_word(line);
        let argument = rest.map(<[u8]>::trim_ascii).unwrap_or_default();
        match verb.to_ascii_uppercase().as_slice() {
            b"USER" => Self::User(argument),
            b"PASS" => Self::Pass(rest),
            b"AUTH" => Self::Auth(Request::parse(argument)),
            b"APOP" => Self::Apop,
            b"CAPA" | b"STLS" if !argument.is_empty() => Self::Arguments,
            b"CAPA" => Self::Capa,
            b"STLS" => Self::Stls,
            b"NOOP" => Self::Noop,
            b"QUIT" => Self::Quit,
            b"STAT" | b"LIST" | b"UIDL" | b"RETR" | b"TOP" | b"DELE" | b"RSET" | b"LAST" => {
                Self::Transaction
            }
            _ => Self::Unknown,
        }
    }

    /// Whether its line may be as long as one of SASL. A browser's is looked at whatever its length.
    pub(super) fn may_be_long(&self) -> bool {
        matches!(self, Self::Auth(_) | Self::Http)
    }
}

/// The first word, and what stands behind the one blank that ends it.
fn split_word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    (word, rest.get(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_in_any_case_and_behind_any_blanks() {
        for line in [&b"CAPA"[..], b"capa", b"CaPa", b"  CAPA", b"CAPA  ", b"\tcapa\t"] {
            assert_eq!(Command::parse(line), Command::Capa, "{line:?}");
        }
        for line in [&b"QUIT"[..], b"quit now", b" quit "] {
            assert_eq!(Command::parse(line), Command::Quit, "{line:?}");
        }
        for line in [&b"STLS x"[..], b"capa all"] {
            assert_eq!(Command::parse(line), Command::Arguments, "{line:?}");
        }
        for line in [&b""[..], b" ", b"CAPAX", b"USER:alice", b"\xe4", b"XTND XMIT", b"UTF8"] {
            assert_eq!(Command::parse(line), Command::Unknown, "{line:?}");
        }
    }

    #[test]
    fn a_name_has_no_blanks_around_it_and_a_password_every_blank_but_the_first() {
        assert_eq!(Command::parse(b"user  alice smith "), Command::User(b"alice smith"));
        assert_eq!(Command::parse(b"USER"), Command::User(b""));
        for (line, password) in [
            (&b"PASS secret"[..], &b"secret"[..]),
            (b"pass se cret", b"se cret"),
            (b"PASS  secret ", b" secret "),
            (b"PASS ", b""),
            (b"PASS p\tss\xff", b"p\tss\xff"),
        ] {
            assert_eq!(Command::parse(line), Command::Pass(Some(password)), "{line:?}");
        }
        assert_eq!(Command::parse(b"PASS"), Command::Pass(None));
    }

    #[test]
    fn auth_is_read_with_and_without_an_initial_response() {
        let auth = |line| {
            let Command::Auth(auth) = Command::parse(line) else { panic!("{line:?} is no AUTH") };
            auth
        };
        let request = |mechanism, initial_response| Request { mechanism, initial_response };
        assert_eq!(auth(b"AUTH"), request(b"", None));
        assert_eq!(auth(b"auth  "), request(b"", None));
        assert_eq!(auth(b"AUTH plain"), request(b"plain", None));
        assert_eq!(auth(b"AUTH  PLAIN  AGE= "), request(b"PLAIN", Some(b"AGE=")));
    }

    #[test]
    fn the_request_of_a_browser_is_told_apart() {
        for line in [&b"GET / HTTP/1.1"[..], b"POST /x HTTP/1.0", b"USER a HTTP/2.0"] {
            assert_eq!(Command::parse(line), Command::Http, "{line:?}");
        }
        assert_eq!(Command::parse(b"USER HTTP/1.1x"), Command::User(b"HTTP/1.1x"));
    }
}
