//! What tests of TLS towards clients need: an authority, the files of what it issues, clients that
//! trust it, and what is logged.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::tls::server::CertificateFiles;

/// The name in certificates, unless a test says otherwise.
pub(crate) const HOST: &str = "mail.example";

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::called("authority")
    }

    pub(crate) fn called(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for `host` and its key, both PEM.
    pub(crate) fn issue(&self, host: &str) -> [String; 2] {
        self.issue_as(&CertificateParams::new([host.to_owned()]).unwrap())
    }

    /// The same by `params`.
    pub(crate) fn issue_as(&self, params: &CertificateParams) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        [params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem()]
    }

    /// Its own certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        // RFC 7468 section 2: base64 in lines of 64 characters.
        let base64 = STANDARD.encode(&self.certificate);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for line in base64.as_bytes().chunks(64) {
            pem += std::str::from_utf8(line).unwrap();
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE-----\n"
    }

    /// A client that trusts it and speaks these versions.
    pub(crate) fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// Writes a certificate and its key into `dir`; gives where.
pub(crate) fn put(dir: &Path, [certificate, key]: &[String; 2]) -> CertificateFiles {
    let files =
        CertificateFiles { certificate: dir.join("mail.pem"), private_key: dir.join("mail.key") };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.private_key, key).unwrap();
    files
}

/// Collects what its thread logs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What is logged from now on, until the guards are dropped.
    pub(crate) fn collect() -> (Self, impl Sized) {
        let log = Self::default();
        let writer = log.clone();
        // While there is one subscriber alone, `tracing` (0.1) believes that nobody listens to a log
        // line whose first thread has none: another test's, here.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let subscribed = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .finish()
            .set_default();
        (log, (subscribed, second))
    }

    /// The lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
