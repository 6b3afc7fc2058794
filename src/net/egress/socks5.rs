//! SOCKS version 5, the client's side: asks a proxy for a connection.
//!
//! Source: RFC 1928 (SOCKS5), RFC 1929 (user name and password).
//! In:     answers of a fixed length, of which no byte too many is read: what follows them is the
//!         mail server's.
//! Out:    one write for each message. A host's name is sent as it is, so the proxy resolves it.

use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::ProxyProblem;
use super::proxy::Credentials;
use crate::provider::MailHost;
use crate::secret::{ExposeSecret as _, SecretString};

const VERSION: u8 = 5;

/// Methods of RFC 1928 section 3.
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// RFC 1929 section 2.
const NEGOTIATION_VERSION: u8 = 1;

/// `CMD` of RFC 1928 section 4.
const CONNECT: u8 = 1;

/// `ATYP` of RFC 1928 section 5.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks the proxy at the other end of `stream` for a connection to `host`, and shows it
/// `credentials` if it wants some.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &MailHost,
    credentials: Option<&Credentials>,
) -> Result<(), ProxyProblem> {
    match credentials {
        None => stream.write_all(&[VERSION, 1, NO_AUTHENTICATION]).await?,
        Some(_) => {
            stream.write_all(&[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]).await?;
        }
    }
    let [version, method] = read(stream).await?;
    if version != VERSION {
        return Err(ProxyProblem::Strange("does not speak SOCKS5"));
    }
    match (method, credentials) {
        (NO_AUTHENTICATION, _) => {}
        (USER_AND_PASSWORD, Some(credentials)) => sign_in(stream, credentials).await?,
        (NONE_ACCEPTABLE, Some(_)) => return Err(ProxyProblem::CredentialsRefused),
        (NONE_ACCEPTABLE | USER_AND_PASSWORD, None) => {
            return Err(ProxyProblem::CredentialsWanted("socks5"));
        }
        _ => return Err(ProxyProblem::Strange("chooses a method that it was not offered")),
    }
    stream.write_all(&request(host)?).await?;
    let [version, reply, _reserved, address_type] = read(stream).await?;
    if version != VERSION {
        return Err(ProxyProblem::Strange("does not speak SOCKS5"));
    }
    judge(reply)?;
    // The address that it connects from is of no use here, but stands before the server's bytes.
    match address_type {
        IPV4 => skip::<_, { 4 + 2 }>(stream).await,
        IPV6 => skip::<_, { 16 + 2 }>(stream).await,
        NAME => {
            let [len] = read(stream).await?;
            let mut name_and_port = vec![0; usize::from(len) + 2];
            stream.read_exact(&mut name_and_port).await?;
            Ok(())
        }
        _ => Err(ProxyProblem::Strange("answers with an address of no known type")),
    }
}

/// RFC 1929 section 2.
async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    Credentials { user, password }: &Credentials,
) -> Result<(), ProxyProblem> {
    // With room for all of it from the start, no copy is left behind where it grew.
    let mut message = Zeroizing::new(Vec::with_capacity(3 + 2 * usize::from(u8::MAX)));
    message.push(NEGOTIATION_VERSION);
    for secret in [user, password] {
        let text = SecretString::expose_secret(secret).as_bytes();
        // `Proxy::parse` takes none that is longer.
        message.push(u8::try_from(text.len()).map_err(|_| ProxyProblem::CredentialsRefused)?);
        message.extend_from_slice(text);
    }
    stream.write_all(&message).await?;
    let [_version, status] = read(stream).await?;
    if status == 0 { Ok(()) } else { Err(ProxyProblem::CredentialsRefused) }
}

/// The request of RFC 1928 section 4.
fn request(host: &MailHost) -> Result<Vec<u8>, ProxyProblem> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let len = u8::try_from(host.host.len());
            let len = len.map_err(|_| ProxyProblem::Forbidden("a name over 255 bytes".into()))?;
            request.extend_from_slice(&[NAME, len]);
            request.extend_from_slice(host.host.as_bytes());
        }
    }
    request.extend_from_slice(&host.port.to_be_bytes());
    Ok(request)
}

/// What `REP` means (RFC 1928 section 6).
fn judge(reply: u8) -> Result<(), ProxyProblem> {
    Err(match reply {
        0 => return Ok(()),
        1 => ProxyProblem::Unreachable("general failure".into()),
        2 => ProxyProblem::Forbidden("not allowed by its rules".into()),
        3 => ProxyProblem::Unreachable("network unreachable".into()),
        4 => ProxyProblem::Unreachable("host unreachable".into()),
        5 => ProxyProblem::Unreachable("connection refused".into()),
        6 => ProxyProblem::Unreachable("TTL expired".into()),
        7 => ProxyProblem::Forbidden("command not supported".into()),
        8 => ProxyProblem::Forbidden("address type not supported".into()),
        unassigned => ProxyProblem::Unreachable(format!("reply code {unassigned}")),
    })
}

async fn read<S: AsyncRead + Unpin, const N: usize>(
    stream: &mut S,
) -> Result<[u8; N], ProxyProblem> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn skip<S: AsyncRead + Unpin, const N: usize>(stream: &mut S) -> Result<(), ProxyProblem> {
    read::<S, N>(stream).await.map(drop)
}

#[cfg(test)]
mod tests;
