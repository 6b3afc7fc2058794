//! What is heard and told when one way of a stream goes wrong.

use std::pin::pin;

use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{RootCertStore, SupportedCipherSuite, Tls12CipherSuite};

use super::*;

/// A client of TLS 1.2 that may encrypt so many records with its keys.
fn that_may_encrypt(records_max: u64, authority: &Authority) -> Arc<ClientConfig> {
    let whole = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let SupportedCipherSuite::Tls12(whole) = whole else { panic!("{whole:?}") };
    let suite: &'static Tls12CipherSuite = Box::leak(Box::new(Tls12CipherSuite {
        common: CipherSuiteCommon {
            suite: whole.common.suite,
            hash_provider: whole.common.hash_provider,
            confidentiality_limit: records_max,
        },
        prf_provider: whole.prf_provider,
        kx: whole.kx,
        sign: whole.sign,
        aead_alg: whole.aead_alg,
    }));
    let cipher_suites = vec![SupportedCipherSuite::Tls12(suite)];
    let provider = CryptoProvider { cipher_suites, ..aws_lc_rs::default_provider() };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test(start_paused = true)]
async fn a_forged_record_behind_a_reply_ends_it_at_once_and_the_reply_is_heard() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(10_000);
        let (mut near, mut far) = server.meet(version, near, far).await;
        far.write_all(b"* OK\r\n").await.unwrap();
        far.flush().await.unwrap();
        let mut forged = vec![0x17, 3, 3, 0, 32];
        forged.resize(5 + 32, 0);
        far.get_mut().0.write_all(&forged).await.unwrap();
        let mut heard = [0; 6];
        near.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"* OK\r\n");
        // However often one asks. The clock is paused: what is not there at once is never there.
        for _ in 0..2 {
            let read = timeout(Duration::from_secs(9), near.read(&mut heard)).await;
            let error = read.expect("ready").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{version:?}: {error}");
        }
        let error = near.write(b"a NOOP\r\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{version:?}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_called_so_even_if_it_has_hung_up() {
    let server = Server::new();
    for version in VERSIONS {
        let config = Authority::called("another").client(&[version]);
        let (near, far) = duplex(10_000);
        // The ClientHello, and nothing behind it.
        let near = Pipe { writes_max: 1, ..Pipe::new(near) };
        let (near, far) =
            tokio::join!(TlsStream::connect(config, name(), near), server.acceptor.accept(far));
        let error = near.unwrap_err();
        far.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{version:?}");
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_in_mid_upload_and_hangs_up_is_heard_to_the_end() {
    let server = Server::new();
    for version in VERSIONS {
        let (near, far) = duplex(10_000);
        let (mut near, mut far) = server.meet(version, Pipe::new(near), far).await;
        near.stream.writes_max = 0;
        near.stream.beyond = Beyond::Blocked;
        assert_eq!(near.write(&pattern(1_000)).await.unwrap(), 1_000);
        near.stream.beyond = Beyond::Broken;
        far.write_all(b"552 too much\r\n").await.unwrap();
        far.flush().await.unwrap();
        let mut heard = [0; 14];
        near.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"552 too much\r\n");
        far.shutdown().await.unwrap();
        assert_eq!(near.read(&mut heard).await.unwrap(), 0, "{version:?}: its close_notify");
        let error = near.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{version:?}");
    }
}

#[tokio::test]
async fn half_a_reply_is_heard_whole_though_nothing_more_may_be_encrypted() {
    const RECORDS_MAX: u64 = 8;

    let server = Server::new();
    let config = that_may_encrypt(RECORDS_MAX, &server.authority);
    // Narrower than the reply.
    let (near, far) = duplex(64);
    let (near, far) = tokio::join!(
        TlsStream::connect(config, name(), Pipe::new(near)),
        server.acceptor.accept(far)
    );
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.stream.writes_max = 0;
    near.stream.beyond = Beyond::Lost;
    let (reply, mut heard) = (pattern(200), [0; 200]);
    {
        let mut say = pin!(async {
            far.write_all(&reply).await.unwrap();
            far.flush().await.unwrap();
        });
        assert!(poll_fn(|cx| Poll::Ready(say.as_mut().poll(cx))).await.is_pending());
        let mut piece = ReadBuf::new(&mut heard);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut near).poll_read(cx, &mut piece))).await;
        assert!(read.is_pending() && !near.records.begun.is_empty());
        let mut written = Ok(1);
        for _ in 0..RECORDS_MAX {
            written = written.and(near.write(b"x").await);
        }
        assert!(written.unwrap_err().to_string().contains("exhausted"));
        tokio::join!(say, async { near.read_exact(&mut heard).await.unwrap() });
    }
    assert!(heard == *reply);
    near.shutdown().await.unwrap();
}
