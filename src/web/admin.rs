//! The admin token: what whoever uses the page has to show.
//!
//! It is read when it is used, so that a rotated one needs no restart, and compared by tags under a
//! key drawn at start: how long that takes tells nothing of the token.

use aws_lc_rs::{constant_time, hmac};

use crate::secret::{ExposeSecret as _, SecretError, SecretSource, SecretString, is_long_enough};

/// The admin token of the configuration.
#[derive(Debug, Clone)]
pub struct AdminToken {
    source: SecretSource,
    /// As it was when the configuration was read.
    first: SecretString,
}

/// Why there is no admin token to compare with.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// It cannot be had.
    #[error("web.admin_token: {0}: {fix}", fix = .0.fix())]
    Secret(#[from] SecretError),
    /// It could be guessed.
    #[error(
        "web.admin_token is shorter than 16 characters, so it could be guessed: draw one at random \
         (openssl rand -base64 32)"
    )]
    TooShort,
}

/// A token's tag. Two tokens with the same are the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp(hmac::Tag);

impl AdminToken {
    /// The one that `source` gives. Blocks as reading a secret does.
    ///
    /// # Errors
    /// When it cannot be had or is too short.
    pub fn new(source: SecretSource) -> Result<Self, AdminTokenError> {
        let first = read(&source)?;
        Ok(Self { source, first })
    }

    /// The tag, under `key`, of the token as it was when the configuration was read.
    pub(super) fn first_stamp(&self, key: &hmac::Key) -> Stamp {
        Stamp::of(&self.first, key)
    }

    /// The tag of the token as it is now. Blocks as reading a secret does.
    pub(super) fn stamp(&self, key: &hmac::Key) -> Result<Stamp, AdminTokenError> {
        Ok(Stamp::of(&read(&self.source)?, key))
    }
}

impl Stamp {
    /// The tag of `token` under `key`.
    pub(super) fn of(token: &SecretString, key: &hmac::Key) -> Self {
        Self(hmac::sign(key, token.expose_secret().as_bytes()))
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_ref(), other.0.as_ref()).is_ok()
    }
}

fn read(source: &SecretSource) -> Result<SecretString, AdminTokenError> {
    let token = source.read()?;
    if is_long_enough(&token) { Ok(token) } else { Err(AdminTokenError::TooShort) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(token: &str) -> SecretSource {
        SecretSource::Value(SecretString::from(token))
    }

    #[test]
    fn admin_token_has_sixteen_characters_or_more() {
        assert!(AdminToken::new(written("0123456789abcdef")).is_ok());
        let error = AdminToken::new(written("0123456789abcde")).unwrap_err();
        assert!(matches!(error, AdminTokenError::TooShort), "{error}");
        assert!(!error.to_string().contains("0123"), "{error}");
    }

    #[test]
    fn stamps_are_equal_when_the_tokens_are() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let token = AdminToken::new(written("0123456789abcdef")).unwrap();
        let of = |text: &str| Stamp::of(&SecretString::from(text), &key);
        assert!(token.first_stamp(&key) == of("0123456789abcdef"));
        assert!(token.stamp(&key).unwrap() == of("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(token.first_stamp(&key) != of(wrong), "{wrong}");
        }
    }

    #[test]
    fn token_in_a_file_is_read_again_when_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "the first token of all\n").unwrap();
        let token = AdminToken::new(SecretSource::File(file.clone())).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        std::fs::write(&file, "the second token of all\n").unwrap();
        assert!(token.stamp(&key).unwrap() != token.first_stamp(&key));
        std::fs::remove_file(file).unwrap();
        let error = token.stamp(&key).unwrap_err().to_string();
        assert!(error.starts_with("web.admin_token: the secret file"), "{error}");
    }

    #[test]
    fn admin_token_never_prints() {
        let token = AdminToken::new(written("tell-nobody-of-this")).unwrap();
        assert!(!format!("{token:?}").contains("tell-nobody"));
    }
}
