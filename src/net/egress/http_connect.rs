//! HTTP CONNECT, the client's side: asks a proxy for a connection.
//!
//! Source: RFC 9110 section 9.3.6 (CONNECT), section 11.7 (407), RFC 9112 section 4 (status line).
//! In:     a header of at most `HEADER_LEN_MAX` bytes, read up to its end and no further: what
//!         follows is the mail server's, which speaks first.
//! Out:    one request, in one write.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::ProxyProblem;
use crate::proto::printable;
use crate::provider::MailHost;
use crate::secret::{ExposeSecret as _, SecretString};

/// Longest header of an answer, in bytes: that of most servers and clients.
const HEADER_LEN_MAX: usize = 8 * 1024;

/// How much is looked at at once, in bytes. Most headers have fewer.
const PEEK_LEN: usize = 512;

/// Longest status shown, in bytes.
const STATUS_LEN_MAX: usize = 80;

/// Asks the proxy at the other end of `stream` for a connection to `host`, showing it
/// `authorization`.
pub(super) async fn ask(
    stream: &mut TcpStream,
    host: &MailHost,
    authorization: Option<&SecretString>,
) -> Result<(), ProxyProblem> {
    stream.write_all(request(host, authorization).as_bytes()).await?;
    judge(&read_header(stream).await?, authorization.is_some())
}

fn request(host: &MailHost, authorization: Option<&SecretString>) -> Zeroizing<String> {
    let host = host.to_string();
    let authorization = authorization.map_or("", |it| SecretString::expose_secret(it));
    let (name, end) =
        if authorization.is_empty() { ("", "") } else { ("Proxy-Authorization: ", "\r\n") };
    Zeroizing::new(format!(
        "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{name}{authorization}{end}\r\n"
    ))
}

/// Reads the header of the answer up to the empty line at its end.
///
/// What came is looked at before it is taken, so that nothing behind the header is.
async fn read_header(stream: &mut TcpStream) -> Result<Vec<u8>, ProxyProblem> {
    let mut header = Vec::new();
    let mut peeked = [0; PEEK_LEN];
    while header.len() < HEADER_LEN_MAX {
        let room = peeked.len().min(HEADER_LEN_MAX - header.len());
        let len = stream.peek(peeked.get_mut(..room).unwrap_or_default()).await?;
        let seen = peeked.get(..len).unwrap_or_default();
        if seen.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let known = header.len();
        header.extend_from_slice(seen);
        let end = end_of_header(&header);
        header.truncate(end.unwrap_or(header.len()));
        let taken = peeked.get_mut(..header.len() - known).unwrap_or_default();
        stream.read_exact(taken).await?;
        if end.is_some() {
            return Ok(header);
        }
    }
    Err(ProxyProblem::Strange("answers with a header over 8 KiB"))
}

/// Where the empty line ends, if it is there. A line may end without CR (RFC 9112 section 2.2).
fn end_of_header(bytes: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(bytes, b"\n\r\n").map(|at| at + 3);
    let lf = memchr::memmem::find(bytes, b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

/// What the answer means by its status line: `HTTP/1.1 200 Connection established`.
fn judge(header: &[u8], was_authorized: bool) -> Result<(), ProxyProblem> {
    let line = header.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| match rest {
        [_minor, b' ', status @ ..] => Some(printable(status, STATUS_LEN_MAX)),
        _ => None,
    });
    let status = status.ok_or(ProxyProblem::Strange("does not speak HTTP"))?;
    let (code, _) = status.split_once(' ').unwrap_or((&status, ""));
    let told = || format!("HTTP {status}");
    match code.as_bytes() {
        [b'2', b'0'..=b'9', b'0'..=b'9'] => Ok(()),
        // tinyproxy 1.11 says 401 to a wrong password.
        b"401" | b"407" if was_authorized => Err(ProxyProblem::CredentialsRefused),
        b"401" | b"407" => Err(ProxyProblem::CredentialsWanted("http")),
        [b'4', b'0'..=b'9', b'0'..=b'9'] => Err(ProxyProblem::Forbidden(told())),
        [b'5', b'0'..=b'9', b'0'..=b'9'] => Err(ProxyProblem::Unreachable(told())),
        _ => Err(ProxyProblem::Strange("answers CONNECT with neither yes nor no")),
    }
}

#[cfg(test)]
mod tests;
