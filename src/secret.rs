//! Secrets: values that never print, and where a secret of the configuration comes from.
//!
//! `expose_secret` is the one door; `tests/architecture.rs` lists the modules that may open it.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// Longest secret read from a file, in bytes. An RSA key in PEM is under 4 KiB; this leaves room.
const SECRET_FILE_LEN_MAX: u64 = 65_536;

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

/// Where a secret of the configuration comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// Written in the file, or read from the environment when the file was read.
    Value(SecretString),
    /// A file, read at each use, so that a rotated secret needs no restart.
    File(PathBuf),
}

impl SecretSource {
    /// The secret itself, one trailing line end removed.
    ///
    /// Blocks for the time of one small file read.
    ///
    /// # Errors
    /// When the file is no regular one, cannot be read, is empty, is longer than 64 KiB or is not
    /// UTF-8.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
        }
    }

    /// Whether both are written alike: the same value, or the same file.
    ///
    /// Takes longer the longer the values agree, so it is for the configuration alone.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose_secret() == other.expose_secret(),
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Value(_), Self::File(_)) | (Self::File(_), Self::Value(_)) => false,
        }
    }
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret file {path:?} cannot be read ({source})")]
    Unreadable {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no regular one, empty, too long or no UTF-8 text.
    #[error("the secret file {path:?} {problem}")]
    Unusable {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn read_file(path: &Path) -> Result<SecretString, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.into(), source };
    let unusable = |problem| SecretError::Unusable { path: path.into(), problem };
    // Opening a pipe would wait for somebody to write into it, maybe for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unusable("is no regular file"));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = file.take(SECRET_FILE_LEN_MAX + 1).read_to_string(&mut text);
    read.map_err(|source| {
        if source.kind() == std::io::ErrorKind::InvalidData {
            unusable("is not UTF-8 text")
        } else {
            unreadable(source)
        }
    })?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    match secret.len() {
        0 => Err(unusable("is empty")),
        1..=65_536 => Ok(SecretString::from(secret)),
        _ => Err(unusable("is longer than 64 KiB")),
    }
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
    fn a_secret_never_prints() {
        let token = AccessToken::parse("tell-nobody").unwrap();
        let source = SecretSource::Value(SecretString::from("tell-nobody"));
        assert!(!format!("{token:?} {source:?}").contains("tell-nobody"));
    }

    #[test]
    fn a_secret_file_loses_one_line_end_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (text, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), (" s \n\n", " s \n")] {
            std::fs::write(&path, text).unwrap();
            let read = SecretSource::File(path.clone()).read().unwrap();
            assert_eq!(read.expose_secret(), secret);
        }
        for text in ["", "\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(SecretSource::File(path.clone()).read().is_err());
        }
    }
}
