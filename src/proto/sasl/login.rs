//! SASL LOGIN (draft-murchison-sasl-login-00): user name, then password, each asked for.

use super::{SaslError, claim, decode};
use crate::proto::LocalCredentials;

/// `Username:` in base64, as every client expects it.
pub const USERNAME_PROMPT: &str = "VXNlcm5hbWU6";

/// `Password:` in base64.
pub const PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// A sign-in by LOGIN whose user name is known.
#[derive(Debug)]
pub struct AwaitPassword {
    username: Vec<u8>,
}

/// Reads the line with the user name.
///
/// # Errors
/// When the client cancels or the line is no base64.
pub fn read_username(line: &[u8]) -> Result<AwaitPassword, SaslError> {
    Ok(AwaitPassword { username: decode(line)?.to_vec() })
}

impl AwaitPassword {
    /// Reads the line with the password.
    ///
    /// # Errors
    /// When the client cancels, the line is no base64 or the name unusable.
    pub fn read_password(&self, line: &[u8]) -> Result<LocalCredentials, SaslError> {
        // Some devices count a C string's end in.
        let username = self.username.strip_suffix(b"\0").unwrap_or(&self.username);
        let password = decode(line)?;
        claim(username, password.strip_suffix(b"\0").unwrap_or(&password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret as _;

    #[test]
    fn login_gives_name_and_password() {
        let claim = read_username(b"YWxpY2U=").unwrap().read_password(b"c2VjcmV0").unwrap();
        assert_eq!(claim.username.as_str(), "alice");
        assert_eq!(claim.password.expose_secret(), b"secret");
    }

    #[test]
    fn login_can_be_cancelled_at_both_prompts() {
        assert_eq!(read_username(b"*").unwrap_err(), SaslError::Cancelled);
        let awaiting = read_username(b"YWxpY2U=").unwrap();
        assert_eq!(awaiting.read_password(b"*").unwrap_err(), SaslError::Cancelled);
        assert_eq!(read_username(b"?").unwrap_err(), SaslError::Base64);
    }

    #[test]
    fn login_drops_one_nul_at_the_end_and_refuses_any_other() {
        let awaiting = read_username(b"YWxpY2UA").unwrap();
        let claim = awaiting.read_password(b"c2VjcmV0AA==").unwrap();
        assert_eq!(claim.username.as_str(), "alice");
        assert_eq!(claim.password.expose_secret(), b"secret");
        for inside in [&b"c2UAY3JldA=="[..], b"c2VjcmV0AAA="] {
            assert_eq!(awaiting.read_password(inside).unwrap_err(), SaslError::Malformed);
        }
    }

    #[test]
    fn login_without_a_name_is_malformed() {
        let awaiting = read_username(b"").unwrap();
        assert_eq!(awaiting.read_password(b"c2VjcmV0").unwrap_err(), SaslError::Malformed);
    }
}
