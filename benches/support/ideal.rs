//! The yardstick: TCP in, TLS out, tokio's `copy_bidirectional` in between.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::listen;

/// Prints a port for each of the `upstreams`; serves until the process ends.
pub async fn serve(dir: &Path, upstreams: &[u16]) {
    let connector = connector(dir);
    for &port in upstreams {
        let connector = connector.clone();
        listen(move |mut client| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
                tcp.set_nodelay(true)?;
                let mut upstream = connector.connect(name(), tcp).await?;
                tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
                Ok(())
            }
        });
    }
    std::future::pending().await
}

/// A TLS client that trusts the upstream; sessions are resumed.
pub fn connector(dir: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// The upstream's name.
pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}
