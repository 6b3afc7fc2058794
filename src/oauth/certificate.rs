//! A client's certificate: what names a key to the server (RFC 7515 sections 4.1.7 and 4.1.8), and
//! when it is good.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode as _;

use super::key_problem::Flaw;
use super::pem;
use crate::net::tls::validity::Validity;

/// A certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    validity: Validity,
    public_key: Vec<u8>,
}

impl Certificate {
    /// The first certificate in the PEM `text`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let der = pem::certificate(text)?;
        let parsed = Parsed::from_der(&der)
            .map_err(|_| Flaw::halfway("is damaged", "export the certificate again"))?;
        let parsed = parsed.tbs_certificate();
        let validity = parsed.validity().into();
        let public_key = parsed.subject_public_key_info().subject_public_key.raw_bytes().to_vec();
        Ok(Self { der, validity, public_key })
    }

    /// When it is good.
    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// `subjectPublicKey`; of an RSA key, what RFC 8017 appendix A.1.1 says.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// `x5t#S256`.
    pub(super) fn sha256_thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &self.der))
    }

    /// `x5t`, which a server may know the certificate by; nothing's safety rests on it.
    pub(super) fn sha1_thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }
}
