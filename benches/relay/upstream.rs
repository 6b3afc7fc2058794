//! The upstream of both proxies: TLS, just enough IMAP to sign in, and bulk transfers.
//!
//! `DOWNLOAD n` is answered by n bytes, `UPLOAD n` takes n bytes; both end with a tagged OK.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const PIECE_LEN: usize = 65_536;

/// Serves until the process ends.
pub(crate) async fn serve(dir: &Path) {
    let certificate = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that breaks off is nobody's fault here.
            let _ = session(stream, acceptor).await;
        });
    }
}

async fn session(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(PIECE_LEN, acceptor.accept(stream).await?);
    say(&mut stream, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let tag = words.next().unwrap_or("*").to_owned();
        let (verb, argument) = (words.next().unwrap_or(""), words.next().unwrap_or("0"));
        match verb {
            "AUTHENTICATE" => {
                say(&mut stream, &format!("{tag} OK [CAPABILITY IMAP4rev1 IDLE] signed in"))
                    .await?;
            }
            "DOWNLOAD" => {
                let mut left: usize = argument.parse().unwrap();
                let piece = vec![b'x'; PIECE_LEN];
                while left > 0 {
                    let len = left.min(PIECE_LEN);
                    stream.write_all(&piece[..len]).await?;
                    left -= len;
                }
                say(&mut stream, &format!("{tag} OK sent")).await?;
            }
            "UPLOAD" => {
                let mut left: usize = argument.parse().unwrap();
                while left > 0 {
                    let len = stream.fill_buf().await?.len().min(left);
                    if len == 0 {
                        return Ok(());
                    }
                    stream.consume(len);
                    left -= len;
                }
                say(&mut stream, &format!("{tag} OK taken")).await?;
            }
            "LOGOUT" => {
                say(&mut stream, &format!("* BYE\r\n{tag} OK bye")).await?;
                stream.shutdown().await?;
                // The peer closes first, so that no port of ours stays in TIME_WAIT.
                let _ = stream.read(&mut [0]).await?;
                return Ok(());
            }
            _ => say(&mut stream, &format!("{tag} OK")).await?,
        }
    }
}

async fn say<S>(stream: &mut BufReader<S>, line: &str) -> std::io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}
