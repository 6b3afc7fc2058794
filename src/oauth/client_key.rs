//! The key by which a client signs assertions, read from what the configuration names.
//!
//! In:  PEM of a private key and, where the server knows one, of its certificate.
//! Out: a pair that belongs together, or which part is of no use and what to do.

use std::time::{Duration, UNIX_EPOCH};

use super::certificate::Certificate;
use super::key_problem::{Flaw, KeyFacts, KeyPart, KeyProblem};
use super::pem;
use super::rsa_key::{MAKE_RSA, RsaKey};
use crate::clock;
use crate::net::tls::validity::Validity;
use crate::provider::{AssertionAlgorithm, ClientKey};

/// A client's key, ready to sign.
#[derive(Debug)]
pub(super) struct SigningKey {
    pub(super) certificate: Option<Certificate>,
    pub(super) private_key: RsaKey,
    pub(super) key_id: Option<String>,
    pub(super) algorithm: AssertionAlgorithm,
}

impl SigningKey {
    /// Reads `key`. May block.
    ///
    /// # Errors
    /// When a part cannot be read or is unfit, or the parts do not belong together.
    pub(super) fn read(key: &ClientKey) -> Result<Self, KeyProblem> {
        let read_certificate = |source| pem::read(KeyPart::Certificate, source, Certificate::parse);
        let certificate = key.certificate.as_ref().map(read_certificate).transpose()?;
        let private_key = pem::read(KeyPart::PrivateKey, &key.private_key, |text| {
            let private_key = RsaKey::parse(text)?;
            let belongs = |to: &Certificate| to.public_key() == private_key.public();
            if certificate.as_ref().is_none_or(belongs) { Ok(private_key) } else { Err(stranger()) }
        })?;
        let (key_id, algorithm) = (key.key_id.clone(), key.algorithm);
        Ok(Self { certificate, private_key, key_id, algorithm })
    }
}

/// A private key that is not the certificate's.
fn stranger() -> Flaw {
    Flaw::halfway(
        "does not belong to `certificate`",
        "name the key that the certificate was made for; of several certificates in a file the \
         first one counts",
    )
}

/// Looks into `key` as a request that needs it does, and at the certificate's end. May block.
///
/// # Errors
/// When it is of no use.
pub fn check_client_key(key: &ClientKey) -> Result<KeyFacts, KeyProblem> {
    let certificate = SigningKey::read(key)?.certificate.map(|it| it.validity());
    match (certificate, &key.certificate) {
        (Some(Validity { ends_at, .. }), Some(source)) if ends_at <= clock::unix_time() => {
            let flaw = ended(ends_at);
            Err(KeyProblem::of(KeyPart::Certificate, source, flaw))
        }
        _ => Ok(KeyFacts { certificate }),
    }
}

/// A certificate that has ended.
fn ended(ends_at: Duration) -> Flaw {
    let ended = humantime::format_rfc3339_seconds(UNIX_EPOCH + ends_at);
    Flaw::lasting(
        format!("ended at {ended}"),
        format!("{MAKE_RSA}; upload app.pem to the application"),
    )
}

/// When the certificate of `key` ends, since 1970; `None` where it has none or it cannot be read
/// now. May block.
pub(super) fn certificate_end(key: &ClientKey) -> Option<Duration> {
    let source = key.certificate.as_ref()?;
    pem::read(KeyPart::Certificate, source, Certificate::parse).ok().map(|it| it.validity().ends_at)
}
