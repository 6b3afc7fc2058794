//! A SASL exchange with a client, by PLAIN or LOGIN, whatever the protocol around it.
//!
//! In:  what stands behind AUTH or AUTHENTICATE, and the lines that answer our challenges.
//! Out: the next challenge in base64, or whom the client claims to be.

use super::login::{self, AwaitPassword, PASSWORD_PROMPT, USERNAME_PROMPT};
use super::{SaslError, plain};
use crate::proto::LocalCredentials;

/// What a client says to begin an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Request<'a> {
    /// The name of the mechanism, as sent; empty where there is none.
    pub mechanism: &'a [u8],
    /// The initial response in base64: `None` where there is none, which is not the same as `=`, an
    /// empty one (RFC 4954 section 4, RFC 5034 section 4, RFC 4959 section 3).
    pub initial_response: Option<&'a [u8]>,
}

/// An exchange that awaits a response of the client.
#[derive(Debug)]
pub enum Exchange {
    /// The one message of PLAIN.
    Plain,
    /// The user name of LOGIN.
    LoginUsername,
    /// The password of LOGIN.
    LoginPassword(AwaitPassword),
}

/// What a client has coming.
#[derive(Debug)]
pub enum Turn {
    /// A challenge in base64; the exchange awaits the response.
    Challenge(Exchange, &'static str),
    /// A verdict on whom it claims to be.
    Claim(LocalCredentials),
}

impl<'a> Request<'a> {
    /// Reads what stands behind AUTH or AUTHENTICATE: a mechanism, and a response up to the end of the
    /// line, blanks in it included.
    pub fn parse(arguments: &'a [u8]) -> Self {
        let arguments = arguments.trim_ascii();
        let end = arguments.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (mechanism, rest) = arguments.split_at(end.unwrap_or(arguments.len()));
        let response = rest.trim_ascii();
        Self { mechanism, initial_response: (!response.is_empty()).then_some(response) }
    }
}

impl Exchange {
    /// An exchange by `mechanism`, in any case; `None` where that is not offered.
    pub fn of(mechanism: &[u8]) -> Option<Self> {
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            Some(Self::Plain)
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            Some(Self::LoginUsername)
        } else {
            None
        }
    }

    /// Begins with the initial response, or with the challenge that asks for it.
    ///
    /// # Errors
    /// As for [`Exchange::respond`].
    pub fn begin(self, initial_response: Option<&[u8]>) -> Result<Turn, SaslError> {
        if let Some(response) = initial_response {
            return self.respond(response);
        }
        let challenge = match self {
            Self::Plain => "",
            Self::LoginUsername => USERNAME_PROMPT,
            Self::LoginPassword(_) => PASSWORD_PROMPT,
        };
        Ok(Turn::Challenge(self, challenge))
    }

    /// Goes on with a response of the client, in base64.
    ///
    /// # Errors
    /// When the client cancels, or the response is none of the mechanism: the exchange is over.
    pub fn respond(self, response: &[u8]) -> Result<Turn, SaslError> {
        match self {
            Self::Plain => plain::read(response).map(Turn::Claim),
            Self::LoginUsername => {
                let awaiting = login::read_username(response)?;
                Ok(Turn::Challenge(Self::LoginPassword(awaiting), PASSWORD_PROMPT))
            }
            Self::LoginPassword(awaiting) => awaiting.read_password(response).map(Turn::Claim),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret as _;

    fn begin(mechanism: &[u8], initial_response: Option<&[u8]>) -> Result<Turn, SaslError> {
        Exchange::of(mechanism).unwrap().begin(initial_response)
    }

    #[track_caller]
    fn challenge(turn: Result<Turn, SaslError>) -> (Exchange, &'static str) {
        let Turn::Challenge(exchange, text) = turn.unwrap() else { panic!("a claim") };
        (exchange, text)
    }

    #[track_caller]
    fn claim(turn: Result<Turn, SaslError>) -> (String, Vec<u8>) {
        let Turn::Claim(claim) = turn.unwrap() else { panic!("a challenge") };
        (claim.username.as_str().to_owned(), claim.password.expose_secret().to_vec())
    }

    #[test]
    fn a_request_is_a_mechanism_and_what_stands_behind_it() {
        let request = |mechanism, initial_response| Request { mechanism, initial_response };
        for line in [&b"PLAIN"[..], b" PLAIN", b"PLAIN \t", b"\tPLAIN  "] {
            assert_eq!(Request::parse(line), request(b"PLAIN", None), "{line:?}");
        }
        for line in [&b"login YQ=="[..], b" login\tYQ==", b"login  YQ== "] {
            assert_eq!(Request::parse(line), request(b"login", Some(b"YQ==")), "{line:?}");
        }
        assert_eq!(Request::parse(b"PLAIN AG E= ="), request(b"PLAIN", Some(b"AG E= =")));
        assert_eq!(Request::parse(b"PLAIN ="), request(b"PLAIN", Some(b"=")));
        assert_eq!(Request::parse(b" \t"), request(b"", None));
    }

    #[test]
    fn plain_takes_one_response_inline_or_asked_for() {
        let alice = ("alice".to_owned(), b"pw".to_vec());
        assert_eq!(claim(begin(b"plain", Some(b"AGFsaWNlAHB3"))), alice);
        let (exchange, text) = challenge(begin(b"PLAIN", None));
        assert_eq!(text, "");
        assert_eq!(claim(exchange.respond(b"AGFsaWNlAHB3")), alice);
    }

    #[test]
    fn login_takes_a_name_inline_or_asked_for_and_then_a_password() {
        let (exchange, text) = challenge(begin(b"Login", None));
        assert_eq!(text, "VXNlcm5hbWU6");
        let asked_for = exchange.respond(b"YWxpY2U=");
        for turn in [asked_for, begin(b"LOGIN", Some(b"YWxpY2U="))] {
            let (exchange, text) = challenge(turn);
            assert_eq!(text, "UGFzc3dvcmQ6");
            assert_eq!(claim(exchange.respond(b"cHc=")), ("alice".to_owned(), b"pw".to_vec()));
        }
    }

    #[test]
    fn an_empty_initial_response_is_a_response() {
        // PLAIN has no empty message; the empty name of LOGIN is found out with its password.
        assert_eq!(begin(b"PLAIN", Some(b"=")).unwrap_err(), SaslError::Malformed);
        let (exchange, _) = challenge(begin(b"LOGIN", Some(b"=")));
        assert_eq!(exchange.respond(b"cHc=").unwrap_err(), SaslError::Malformed);
    }

    #[test]
    fn an_exchange_ends_at_each_of_its_steps_when_the_client_cancels() {
        for begun in [begin(b"PLAIN", None), begin(b"LOGIN", None), begin(b"LOGIN", Some(b"YQ=="))]
        {
            let (exchange, _) = challenge(begun);
            assert_eq!(exchange.respond(b"*").unwrap_err(), SaslError::Cancelled);
        }
    }

    #[test]
    fn no_other_mechanism_is_offered() {
        for mechanism in [&b""[..], b"PLAINX", b"PLAI", b"LOGIN2", b"CRAM-MD5", b"XOAUTH2"] {
            assert!(Exchange::of(mechanism).is_none(), "{mechanism:?}");
        }
    }
}
