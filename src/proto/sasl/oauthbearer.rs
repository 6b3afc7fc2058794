//! SASL OAUTHBEARER (RFC 7628): a GS2 header, then host, port and token separated by ^A.

use super::encode;
use crate::names::Username;
use crate::provider::MailHost;
use crate::secret::{AccessToken, ExposeSecret as _, SecretString};

/// What answers an error challenge (RFC 7628 section 3.2.3): a single ^A, in base64.
pub const ERROR_ACKNOWLEDGEMENT: &str = "AQ==";

/// Writes the OAUTHBEARER initial response for `mailbox` at `host`: base64, one line, no CRLF.
///
/// `,` and `=` in the name are escaped as a saslname (RFC 5801 section 4).
pub fn initial_response(mailbox: &Username, token: &AccessToken, host: &MailHost) -> SecretString {
    let name = mailbox.as_str().replace('=', "=3D").replace(',', "=2C");
    let (MailHost { host, port, .. }, token) = (host, token.expose_secret());
    let header = format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer ");
    encode(&[&header, token, "\x01\x01"])
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::provider::UpstreamTls;

    fn response_for(name: &str) -> String {
        let host = MailHost {
            host: "server.example.com".to_owned(),
            port: 143,
            tls: UpstreamTls::StartTls,
        };
        let token = AccessToken::parse("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==").unwrap();
        let response = initial_response(&Username::parse(name).unwrap(), &token, &host);
        String::from_utf8(STANDARD.decode(response.expose_secret()).unwrap()).unwrap()
    }

    #[test]
    fn the_response_is_the_one_of_rfc_7628_section_4_1() {
        assert_eq!(
            response_for("user@example.com"),
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
             auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
    }

    #[test]
    fn a_name_cannot_end_its_field() {
        assert!(response_for("a,b=c").starts_with("n,a=a=2Cb=3Dc,\x01"));
    }
}
