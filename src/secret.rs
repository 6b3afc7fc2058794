//! Secrets: values that never print, and where a secret of the configuration comes from.
//!
//! `expose_secret` is the one door; `tests/architecture.rs` lists the modules that may open it.

mod command;
mod source;

use std::fmt;
use std::sync::Arc;

pub use secrecy::{ExposeSecret, SecretSlice, SecretString};

pub use self::command::SecretCommand;
pub use self::source::{SecretError, SecretFileError, SecretSource, read_file};

/// An access token as the token endpoint gave it: 1 to 65,536 visible ASCII characters (RFC 6750
/// section 2.1 allows less), so that it cannot forge a field of an XOAUTH2 response.
///
/// Cloning shares the one copy in memory.
#[derive(Clone)]
pub struct AccessToken(Arc<SecretString>);

impl AccessToken {
    /// Longest access token taken, in characters. Entra's reach a few KiB.
    pub const LEN_MAX: usize = 65_536;

    /// Takes `token` if it is 1 to [`Self::LEN_MAX`] visible ASCII characters, else gives `None`.
    pub fn parse(token: &str) -> Option<Self> {
        let fits = !token.is_empty() && token.len() <= Self::LEN_MAX;
        (fits && token.bytes().all(|byte| byte.is_ascii_graphic()))
            .then(|| Self(Arc::new(SecretString::from(token))))
    }
}

impl ExposeSecret<str> for AccessToken {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([REDACTED])")
    }
}

/// A refresh token: 1 to 65,536 printable ASCII characters (RFC 6749 appendix A.17).
///
/// Cloning shares the one copy in memory.
#[derive(Clone)]
pub struct RefreshToken(Arc<SecretString>);

impl RefreshToken {
    /// Longest refresh token taken, in characters. Entra's reach 2 KiB.
    pub const LEN_MAX: usize = 65_536;

    /// Takes `token` if it is 1 to [`Self::LEN_MAX`] printable ASCII characters, else gives `None`.
    pub fn parse(token: &str) -> Option<Self> {
        let fits = !token.is_empty() && token.len() <= Self::LEN_MAX;
        (fits && token.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
            .then(|| Self(Arc::new(SecretString::from(token))))
    }
}

impl ExposeSecret<str> for RefreshToken {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([REDACTED])")
    }
}

/// Whether `secret` is a PHC string of Argon2, so a hash, and hardly a password that a client shows.
pub fn is_argon2_hash(secret: &SecretString) -> bool {
    secret.expose_secret().starts_with("$argon2")
}

/// Whether `secret` is too long to be guessed by asking: 16 characters, which are 96 bits where
/// they were drawn by `openssl rand -base64`.
pub fn is_long_enough(secret: &SecretString) -> bool {
    secret.expose_secret().chars().count() >= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_with_a_separator_is_refused() {
        assert!(AccessToken::parse("abc.def-_~+/=").is_some());
        for bad in ["", "a b", "a\u{1}b", "a\r\nb", "a\0", "é"] {
            assert!(AccessToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_refresh_token_that_no_endpoint_may_give_is_refused() {
        assert!(RefreshToken::parse("1//0g abc.def-_~+/=\"").is_some());
        let too_long = "x".repeat(RefreshToken::LEN_MAX + 1);
        for bad in ["", "a\u{1}b", "a\r\nb", "a\0", "é", "a\u{7f}", &too_long] {
            assert!(RefreshToken::parse(bad).is_none(), "{bad:?}");
        }
        assert!(RefreshToken::parse(&too_long[1..]).is_some());
    }

    #[test]
    fn a_token_never_prints() {
        let access = AccessToken::parse("tell-nobody").unwrap();
        let refresh = RefreshToken::parse("tell-nobody").unwrap();
        assert!(!format!("{access:?} {refresh:?}").contains("tell-nobody"));
    }

    #[test]
    fn an_argon2_hash_is_told_by_its_beginning() {
        for (text, is) in [("$argon2id$v=19$m=8", true), ("$argon", false), ("argon2id", false)] {
            assert_eq!(is_argon2_hash(&SecretString::from(text)), is, "{text}");
        }
    }
}
