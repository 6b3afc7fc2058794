//! Token endpoints that speak TLS, with certificates of a private authority.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::*;

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What comes of a request to a stand-in behind TLS with a certificate of `issuer`, for `names` and
/// good until `last_year`, when `trusted` is the `ca_file`; and how many requests it saw.
async fn ask_over_tls(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    last_year: i32,
    trusted: &CertifiedIssuer<'static, KeyPair>,
) -> (Result<AccessToken, TokenError>, usize) {
    let names: Vec<String> = names.iter().copied().map(String::from).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = date_time_ymd(last_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();

    let stand_in = StandIn::start(Answer::token()).await;
    let mut grant = Grant::clone(&stand_in.grant());
    let (_, clear) = grant.source().split_once("http://").unwrap();
    let (clear, _) = clear.split_once('/').unwrap();
    let clear = clear.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(server)).accept(stream).await {
            let mut behind = TcpStream::connect(clear).await.unwrap();
            tokio::io::copy_bidirectional(&mut stream, &mut behind).await.ok();
        }
    });

    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, trusted.pem()).unwrap();
    grant.server.ca_file = Some(ca_file);
    let grant = grant.at(&format!("https://127.0.0.1:{port}/token"));
    let outcome = Tokens::new(Store::in_memory()).access_token(&Arc::new(grant), &scopes()).await;
    (outcome.map(|token| token.access_token), stand_in.requests())
}

#[tokio::test]
async fn endpoint_with_a_certificate_of_ca_file_is_asked() {
    let authority = authority("private");
    let (token, requests) = ask_over_tls(&authority, &["127.0.0.1"], 4096, &authority).await;
    assert_eq!((token.unwrap().expose_secret(), requests), (TOKEN, 1));
}

#[tokio::test]
async fn endpoint_whose_certificate_does_not_hold_hears_no_secret_and_the_cause_is_told() {
    let (authority, stranger) = (authority("private"), authority("other"));
    for (names, last_year, trusted, told) in [
        (["other.example"], 4096, &authority, "not valid for name"),
        (["127.0.0.1"], 2001, &authority, "expired"),
        (["127.0.0.1"], 4096, &stranger, "UnknownIssuer"),
    ] {
        let (outcome, requests) = ask_over_tls(&authority, &names, last_year, trusted).await;
        let error = outcome.unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(told), "{error}");
        let advice = "check the name in `token_endpoint`, the endpoint's certificate and `ca_file`";
        assert!(error.to_string().contains(advice), "{error}");
        assert_eq!(requests, 0);
    }
}
