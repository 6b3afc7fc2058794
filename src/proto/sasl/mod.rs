//! SASL (RFC 4422): PLAIN and LOGIN as clients send them, XOAUTH2 and OAUTHBEARER as providers
//! want them.
//!
//! In:  base64 lines of a client. Out: [`LocalCredentials`], or why there is none.
//! In:  a mailbox and an access token. Out: the initial response for the provider.

pub mod challenge;
mod echo;
pub mod exchange;
pub mod login;
pub mod oauthbearer;
pub mod plain;
pub mod xoauth2;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use zeroize::Zeroizing;

use super::LocalCredentials;
use crate::names::Username;
use crate::provider::{MailHost, Mechanism};
use crate::secret::{AccessToken, ExposeSecret as _, SecretString};

/// Longest base64 line a client may send while it signs in, in bytes without CRLF.
///
/// RFC 4954 section 4 holds 12,288 to be enough for every mechanism in use.
pub const LINE_LEN_MAX: usize = 12_288;

/// Base64 as it is sent: padded or not, since some printers leave the padding out, and with any bits
/// behind the last byte, which a decoder may ignore (RFC 4648 section 3.5).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a client's SASL message yields no claim. None of these says anything about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// `*`: the client gave up (RFC 4954 section 4, RFC 3501 section 6.2.2).
    #[error("sign-in cancelled")]
    Cancelled,
    /// No base64.
    #[error("this is not base64")]
    Base64,
    /// Base64 of something that is no message of the mechanism.
    #[error("these credentials are malformed")]
    Malformed,
    /// A whole message that asks to act as somebody else than the one who signs in.
    #[error("sign in as yourself: leave the authorization identity empty")]
    ForeignAuthzid,
}

/// What is shown to the provider.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// As whom to sign in.
    pub mailbox: &'a Username,
    /// With which token.
    pub token: &'a AccessToken,
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// At which server; OAUTHBEARER names it.
    pub host: &'a MailHost,
}

impl Credentials<'_> {
    /// The initial response in base64: one line, no CRLF.
    pub fn initial_response(&self) -> SecretString {
        match self.mechanism {
            Mechanism::Xoauth2 => xoauth2::initial_response(self.mailbox, self.token),
            Mechanism::OauthBearer => {
                oauthbearer::initial_response(self.mailbox, self.token, self.host)
            }
        }
    }

    /// A server's `reply` to them, which is printable ASCII, without what it repeats of them.
    pub fn hidden_in(&self, reply: &str) -> String {
        let token = SecretString::from(self.token.expose_secret());
        echo::without(reply, [&token, &self.initial_response()])
    }
}

/// Decodes a client's base64 line.
///
/// Devices break it with blanks, and pad it with too few `=` or too many, so blanks mean nothing
/// anywhere in it, and `=` at its end means nothing either. `=` alone is thus the empty response
/// that it is as an initial one (RFC 4954 section 4).
///
/// # Errors
/// [`SaslError::Cancelled`] for `*`, [`SaslError::Base64`] for what is no base64.
pub fn decode(line: &[u8]) -> Result<Zeroizing<Vec<u8>>, SaslError> {
    let line = line.trim_ascii();
    if line == b"*" {
        return Err(SaslError::Cancelled);
    }
    // The capacity suffices, so no copy of a password is left behind by growing.
    let mut digits = Zeroizing::new(Vec::with_capacity(line.len()));
    digits.extend(line.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t')));
    while digits.pop_if(|last| *last == b'=').is_some() {}
    LENIENT.decode(&*digits).map(Zeroizing::new).map_err(|_| SaslError::Base64)
}

/// Base64 of `parts` in a row.
fn encode(parts: &[&str]) -> SecretString {
    // Both strings have the room that they need from the start: nothing of a token is left behind by
    // growing, and no more than the token is wiped.
    let message = SecretString::from(parts.concat());
    SecretString::from(general_purpose::STANDARD.encode(message.expose_secret()))
}

fn claim(username: &[u8], password: &[u8]) -> Result<LocalCredentials, SaslError> {
    let username = Username::from_wire(username).map_err(|_| SaslError::Malformed)?;
    if password.contains(&0) {
        return Err(SaslError::Malformed);
    }
    Ok(LocalCredentials { username, password: password.to_vec().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_decoded(line: &[u8], message: &[u8]) {
        let decoded = decode(line);
        assert_eq!(decoded.as_deref().map(Vec::as_slice), Ok(message), "{}", line.escape_ascii());
    }

    #[test]
    fn base64_is_read_with_blanks_anywhere() {
        for line in ["YWxpY2U=", " YWxpY2U= ", "YWxp Y2U=", "YW\txp  Y2U =", "Y W x p Y 2 U ="] {
            assert_decoded(line.as_bytes(), b"alice");
        }
    }

    #[test]
    fn base64_is_read_with_any_padding() {
        for line in ["YWxpY2U", "YWxpY2U=", "YWxpY2U==", "YWxpY2U========", "YWxpY2U= =\t="] {
            assert_decoded(line.as_bytes(), b"alice");
        }
        for line in ["YWxp", "YWxp=", "YWxp===="] {
            assert_decoded(line.as_bytes(), b"ali");
        }
    }

    #[test]
    fn bits_behind_the_last_byte_mean_nothing() {
        for line in ["YWxpY2U=", "YWxpY2V=", "YWxpY2X", "YWxpY2W=="] {
            assert_decoded(line.as_bytes(), b"alice");
        }
        for line in ["YQ==", "YR==", "Yf"] {
            assert_decoded(line.as_bytes(), b"a");
        }
    }

    #[test]
    fn a_line_of_nothing_but_padding_is_the_empty_response() {
        for line in ["", "=", "==", " = ", "= =", " \t"] {
            assert_decoded(line.as_bytes(), b"");
        }
    }

    #[test]
    fn what_else_is_no_base64_is_refused() {
        let wrong: [&[u8]; 12] = [
            b"A",
            b"YWxpY",
            b"=YWxp",
            b"YW=xp",
            b"YWxp=Y2U=",
            b"YWxp!",
            b"YW\rxp",
            b"YW\x0cxp",
            b"YW\0xp",
            b"YW-_",
            b"YW\xa0xp",
            b"**",
        ];
        for line in wrong {
            assert_eq!(decode(line), Err(SaslError::Base64), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_star_alone_cancels() {
        for line in [&b"*"[..], b" * ", b"*\t"] {
            assert_eq!(decode(line), Err(SaslError::Cancelled), "{}", line.escape_ascii());
        }
        for line in [&b"*="[..], b"* *", b"*YWxp"] {
            assert_eq!(decode(line), Err(SaslError::Base64), "{}", line.escape_ascii());
        }
    }
}
