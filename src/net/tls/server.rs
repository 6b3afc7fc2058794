//! TLS towards those who connect: a certificate, its private key, and the configuration of both.
//!
//! In:     a PEM file with the certificate and those between it and the authority, and a PEM file
//!         with the key (PKCS#8, PKCS#1 or SEC1, not encrypted); they may be one file.
//! Out:    an acceptor for TLS 1.2 and 1.3 (RFC 9325), without client certificates and without ALPN:
//!         no mail client names a protocol, and what one names is passed over.
//! Limits: as other PEM files. Sessions are resumed by tickets, so none is kept here; they hold for
//!         half a day at most, and end with the certificate that they began under.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::aws_lc_rs::digest::{Context, SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::validity::Validity;
use super::{PemError, is_encrypted, read_pem};

/// Which of the two files, where both may have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The one with the certificate.
    Certificate,
    /// The one with its private key.
    PrivateKey,
}

/// The files that a certificate and its key are read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
}

/// What stands in the two files, not looked into.
pub(super) struct Contents<'a> {
    files: &'a CertificateFiles,
    certificate: Zeroizing<Vec<u8>>,
    private_key: Zeroizing<Vec<u8>>,
}

/// A certificate as it is shown.
#[derive(Debug)]
pub struct Shown {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
}

impl Shown {
    /// What the two `files` yield. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When they are not a certificate and its key.
    pub fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        Contents::read(files)?.shown()
    }

    /// What a handshake begins with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// When the server's own certificate is good, if that can be read.
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }
}

