//! The stand-in's certificates: an authority and a server certificate, made in memory at each
//! start, good for a year.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::date::Date;
use crate::clock;

/// What the server certificate is good for.
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(86_400);

/// An authority and a server's TLS settings with a certificate of that authority.
pub(super) struct Certificates {
    /// The authority's certificate, for `ca_file`.
    pub(super) ca_pem: String,
    /// What the mail servers speak TLS with.
    pub(super) server: Arc<ServerConfig>,
}

/// Why there are no certificates: neither happens unless a library is broken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("the stand-in's certificates cannot be made ({0})")]
    Make(#[from] rcgen::Error),
    #[error("the stand-in's certificates cannot be used ({0})")]
    Use(#[from] rustls::Error),
}

impl Certificates {
    /// Makes them.
    pub(super) fn make() -> Result<Self, CertificateError> {
        let mut authority = valid_for_a_year(CertificateParams::default());
        authority.distinguished_name.push(DnType::CommonName, "mailbearer sandbox authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names: Vec<String> = SERVER_NAMES.map(str::to_owned).into();
        let mut server = valid_for_a_year(CertificateParams::new(names)?);
        server.distinguished_name.push(DnType::CommonName, "mailbearer sandbox");
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &authority)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self { ca_pem: authority.pem(), server: Arc::new(server) })
    }
}

/// From yesterday, for clocks that are behind, to a year from now: Apple's verifier refuses server
/// certificates of more than 825 days.
fn valid_for_a_year(mut params: CertificateParams) -> CertificateParams {
    let now = clock::unix_time();
    let at = |Date { year, month, day }| rcgen::date_time_ymd(year, month, day);
    params.not_before = at(Date::at(now.saturating_sub(DAY)));
    params.not_after = at(Date::at(now + 365 * DAY));
    params
}
