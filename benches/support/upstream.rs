//! The upstream of every proxy: TLS, just enough IMAP and SMTP to sign in, and bulk transfers.
//!
//! IMAP knows two commands of its own: `DOWNLOAD n` is answered by n bytes, and `UPLOAD n` takes n.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::wire::{Wire, listen, plain};

/// The most that is written at once in bulk: four TLS records.
const PIECE_LEN: usize = 65_536;

/// What a listener of the upstream speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// IMAP with SASL-IR, implicit TLS.
    Imap,
    /// IMAP without, as Exchange Online is before the sign-in: it costs a round trip.
    TwoStepImap,
    /// SMTP, implicit TLS.
    Smtp,
    /// SMTP with STARTTLS.
    StartTls,
}

/// Prints the ports of IMAP, IMAP in two steps, submission and submission with STARTTLS; serves
/// until the process ends.
pub async fn serve(dir: &Path) {
    let certificate = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    for speech in [Speech::Imap, Speech::TwoStepImap, Speech::Smtp, Speech::StartTls] {
        let acceptor = acceptor.clone();
        listen(move |stream| session(stream, speech, acceptor.clone()));
    }
    std::future::pending().await
}

async fn session(stream: TcpStream, speech: Speech, acceptor: TlsAcceptor) -> io::Result<()> {
    let wire = match speech {
        Speech::StartTls => return smtp(plain(stream), Some(acceptor)).await,
        Speech::Imap | Speech::TwoStepImap | Speech::Smtp => {
            Wire::new(Box::new(acceptor.accept(stream).await?))
        }
    };
    match speech {
        Speech::Imap => imap(wire, "SASL-IR ").await,
        Speech::TwoStepImap => imap(wire, "").await,
        Speech::Smtp | Speech::StartTls => smtp(wire, None).await,
    }
}

async fn imap(mut wire: Wire, sasl_ir: &str) -> io::Result<()> {
    wire.say(&format!("* OK [CAPABILITY IMAP4rev1 {sasl_ir}AUTH=XOAUTH2] ready")).await?;
    while let Some(line) = wire.line().await? {
        let mut words = line.split_whitespace();
        let tag = words.next().unwrap_or("*").to_owned();
        let (verb, argument) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        match verb {
            "AUTHENTICATE" => {
                if words.next().is_none() {
                    wire.say("+ ").await?;
                    wire.line().await?;
                }
                wire.say(&format!("{tag} OK [CAPABILITY IMAP4rev1 IDLE] signed in")).await?;
            }
            "CAPABILITY" => {
                let capabilities = format!("* CAPABILITY IMAP4rev1 {sasl_ir}AUTH=XOAUTH2");
                wire.say(&format!("{capabilities}\r\n{tag} OK told")).await?;
            }
            "DOWNLOAD" => {
                let mut left: usize = argument.parse().unwrap();
                let piece = vec![b'x'; PIECE_LEN];
                while left > 0 {
                    let len = left.min(PIECE_LEN);
                    wire.stream.write_all(&piece[..len]).await?;
                    left -= len;
                }
                wire.say(&format!("{tag} OK sent")).await?;
            }
            "UPLOAD" => {
                if !wire.discard(argument.parse().unwrap()).await? {
                    return Ok(());
                }
                wire.say(&format!("{tag} OK taken")).await?;
            }
            "LOGOUT" => {
                wire.say(&format!("* BYE\r\n{tag} OK bye")).await?;
                return leave(wire).await;
            }
            _ => wire.say(&format!("{tag} OK")).await?,
        }
    }
    Ok(())
}

async fn smtp(mut wire: Wire, mut acceptor: Option<TlsAcceptor>) -> io::Result<()> {
    wire.say("220 bench ESMTP").await?;
    while let Some(line) = wire.line().await? {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or("").to_ascii_uppercase().as_str() {
            "EHLO" => {
                let offer = if acceptor.is_some() { "STARTTLS" } else { "AUTH XOAUTH2" };
                wire.say(&format!(
                    "250-bench\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n250 {offer}"
                ))
                .await?;
            }
            "STARTTLS" => {
                let Some(acceptor) = acceptor.take() else { return Ok(()) };
                wire.say("220 go ahead").await?;
                wire = Wire::new(Box::new(acceptor.accept(wire.stream.into_inner()).await?));
            }
            "AUTH" => {
                if words.nth(1).is_none() {
                    wire.say("334 ").await?;
                    wire.line().await?;
                }
                wire.say("235 2.7.0 signed in").await?;
            }
            "DATA" => {
                wire.say("354 go on").await?;
                while wire.line().await?.is_some_and(|line| line != ".\r\n") {}
                wire.say("250 2.0.0 taken").await?;
            }
            "QUIT" => {
                wire.say("221 2.0.0 bye").await?;
                return leave(wire).await;
            }
            _ => wire.say("250 2.0.0 done").await?,
        }
    }
    Ok(())
}

/// Ends a session; the peer closes first, so that no port of this side stays in TIME_WAIT.
async fn leave(mut wire: Wire) -> io::Result<()> {
    wire.stream.shutdown().await?;
    let _ = wire.stream.read(&mut [0]).await?;
    Ok(())
}
