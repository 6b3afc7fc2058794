//! A client: how an application shows an authorization server who it is.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::SecretSource;

/// An application as the authorization server has it registered.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its client id.
    pub id: String,
    /// How it shows that it is the one.
    pub auth: ClientAuth,
    /// When its secret ends, since 1970, as the configuration tells it; a certificate tells its
    /// own end.
    pub secret_ends_at: Option<Duration>,
}

/// How a client authenticates (the names are those of OpenID Connect Core section 9).
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// `none`: a public client.
    None,
    /// `client_secret_post`: the secret in the form.
    SecretPost(SecretSource),
    /// `client_secret_basic`: the secret in the Authorization header (RFC 6749 section 2.3.1).
    SecretBasic(SecretSource),
    /// `private_key_jwt`: an assertion that we sign (RFC 7523 section 2.2).
    PrivateKeyJwt(ClientKey),
    /// An assertion that somebody else signs and keeps in this file, read at each use.
    AssertionFile(PathBuf),
}

/// The key by which a client signs assertions.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// The certificate (PEM) that the server knows; its thumbprints name the key. None where the
    /// server knows the bare key.
    pub certificate: Option<SecretSource>,
    /// The private key (PEM, not encrypted).
    pub private_key: SecretSource,
    /// `kid`: the key's name at a server that knows the bare key.
    pub key_id: Option<String>,
    /// How it signs.
    pub algorithm: AssertionAlgorithm,
}

/// How an assertion is signed (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS with SHA-256, what Entra asks for.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, the older form.
    Rs256,
}

impl Client {
    /// Whether both are one client, with what it shows written alike.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (&self.id, self.secret_ends_at) == (&other.id, other.secret_ends_at)
            && self.auth.is_same_as(&other.auth)
    }
}

impl ClientAuth {
    /// Whether both are written alike (see [`SecretSource::is_same_as`]).
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::SecretPost(one), Self::SecretPost(other))
            | (Self::SecretBasic(one), Self::SecretBasic(other)) => one.is_same_as(other),
            (Self::PrivateKeyJwt(one), Self::PrivateKeyJwt(other)) => one.is_same_as(other),
            (Self::AssertionFile(one), Self::AssertionFile(other)) => one == other,
            (
                Self::None
                | Self::SecretPost(_)
                | Self::SecretBasic(_)
                | Self::PrivateKeyJwt(_)
                | Self::AssertionFile(_),
                _,
            ) => false,
        }
    }
}

impl ClientKey {
    fn is_same_as(&self, other: &Self) -> bool {
        let certificates = match (&self.certificate, &other.certificate) {
            (Some(one), Some(other)) => one.is_same_as(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        certificates
            && self.private_key.is_same_as(&other.private_key)
            && (&self.key_id, self.algorithm) == (&other.key_id, other.algorithm)
    }
}
