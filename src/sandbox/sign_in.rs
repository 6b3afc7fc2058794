//! Signing in by token: reads XOAUTH2 and OAUTHBEARER initial responses and judges them.
//!
//! Source: developers.google.com/workspace/gmail/imap/xoauth2-protocol; RFC 7628 section 3.
//! In:     the base64 line of a client, strictly as the mechanism wants it. Out: the mailbox, or
//!         why not, and the error challenge for that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::issuer::{self, Issuer, TokenFlaw};
use crate::names::{AccountPattern, Username};
use crate::provider::{Mechanism, Protocol};

/// How a sign-in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// By which protocol.
    pub protocol: Protocol,
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// The user named in the initial response, if that could be read.
    pub user: Option<Username>,
    /// Why it was refused, if it was.
    pub refusal: Option<SignInRefusal>,
}

/// Why a sign-in was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// No base64, or no message of the mechanism.
    #[error("the initial response is malformed")]
    Malformed,
    /// The user named is no mailbox of the sandbox.
    #[error("there is no such mailbox")]
    Mailbox,
    /// The token does not do.
    #[error("the token is refused: {0}")]
    Token(TokenFlaw),
    /// The script wants it so.
    #[error("the script refuses the token")]
    Scripted,
    /// The token is good, but the mailbox has as many sessions as it may.
    #[error("the mailbox has too many sessions")]
    Crowded,
}

/// Reads what a client may name after AUTH or AUTHENTICATE.
pub(super) fn mechanism(name: &str) -> Option<Mechanism> {
    [Mechanism::Xoauth2, Mechanism::OauthBearer]
        .into_iter()
        .find(|mechanism| name.eq_ignore_ascii_case(mechanism.name()))
}

/// What an initial response holds.
pub(super) struct Claim {
    pub(super) user: Username,
    token: String,
}

impl Claim {
    /// Reads the initial response of `mechanism`: one line of padded base64.
    pub(super) fn read(mechanism: Mechanism, line: &[u8]) -> Option<Self> {
        let message = String::from_utf8(STANDARD.decode(line).ok()?).ok()?;
        let (user, token) = match mechanism {
            Mechanism::Xoauth2 => {
                let (user, rest) = message.strip_prefix("user=")?.split_once('\x01')?;
                (user.to_owned(), bearer_token(rest)?)
            }
            Mechanism::OauthBearer => {
                let (header, rest) = message.split_once('\x01')?;
                let name = header.strip_prefix("n,a=")?.strip_suffix(',')?;
                (unescape(name)?, bearer_token(rest)?)
            }
        };
        let visible = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        let token = Some(token.to_owned()).filter(visible)?;
        Some(Self { user: Username::parse(&user).ok()?, token })
    }

    /// Whether the token opens that mailbox, and `mailboxes` covers it.
    pub(super) fn judge(
        &self,
        issuer: &Issuer,
        mailboxes: &[AccountPattern],
        protocol: Protocol,
    ) -> Result<(), SignInRefusal> {
        issuer.verify(&self.token, protocol).map_err(SignInRefusal::Token)?;
        let known = mailboxes.iter().any(|pattern| pattern.covers(&self.user));
        known.then_some(()).ok_or(SignInRefusal::Mailbox)
    }
}

/// The error challenge in base64 (RFC 7628 section 3.2.2; Google's for XOAUTH2).
pub(super) fn error_challenge(
    mechanism: Mechanism,
    refusal: SignInRefusal,
    protocol: Protocol,
) -> String {
    let scope = issuer::scope(protocol);
    let json = match (mechanism, refusal) {
        (Mechanism::Xoauth2, SignInRefusal::Malformed) => {
            format!(r#"{{"status":"400","schemes":"Bearer","scope":"{scope}"}}"#)
        }
        (Mechanism::Xoauth2, _) => {
            format!(r#"{{"status":"401","schemes":"Bearer","scope":"{scope}"}}"#)
        }
        (Mechanism::OauthBearer, SignInRefusal::Malformed) => {
            r#"{"status":"invalid_request"}"#.to_owned()
        }
        (Mechanism::OauthBearer, SignInRefusal::Token(TokenFlaw::Scope)) => {
            format!(r#"{{"status":"insufficient_scope","scope":"{scope}"}}"#)
        }
        (Mechanism::OauthBearer, _) => {
            format!(r#"{{"status":"invalid_token","scope":"{scope}"}}"#)
        }
    };
    STANDARD.encode(json)
}

/// Reads `key=value ^A … ^A` and gives the token of its `auth` field.
fn bearer_token(fields: &str) -> Option<&str> {
    let mut fields = fields.strip_suffix("\x01\x01")?.split('\x01');
    fields.find_map(|field| field.strip_prefix("auth=Bearer "))
}

/// Undoes the escapes of a saslname (RFC 5801 section 4): `=2C` and `=3D`.
fn unescape(name: &str) -> Option<String> {
    let mut pieces = name.split('=');
    let mut unescaped = pieces.next()?.to_owned();
    for piece in pieces {
        let (character, rest) = match piece.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        unescaped.push(character);
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initial_response_of_another_shape_is_malformed() {
        let read =
            |mechanism, message: &str| Claim::read(mechanism, STANDARD.encode(message).as_bytes());
        for message in [
            "user=a\x01auth=Bearer t\x01",
            "user=a\x01auth=Basic t\x01\x01",
            "user=\x01auth=Bearer t\x01\x01",
            "user=a\x01auth=Bearer t t\x01\x01",
            "\0a\0password",
            "",
        ] {
            assert!(read(Mechanism::Xoauth2, message).is_none(), "{message:?}");
        }
        for message in [
            "n,a=a\x01auth=Bearer t\x01\x01",
            "n,a=a=2X,\x01auth=Bearer t\x01\x01",
            "n,,\x01auth=Bearer t\x01\x01",
        ] {
            assert!(read(Mechanism::OauthBearer, message).is_none(), "{message:?}");
        }
        assert!(Claim::read(Mechanism::Xoauth2, b"dXNlcj1hA").is_none());
    }
}
