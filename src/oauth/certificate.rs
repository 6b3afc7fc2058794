//! The certificate that a client shows.

use std::time::Duration;

use x509_cert::Certificate;

use crate::provider::ClientKey;
use crate::secret::ExposeSecret as _;

/// When the certificate of `key` ends, since 1970; `None` where there is none or it cannot be read.
/// Blocks as [`SecretSource::read`] does.
///
/// [`SecretSource::read`]: crate::secret::SecretSource::read
pub(super) fn certificate_end(key: &ClientKey) -> Option<Duration> {
    let pem = key.certificate.as_ref()?.read().ok()?;
    let chain = Certificate::load_pem_chain(pem.expose_secret().as_bytes()).ok()?;
    let certificate = chain.first()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration())
}