impl<'a> Contents<'a> {
    /// Reads both files, which blocks for some milliseconds.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn read(files: &'a CertificateFiles) -> Result<Self, CertificateError> {
        let certificate = read_file(Half::Certificate, &files.certificate)?;
        let private_key = read_file(Half::PrivateKey, &files.private_key)?;
        Ok(Self { files, certificate, private_key })
    }

    /// What tells these contents from others, without giving the key away.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        // With its length before it, no byte can pass from one file to the other unseen.
        context.update(&self.certificate.len().to_be_bytes());
        context.update(&self.certificate);
        context.update(&self.private_key);
        context.finish().as_ref().to_vec()
    }

    /// Makes of them what is shown.
    ///
    /// # Errors
    /// When they are not a certificate and its key.
    pub(super) fn shown(&self) -> Result<Shown, CertificateError> {
        let CertificateFiles { certificate, private_key } = self.files;
        let chain = chain(certificate, &self.certificate)?;
        let key = key(private_key, &self.private_key)?;
        let unusable = |source| {
            if matches!(source, rustls::Error::InconsistentKeys(_)) {
                CertificateError::Mismatch {
                    certificate: certificate.clone(),
                    private_key: private_key.clone(),
                }
            } else if matches!(source, rustls::Error::InvalidCertificate(_)) {
                // What `openssl x509 -req` makes without `-extfile` is of version 1.
                CertificateError::Unusable {
                    half: Half::Certificate,
                    path: certificate.clone(),
                    problem: "holds a certificate that is damaged, or of X.509 version 1",
                    fix: "make it again, of version 3 and with the server's names as \
                          subjectAltName: `mailbearer certificates` does",
                }
            } else {
                CertificateError::Refused { path: certificate.clone(), source }
            }
        };
        let validity = chain.first().and_then(Validity::of);
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(unusable)?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(unusable)?;
        // Its own would keep sessions for clients of TLS 1.2 without tickets, for any time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        Ok(Shown { config: Arc::new(config), validity })
    }
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{path:?} cannot be read ({source}): make it readable for the user mailbearer runs as")]
    Unreadable {
        /// Which file.
        half: Half,
        /// The file as the configuration names it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path:?} {problem}: {fix}")]
    Unusable {
        /// Which file.
        half: Half,
        /// The file as the configuration names it.
        path: PathBuf,
        /// What it holds instead.
        problem: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// The two do not belong together.
    #[error(
        "the key in {private_key:?} is not that of the certificate in {certificate:?}: name the \
         pair that was issued together, the server's own certificate first in its file"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
    },
    /// Certificate or key is none that TLS can use.
    #[error(
        "the certificate in {path:?} and its key cannot be used ({source}): take an RSA key of \
         2048 bits or more, or one on P-256"
    )]
    Refused {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

fn chain(path: &Path, mut pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let half = Half::Certificate;
    let unusable =
        |problem, fix| CertificateError::Unusable { half, path: path.into(), problem, fix };
    let text = pem;
    let chain = rustls_pemfile::certs(&mut pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("is damaged PEM", "export the certificate again"))?;
    if chain.is_empty() {
        if is_encrypted(text) || matches!(rustls_pemfile::private_key(&mut { text }), Ok(Some(_))) {
            return Err(unusable(
                "holds a private key and no certificate",
                "name the certificate's file here; if `private_key` names that, exchange the two",
            ));
        }
        return Err(unusable(
            "holds no certificate",
            "it must contain -----BEGIN CERTIFICATE----- (for a DER file: openssl x509 -inform \
             der -in FILE -out FILE.pem)",
        ));
    }
    Ok(chain)
}

fn key(path: &Path, mut pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let half = Half::PrivateKey;
    let unusable =
        |problem, fix| CertificateError::Unusable { half, path: path.into(), problem, fix };
    if is_encrypted(pem) {
        return Err(unusable(
            "holds a private key under a passphrase, which nobody could type at a start",
            "take the passphrase off (openssl pkey -in FILE -out FILE.key) and keep the file to \
             its owner",
        ));
    }
    rustls_pemfile::private_key(&mut pem)
        .map_err(|_| unusable("is damaged PEM", "export the key again"))?
        .ok_or_else(|| {
            unusable(
                "holds no private key",
                "it must contain -----BEGIN PRIVATE KEY----- (for a PKCS#12 file: openssl pkcs12 \
                 -in FILE -nocerts -noenc -out FILE.key)",
            )
        })
}

fn read_file(half: Half, path: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    read_pem(path).map_err(|error| match error {
        PemError::Unreadable(source) => {
            CertificateError::Unreadable { half, path: path.into(), source }
        }
        PemError::TooLong => CertificateError::Unusable {
            half,
            path: path.into(),
            problem: "is longer than 4 MiB",
            fix: "name the PEM file of one certificate or key",
        },
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new(certificate: &str, key: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("page.pem"), certificate).unwrap();
            std::fs::write(dir.path().join("page.key"), key).unwrap();
            Self(dir)
        }

        fn read(&self) -> Result<Shown, CertificateError> {
            let at = |name| self.0.path().join(name);
            let (certificate, private_key) = (at("page.pem"), at("page.key"));
            Shown::read(&CertificateFiles { certificate, private_key })
        }

        fn problem(&self) -> String {
            self.read().unwrap_err().to_string()
        }
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["page.example".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn acceptor_is_made_of_a_certificate_and_its_key_even_in_one_file() {
        let (certificate, key) = pair();
        let both = format!("{key}{certificate}");
        assert!(Files::new(&both, &both).read().is_ok());
    }

    #[test]
    fn sessions_are_kept_by_tickets_alone_and_none_carries_early_data() {
        let (certificate, key) = pair();
        let config = Files::new(&certificate, &key).read().unwrap().config;
        assert!(!config.session_storage.can_cache());
        assert!(config.ticketer.enabled() && config.ticketer.lifetime() <= 12 * 3_600);
        // Bytes of 0-RTT can be replayed (RFC 8446 section 8).
        assert_eq!(config.max_early_data_size, 0);
    }

    #[test]
    fn certificate_and_key_that_cannot_be_used_are_refused_with_what_to_do() {
        let (certificate, key) = pair();
        let (_, other) = pair();
        assert!(Files::new(&certificate, &other).problem().contains("is not that of"));
        assert!(Files::new("", &key).problem().contains("holds no certificate"));
        assert!(Files::new(&certificate, "").problem().contains("holds no private key"));
        let damaged = "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n";
        assert!(Files::new(&certificate, damaged).problem().contains("damaged"));
        let missing = CertificateFiles {
            certificate: "/nonexistent/page.pem".into(),
            private_key: "/nonexistent/key".into(),
        };
        let missing = Shown::read(&missing).unwrap_err();
        assert!(matches!(missing, CertificateError::Unreadable { .. }), "{missing}");
    }

    #[test]
    fn key_in_the_place_of_a_certificate_is_told_with_the_exchange() {
        let (certificate, key) = pair();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n\
                         -----END ENCRYPTED PRIVATE KEY-----";
        for (shown, key) in [(&*key, &*certificate), (&*key, &*key), (encrypted, &*certificate)] {
            let problem = Files::new(shown, key).problem();
            let sentence = "page.pem\" holds a private key and no certificate: name the";
            assert!(problem.contains(sentence) && problem.contains("exchange"), "{problem}");
        }
    }

    #[test]
    fn certificate_of_version_1_is_refused_for_that_and_not_for_its_key() {
        // By `openssl ca -selfsign` without extensions: RFC 5280 section 4.1.2.1 has version 1 then.
        let version_1 = "-----BEGIN CERTIFICATE-----\n\
             MIIBDjCBtgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwHhcN\n\
             MjUwMTAxMDAwMDAwWhcNMjUwMjAxMDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhv\n\
             c3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATuyXFR2QK0BY4Z8HPlogspKl3a\n\
             ghba+Q7Y4+UIqZpC+jsnzK6XAnwJogJCJvGvqm0q7jurzRmEsxICr2WGGeeyMAoG\n\
             CCqGSM49BAMCA0cAMEQCIDWCxmiLxfivBlq/9zEfOPD+IZCDvBGyl2Kxbcq7PLWO\n\
             AiBJrTzqaFT2iFfGfWhXHThn7pDPcPZg9f2lN6TCDjkeHQ==\n\
             -----END CERTIFICATE-----";
        let (_, key) = pair();
        let problem = Files::new(version_1, &key).problem();
        assert!(problem.contains("X.509 version 1") && problem.contains("version 3"), "{problem}");
    }

    #[test]
    fn keys_under_a_passphrase_are_refused_with_the_line_that_takes_it_off() {
        let (certificate, _) = pair();
        // RFC 7468 section 11, and the older form of RFC 1421 section 4.6.1.1.
        let new =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAAA\n\
                   -----END RSA PRIVATE KEY-----";
        for encrypted in [new, old] {
            let problem = Files::new(&certificate, encrypted).problem();
            assert!(problem.contains("openssl pkey -in FILE -out FILE.key"), "{problem}");
        }
    }
}
