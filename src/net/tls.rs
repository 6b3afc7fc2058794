//! TLS towards providers: whom we trust, and the handshake. [`server`] and [`mod@certificates`] are TLS
//! towards those who connect.
//!
//! In:     the platform's certificate authorities, and a PEM file of further ones.
//! Out:    a client configuration for TLS 1.2 and 1.3 (RFC 9325), server names always checked.
//! Limits: a PEM file of `CA_FILE_LEN_MAX` bytes; sessions to resume as `tickets` says.
//!
//! This module and its child `server` are the only ones that name `rustls_pemfile`, which is no longer
//! maintained.

pub mod certificates;
pub mod server;
pub mod stream;
mod tickets;
pub mod trusted;
pub mod validity;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use self::stream::TlsStream;
use self::tickets::Tickets;
use crate::proto::printable;

/// Longest PEM file read, in bytes. The bundle of every public authority is about 250 KiB.
const CA_FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// Longest account of a failed handshake, in bytes: a certificate may carry hundreds of names.
const PROBLEM_LEN_MAX: usize = 300;

/// The marker of a private key under a passphrase (RFC 7468 section 11).
const ENCRYPTED_KEY_LABEL: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// The marker of the same in the older form (RFC 1421 section 4.6.1.1).
const ENCRYPTED_KEY_HEADER: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// Makes the client configuration that trusts the platform's roots and the certificates in
/// `ca_file`, for one provider.
///
/// Reads files, so it blocks for some milliseconds. A machine without any roots of its own will do
/// when `ca_file` is given.
///
/// # Errors
/// When the file does not yield certificates, or there is nothing at all to trust.
pub fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let crypto = Arc::new(crypto());
    let extra = ca_file.map(certificates).transpose()?.unwrap_or_default();
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&crypto)).map_err(
        |source| match ca_file {
            Some(path) => TlsError::UnusableCertificate { path: path.into(), source },
            None => TlsError::NoRoots { source },
        },
    )?;
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Versions { source })?
        .dangerous() // rustls calls every verifier but its own so; this one is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(Tickets::default()));
    Ok(Arc::new(config))
}

/// What rustls offers, with AES-128 before AES-256.
///
/// With AES-128 the keys are made by SHA-256, for which processors have instructions. SHA-384, which
/// comes with AES-256, takes 8 % of the CPU time of a short session. The server may choose otherwise.
fn crypto() -> CryptoProvider {
    let mut crypto = aws_lc_rs::default_provider();
    crypto.cipher_suites.sort_by_key(|suite| !has_aes_128(suite.suite()));
    crypto
}

fn has_aes_128(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// Takes a host name or an IP address as the name that a server's certificate must carry.
///
/// # Errors
/// When it is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::ServerName { host: host.into() })
}

/// Does the TLS handshake over `stream` with a server whose certificate must carry `host`.
///
/// It may last as long as the server likes: the caller sets the deadline.
///
/// # Errors
/// When `host` is no server name or the handshake fails; nothing was sent under TLS then.
pub async fn connect<S>(
    config: Arc<ClientConfig>,
    stream: S,
    host: &str,
) -> Result<TlsStream<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = server_name(host)?;
    TlsStream::connect(config, name, stream).await.map_err(|error| TlsError::Handshake {
        host: host.into(),
        problem: printable(error.to_string().as_bytes(), PROBLEM_LEN_MAX),
    })
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM file cannot be read.
    #[error("ca_file {path:?} cannot be read ({source}): make it readable for this user")]
    Unreadable {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The PEM file holds no certificates that could be trusted.
    #[error("ca_file {path:?} {problem}: {fix}")]
    NoCertificate {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What it holds instead.
        problem: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A certificate of the PEM file is none.
    #[error(
        "ca_file {path:?} holds a certificate that cannot be used ({source}): export it again as PEM"
    )]
    UnusableCertificate {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The machine has no certificate authorities and no `ca_file` names any.
    #[error(
        "there is no certificate authority to trust ({source}): install the system's \
         (package ca-certificates), or name a PEM file as the provider's `ca_file`"
    )]
    NoRoots {
        /// What the platform said.
        source: rustls::Error,
    },
    /// The crypto provider cannot do TLS 1.2 and 1.3.
    #[error("this build can do neither TLS 1.2 nor TLS 1.3 ({source}): take another build")]
    Versions {
        /// What rustls said.
        source: rustls::Error,
    },
    /// A name that no certificate can carry.
    #[error("{host:?} is no host name and no IP address: correct the host")]
    ServerName {
        /// The name.
        host: String,
    },
    /// The server and this side did not come to terms.
    #[error("no TLS with {host} ({problem}): check the provider's host, `tls` and `ca_file`")]
    Handshake {
        /// The server, as the configuration names it.
        host: String,
        /// What went wrong, in rustls's words and printable: they may quote the certificate.
        problem: String,
    },
}

