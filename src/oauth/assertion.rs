//! Assertions: JWTs (RFC 7519) that show an authorization server who asks.
//!
//! Source: RFC 7523 sections 2 and 3; Microsoft, "Microsoft identity platform application
//! authentication certificate credentials"; Google, "Using OAuth 2.0 for Server to Server
//! Applications".

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::client_key::SigningKey;
use super::service_account_key::AccountKey;
use crate::provider::AssertionAlgorithm;
use crate::secret::SecretString;

/// How long a client's assertion is good. Microsoft's page wants 5 to 10 minutes; the longer one
/// bears with a clock that is behind.
const CLIENT_LIFE: Duration = Duration::from_secs(10 * 60);

/// How long a service account's assertion is good: the longest that Google takes, and what its page
/// shows. It goes to Google alone, and a clock that is behind does no harm.
const ACCOUNT_LIFE: Duration = Duration::from_secs(60 * 60);

/// Bytes of a `jti`, drawn at random: 128 bits, so that none comes twice (RFC 7519 section 4.1.7).
const ID_LEN: usize = 16;

/// The claims of a client about itself (RFC 7523 section 3).
#[derive(Serialize)]
struct ClientClaims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: u64,
    iat: u64,
    exp: u64,
}

/// The claims of a service account that acts for somebody (Google's page, "Required claims" and
/// "Additional claims").
#[derive(Serialize)]
struct AccountClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// An assertion by which the client `client_id` shows `audience` at `now` that it has `key`: the
/// value of `client_assertion`.
///
/// # Errors
/// When it cannot be made, in a clause.
pub(super) fn of_client(
    client_id: &str,
    audience: &str,
    key: &SigningKey,
    now: Duration,
) -> Result<SecretString, &'static str> {
    let claims = ClientClaims {
        aud: audience,
        iss: client_id,
        sub: client_id,
        jti: id()?,
        nbf: now.as_secs(),
        iat: now.as_secs(),
        exp: (now + CLIENT_LIFE).as_secs(),
    };
    let algorithm = match key.algorithm {
        AssertionAlgorithm::Ps256 => Algorithm::PS256,
        AssertionAlgorithm::Rs256 => Algorithm::RS256,
    };
    let mut header = Header::new(algorithm);
    header.kid.clone_from(&key.key_id);
    if let Some(certificate) = &key.certificate {
        header.x5t_s256 = Some(certificate.sha256_thumbprint());
        header.x5t = Some(certificate.sha1_thumbprint());
    }
    sign(&header, &claims, &key.private_key.encoding_key())
}

/// An assertion by which the service account of `key` asks `audience` at `now` for `scope` in the
/// name of `subject`: the value of `assertion`.
///
/// # Errors
/// When it cannot be made, in a clause.
pub(super) fn of_service_account(
    key: &AccountKey,
    subject: &str,
    scope: &str,
    audience: &str,
    now: Duration,
) -> Result<SecretString, &'static str> {
    let claims = AccountClaims {
        iss: &key.client_email,
        sub: subject,
        scope,
        aud: audience,
        iat: now.as_secs(),
        exp: (now + ACCOUNT_LIFE).as_secs(),
    };
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.private_key_id.clone());
    sign(&header, &claims, &key.private_key.encoding_key())
}

/// A new `jti`.
fn id() -> Result<String, &'static str> {
    let mut bytes = [0; ID_LEN];
    rand::fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn sign(
    header: &Header,
    claims: &impl Serialize,
    key: &EncodingKey,
) -> Result<SecretString, &'static str> {
    let signed = jsonwebtoken::encode(header, claims, key);
    signed.map(SecretString::from).map_err(|_| "the key does not sign")
}
