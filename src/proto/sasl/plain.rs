//! SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`.

use super::{SaslError, claim, decode};
use crate::names::Username;
use crate::proto::LocalCredentials;

/// Reads the base64 line that a client sends for PLAIN.
///
/// An authorization identity other than the user name itself is refused: nobody here may act as
/// somebody else.
///
/// # Errors
/// [`SaslError::Malformed`] for anything but two NULs or an unusable name,
/// [`SaslError::ForeignAuthzid`] where the authzid is not the user name.
pub fn read(line: &[u8]) -> Result<LocalCredentials, SaslError> {
    let message = decode(line)?;
    let mut fields = message.split(|&byte| byte == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Malformed);
    };
    let claim = claim(authcid, password)?;
    let acts_for = Username::from_wire(authzid);
    if authzid.is_empty() || acts_for.is_ok_and(|name| name.folded() == claim.username.folded()) {
        Ok(claim)
    } else {
        Err(SaslError::ForeignAuthzid)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::secret::ExposeSecret as _;

    fn read_plain(message: &[u8]) -> Result<(String, Vec<u8>), SaslError> {
        let claim = read(STANDARD.encode(message).as_bytes())?;
        Ok((claim.username.as_str().to_owned(), claim.password.expose_secret().to_vec()))
    }

    #[test]
    fn plain_gives_name_and_password() {
        let alice = Ok(("alice".to_owned(), b"secret".to_vec()));
        assert_eq!(read_plain(b"\0alice\0secret"), alice);
        assert_eq!(read_plain(b"alice\0alice\0secret"), alice);
        assert_eq!(read_plain(b"ALICE\0alice\0secret"), alice);
        assert_eq!(read_plain(b"\0a\0\xff\x01"), Ok(("a".to_owned(), b"\xff\x01".to_vec())));
    }

    #[test]
    fn plain_is_refused_for_its_authzid_when_that_is_not_the_user_name() {
        for message in [&b"bob\0alice\0s"[..], b"alic\0alice\0s", b"\x01\0alice\0s", b" \0a\0s"] {
            assert_eq!(read_plain(message), Err(SaslError::ForeignAuthzid), "{message:?}");
        }
        // The name is looked at first: without one there is nobody to be.
        assert_eq!(read_plain(b"bob\0\0s"), Err(SaslError::Malformed));
    }

    #[test]
    fn plain_is_malformed_when_the_shape_is_wrong() {
        let wrong: [&[u8]; 6] = [b"alice\0s", b"\0alice\0s\0", b"", b"\0\0s", b"\0a\x01b\0s", b"x"];
        for message in wrong {
            assert_eq!(read_plain(message), Err(SaslError::Malformed), "{message:?}");
        }
    }

    #[test]
    fn base64_is_read_as_devices_pad_and_break_it() {
        for line in ["AGFsaWNlAHB3", " AGFs aWNlAHB3 ", "AGFsaWNlAHB3cA", "AGFsaWNlAHB3cA==="] {
            assert_eq!(read(line.as_bytes()).unwrap().username.as_str(), "alice", "{line:?}");
        }
        assert_eq!(read(b"*").unwrap_err(), SaslError::Cancelled);
        assert_eq!(read(b"AGFs!").unwrap_err(), SaslError::Base64);
    }
}