/// Reads the certificates of a PEM file. There is one at least; whether they are any good is seen
/// when they are used.
///
/// # Errors
/// When the file cannot be read or does not yield certificates.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.into(), source };
    let no_certificate = |problem, fix| TlsError::NoCertificate { path: path.into(), problem, fix };
    let pem = read_pem(path).map_err(|error| match error {
        PemError::Unreadable(source) => unreadable(source),
        PemError::TooLong => {
            no_certificate("is longer than 4 MiB", "keep only the authorities needed")
        }
    })?;
    let found = rustls_pemfile::certs(&mut pem.as_slice())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| no_certificate("is damaged PEM", "export the certificates again"))?;
    if !found.is_empty() {
        Ok(found)
    } else if is_encrypted(&pem) {
        Err(no_certificate(
            "holds an encrypted private key and no certificate",
            "name the authority's certificate",
        ))
    } else {
        Err(no_certificate(
            "holds no certificate",
            "it must contain -----BEGIN CERTIFICATE----- (for a DER file: openssl x509 -inform \
             der -in FILE -out FILE.pem)",
        ))
    }
}

/// Why a PEM file is not read.
enum PemError {
    Unreadable(io::Error),
    TooLong,
}

/// Reads the PEM file at `path`, which may hold a key.
fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, PemError> {
    // Opening a pipe would wait for somebody to write into it, maybe for ever.
    if !std::fs::metadata(path).map_err(PemError::Unreadable)?.is_file() {
        return Err(PemError::Unreadable(io::Error::other("it is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(PemError::Unreadable)?;
    let mut pem = Zeroizing::new(Vec::new());
    let read = file.take(CA_FILE_LEN_MAX + 1).read_to_end(&mut pem);
    let read = read.map_err(PemError::Unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read > CA_FILE_LEN_MAX) {
        return Err(PemError::TooLong);
    }
    Ok(pem)
}

/// Whether there is a private key under a passphrase in it.
fn is_encrypted(pem: &[u8]) -> bool {
    [ENCRYPTED_KEY_LABEL, ENCRYPTED_KEY_HEADER]
        .iter()
        .any(|marker| memchr::memmem::find(pem, marker).is_some())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::version::{TLS12, TLS13};
    use rustls::{ServerConfig, SupportedProtocolVersion};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Marks the copy of a test that runs in its own process, on a machine made to look bare.
    const BARE_MACHINE: &str = "MAILBEARER_TEST_BARE_MACHINE";

    /// A certificate authority in a file, and a server's side of TLS certified by it.
    struct Authority {
        dir: tempfile::TempDir,
        server: Arc<ServerConfig>,
    }

    impl Authority {
        fn new(server_name: &str) -> Self {
            Self::speaking(server_name, rustls::ALL_VERSIONS)
        }

        fn speaking(server_name: &str, versions: &[&'static SupportedProtocolVersion]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let ca_key = KeyPair::generate().unwrap();
            let mut ca = CertificateParams::default();
            ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            std::fs::write(dir.path().join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem())
                .unwrap();
            let key = KeyPair::generate().unwrap();
            let issuer = Issuer::new(ca, ca_key);
            let certificate = CertificateParams::new([server_name.to_owned()])
                .unwrap()
                .signed_by(&key, &issuer)
                .unwrap();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let server =
                ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                    .with_protocol_versions(versions)
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key)
                    .unwrap();
            Self { dir, server: Arc::new(server) }
        }

        fn ca_file(&self) -> PathBuf {
            self.dir.path().join("ca.pem")
        }

        /// What comes of a handshake under `config` with the server, called `host`.
        async fn greet(&self, config: Arc<ClientConfig>, host: &str) -> Result<String, TlsError> {
            let (near, far) = tokio::io::duplex(16_384);
            let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
            let server = tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(far).await {
                    stream.write_all(b"220 ready").await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            });
            let outcome = match connect(config, near, host).await {
                Ok(mut stream) => {
                    let mut greeting = String::new();
                    stream.read_to_string(&mut greeting).await.unwrap();
                    Ok(greeting)
                }
                Err(error) => Err(error),
            };
            server.await.unwrap();
            outcome
        }
    }

    /// Runs the test `name` again in a process that finds no system certificate authorities, which
    /// rustls-native-certs looks for where `SSL_CERT_FILE` says.
    fn run_on_bare_machine(name: &str) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(BARE_MACHINE, "1")
            .env("SSL_CERT_FILE", "/nonexistent/ca.pem")
            .env("SSL_CERT_DIR", "/nonexistent")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
    }

    fn problem_of(pem: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        trust(Some(&path)).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn tls_begins_when_ca_file_certifies_the_name() {
        let authority = Authority::new("mail.corp.example");
        let config = trust(Some(&authority.ca_file())).unwrap();
        let greeting = authority.greet(config, "mail.corp.example").await.unwrap();
        assert_eq!(greeting, "220 ready");
    }

    #[tokio::test]
    async fn a_server_that_lets_the_client_choose_gets_aes_128_and_sha_256() {
        for (version, suite) in [
            (&TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
            (&TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        ] {
            let authority = Authority::speaking("mail.corp.example", &[version]);
            let config = trust(Some(&authority.ca_file())).unwrap();
            let (near, far) = tokio::io::duplex(16_384);
            let acceptor = TlsAcceptor::from(Arc::clone(&authority.server));
            let (stream, _server) =
                tokio::join!(connect(config, near, "mail.corp.example"), acceptor.accept(far));
            assert_eq!(stream.unwrap().agreed(), Some((version.version, suite)));
        }
    }

    #[tokio::test]
    async fn tls_is_refused_when_the_certificate_carries_another_name() {
        let authority = Authority::new("mail.corp.example");
        let config = trust(Some(&authority.ca_file())).unwrap();
        let error = authority.greet(config, "other.corp.example").await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("not valid for name") && told.contains("`ca_file`"), "{told}");
    }

    #[tokio::test]
    async fn tls_is_refused_when_nobody_trusted_certifies_the_server() {
        let authority = Authority::new("mail.corp.example");
        let stranger = Authority::new("mail.corp.example");
        let config = trust(Some(&stranger.ca_file())).unwrap();
        let error = authority.greet(config, "mail.corp.example").await.unwrap_err();
        assert!(matches!(error, TlsError::Handshake { .. }), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn trust_needs_no_system_authorities_when_ca_file_is_given() {
        if std::env::var_os(BARE_MACHINE).is_none() {
            return run_on_bare_machine(
                "net::tls::tests::trust_needs_no_system_authorities_when_ca_file_is_given",
            );
        }
        let authority = Authority::new("mail.corp.example");
        assert!(trust(Some(&authority.ca_file())).is_ok());
        let error = trust(None).unwrap_err().to_string();
        assert!(error.contains("ca-certificates") && error.contains("ca_file"), "{error}");
    }

    #[test]
    fn ca_file_without_certificates_is_refused_with_what_it_holds() {
        let missing = trust(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(matches!(missing, TlsError::Unreadable { .. }), "{missing}");
        let directory = trust(Some(Path::new("/"))).unwrap_err().to_string();
        assert!(directory.contains("it is no regular file"), "{directory}");
        assert!(problem_of("").contains("holds no certificate"));
        assert!(problem_of("\u{1}not pem").contains("holds no certificate"));
        let key = KeyPair::generate().unwrap().serialize_pem();
        assert!(problem_of(&key).contains("holds no certificate"));
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n\
                         -----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(problem_of(encrypted).contains("encrypted private key"));
        let damaged = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(problem_of(damaged).contains("damaged"));
        let empty = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
        assert!(problem_of(empty).contains("cannot be used"));
    }

    #[test]
    fn server_name_is_a_host_or_an_address() {
        for good in ["smtp.office365.com", "127.0.0.1", "::1", "localhost"] {
            assert!(server_name(good).is_ok(), "{good}");
        }
        for bad in ["", "two words", "host:25", "[::1]"] {
            assert!(server_name(bad).is_err(), "{bad}");
        }
    }
}
