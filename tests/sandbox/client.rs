//! A client of the sandbox: TLS with its authority alone, lines, and tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::{AccountPattern, Username};
use mailbearer::provider::{MailHost, UpstreamTls};
use mailbearer::sandbox::{DEFAULT_SCOPE, Sandbox, SandboxSettings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Settings with every mailbox of example.com.
pub(crate) fn settings() -> SandboxSettings {
    SandboxSettings::new(vec![AccountPattern::parse("*@example.com").unwrap()])
}

/// A sandbox with them.
pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::start(settings()).await.unwrap()
}

pub(crate) fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

/// An XOAUTH2 initial response.
pub(crate) fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// An OAUTHBEARER initial response.
pub(crate) fn oauthbearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\x01host=h\x01port=1\x01auth=Bearer {token}\x01\x01"))
}

pub(crate) fn decoded(base64: &str) -> String {
    String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
}

/// Sends a form to the token endpoint; gives the status and the whole answer.
pub(crate) async fn post(
    sandbox: &Sandbox,
    headers: &str,
    form: &str,
) -> std::io::Result<(u16, String)> {
    post_to(&sandbox.token_endpoint(), headers, form).await
}

/// Sends a form to an endpoint of the sandbox.
pub(crate) async fn post_to(
    endpoint: &str,
    headers: &str,
    form: &str,
) -> std::io::Result<(u16, String)> {
    let (address, path) = endpoint.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    status.map(|status| (status, answer)).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// The form that asks for a token of `scope`.
pub(crate) fn form(sandbox: &Sandbox, scope: &str) -> String {
    let (id, secret) = (sandbox.client_id(), sandbox.client_secret());
    let scope = scope.replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scope}")
}

/// The JSON of an answer.
pub(crate) fn json(answer: &str) -> serde_json::Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A token of `scope`.
pub(crate) async fn token_for(sandbox: &Sandbox, scope: &str) -> String {
    let (status, answer) = post(sandbox, "", &form(sandbox, scope)).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    json(&answer)["access_token"].as_str().unwrap().to_owned()
}

/// A token that is good for everything.
pub(crate) async fn token(sandbox: &Sandbox) -> String {
    token_for(sandbox, DEFAULT_SCOPE).await
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection to a mail server.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
}

impl Client {
    /// Connects, with TLS if that comes first.
    pub(crate) async fn connect(sandbox: &Sandbox, host: &MailHost) -> Self {
        let client = Self::connect_in_clear(host).await;
        match host.tls {
            UpstreamTls::Implicit => client.start_tls(sandbox).await,
            UpstreamTls::StartTls => client,
        }
    }

    pub(crate) async fn connect_in_clear(host: &MailHost) -> Self {
        Self::connect_to(&host.to_string()).await
    }

    pub(crate) async fn connect_to(address: &str) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        Self { stream: Box::new(tcp), received: Vec::new() }
    }

    pub(crate) async fn start_tls(self, sandbox: &Sandbox) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(server, self.stream).await.unwrap();
        Self { stream: Box::new(tls), received: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line without CRLF; `None` once the server closed or reset the connection.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.received.windows(2).position(|it| it == b"\r\n") {
                let line = self.received.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if !self.fill().await {
                assert!(self.received.is_empty(), "half a line: {:?}", self.received);
                return None;
            }
        }
    }

    /// As many bytes.
    pub(crate) async fn take(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            assert!(self.fill().await, "the server closed");
        }
        self.received.drain(..len).collect()
    }

    /// What was received already, without waiting.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.received
    }

    async fn fill(&mut self) -> bool {
        self.received.reserve(65_536);
        self.stream.read_buf(&mut self.received).await.is_ok_and(|len| len > 0)
    }

    /// Sends a line and gives the reply: for SMTP its last line, for IMAP the one with the tag of
    /// the line or a `+`, for POP3 its first.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.ask_all(line).await.pop().unwrap()
    }

    /// The same with all lines of the reply.
    pub(crate) async fn ask_all(&mut self, line: &str) -> Vec<String> {
        self.send(format!("{line}\r\n")).await;
        let tag = line.split(' ').next().unwrap().to_owned();
        self.reply(&tag).await
    }

    /// Reads a reply to the command with `tag`; SMTP and POP3 reply to none.
    pub(crate) async fn reply(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.expect("the server closed");
            let last = match line.as_bytes() {
                [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', separator, ..] => *separator == b' ',
                _ => line.starts_with(['+', '-']) || line.split(' ').next() == Some(tag),
            };
            lines.push(line);
            if last {
                return lines;
            }
        }
    }
}
