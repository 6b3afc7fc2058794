//! Text of rows: JSON, in which secrets leave no copy in memory and names are parsed as they are read.

use std::fmt;
use std::io;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::names::Username;
use crate::provider::Protocol;
use crate::secret::{ExposeSecret as _, RefreshToken};
use crate::store::StoreError;

/// The value of a row in clear. It never prints.
pub(in crate::store) struct Text(Zeroizing<Vec<u8>>);

/// A row is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Unreadable;

impl Text {
    /// The text itself.
    pub(in crate::store) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text([REDACTED])")
    }
}

/// What the value or the key of a row says.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(text).map_err(|_| Unreadable)
}

/// The value of a row that says `value`. Measured first and reserved at once, so that growing leaves no copy of a secret in memory.
pub(super) fn text(value: &impl Serialize) -> Result<Text, StoreError> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).map_err(|error| unwritable(&error))?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *text, value).map_err(|error| unwritable(&error))?;
    Ok(Text(text))
}

/// What cannot be: a record that is no JSON.
pub(super) fn unwritable(error: &serde_json::Error) -> StoreError {
    StoreError::Io { problem: format!("a record cannot be written as text ({error})") }
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A refresh token, which is parsed without a copy in between.
pub(super) struct TokenText(pub(super) RefreshToken);

impl Serialize for TokenText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for TokenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TokenVisitor;
        impl Visitor<'_> for TokenVisitor {
            type Value = TokenText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a refresh token")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TokenText, E> {
                // The error names no value, for it would be a secret.
                RefreshToken::parse(text).map(TokenText).ok_or_else(|| E::custom("no token"))
            }
        }
        deserializer.deserialize_str(TokenVisitor)
    }
}

/// A user name.
pub(super) struct NameText(pub(super) Username);

impl Serialize for NameText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for NameText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Username::parse(&name).map(NameText).map_err(D::Error::custom)
    }
}

/// A protocol, by its word in the configuration.
pub(super) struct ProtocolText(pub(super) Protocol);

impl Serialize for ProtocolText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for ProtocolText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Protocol::ALL.into_iter().find(|p| p.name() == name);
        known.map(ProtocolText).ok_or_else(|| D::Error::custom("no protocol"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_never_prints_though_it_is_written_whole() {
        let row = text(&"refresh-token-in-clear").unwrap();
        assert_eq!(row.bytes(), b"\"refresh-token-in-clear\"");
        assert_eq!(format!("{row:?}"), "Text([REDACTED])");
    }
}
