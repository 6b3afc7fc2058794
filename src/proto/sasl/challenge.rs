//! The error challenge that comes before a provider's "no" (RFC 7628 section 3.2.2): base64 of
//! JSON with a `status`.

use base64::Engine as _;

use super::{LENIENT, oauthbearer, xoauth2};
use crate::proto::printable;
use crate::provider::Mechanism;

/// Longest status kept, in bytes. Those in use (`invalid_token`, `400`) have 3 to 18.
const STATUS_LEN_MAX: usize = 64;

/// The problem with a provider that says yes behind an error challenge: RFC 7628 section 3.2.2 has it
/// say no.
pub const ACCEPTED: &str = "it accepts a sign-in that it has refused";

/// What answers an error challenge, so that the final reply follows: one line in base64.
pub fn acknowledgement(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Xoauth2 => xoauth2::ERROR_ACKNOWLEDGEMENT,
        Mechanism::OauthBearer => oauthbearer::ERROR_ACKNOWLEDGEMENT,
    }
}

/// The `status` of an error challenge, printable ASCII; `None` when it tells none.
///
/// Documentation and servers differ in what else is in there, so nothing else is looked at.
pub fn status(challenge: &[u8]) -> Option<String> {
    let json = LENIENT.decode(challenge.trim_ascii()).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let status = value.get("status")?;
    let text = match status.as_str() {
        Some(text) => text.to_owned(),
        None => status.as_number()?.to_string(),
    };
    Some(printable(text.as_bytes(), STATUS_LEN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_what_google_and_dovecot_send() {
        let google = b"eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
        assert_eq!(status(google).as_deref(), Some("400"));
        let dovecot = b"eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=";
        assert_eq!(status(dovecot).as_deref(), Some("invalid_token"));
    }

    #[test]
    fn the_status_is_read_without_padding_and_with_blanks_around_it() {
        for challenge in
            ["eyJzdGF0dXMiOiI0MDAifQ", " eyJzdGF0dXMiOiI0MDAifQ== ", "eyJzdGF0dXMiOjQwMH0"]
        {
            assert_eq!(status(challenge.as_bytes()).as_deref(), Some("400"), "{challenge}");
        }
    }

    #[test]
    fn a_challenge_that_is_no_json_tells_nothing() {
        for challenge in [&b""[..], b"!!", b"YWJj", b"bnVsbA==", b"eyJzdGF0dXMiOltdfQ=="] {
            assert_eq!(status(challenge), None);
        }
    }
}
