//! The yardstick: TCP in, TLS out, tokio's `copy_bidirectional` in between.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::process::upstream_port;

/// Serves until the process ends.
pub(crate) async fn serve(dir: &Path) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let port = upstream_port(dir);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let connector = connector.clone();
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let mut upstream = connector.connect(name, tcp).await?;
            tokio::io::copy_bidirectional(&mut client, &mut upstream).await
        });
    }
}
