//! SASL XOAUTH2, Google's and Microsoft's: `user=` name ^A `auth=Bearer ` token ^A ^A.
//!
//! Source: developers.google.com/workspace/gmail/imap/xoauth2-protocol and
//! learn.microsoft.com, "Authenticate an IMAP, POP or SMTP connection using OAuth".

use super::encode;
use crate::names::Username;
use crate::secret::{AccessToken, ExposeSecret as _, SecretString};

/// What answers an error challenge, so that the final reply follows: an empty line.
pub const ERROR_ACKNOWLEDGEMENT: &str = "";

/// Writes the XOAUTH2 initial response for `mailbox`.
///
/// Out: `4 * ceil((len(mailbox) + len(token) + 20) / 3)` bytes of base64, one line, no CRLF. Neither
/// type can hold the separator 0x01.
pub fn initial_response(mailbox: &Username, token: &AccessToken) -> SecretString {
    let (mailbox, token) = (mailbox.as_str(), token.expose_secret());
    encode(&["user=", mailbox, "\x01auth=Bearer ", token, "\x01\x01"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_the_one_that_google_documents() {
        let mailbox = Username::parse("someuser@example.com").unwrap();
        let token = AccessToken::parse("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg").unwrap();
        assert_eq!(
            initial_response(&mailbox, &token).expose_secret(),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGN\
             rQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
    }
}
