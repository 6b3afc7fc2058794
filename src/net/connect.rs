//! Connections to a provider's mail server, directly or through a proxy.
//!
//! Addresses are tried as RFC 8305 has it ("happy eyeballs"): the families take turns, the next
//! address is tried as soon as one refuses or after 250 ms, and the first that accepts is taken.
//! What a name was resolved to is used for some seconds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::egress::{Egress, EgressError, Proxy, ProxyError, ProxyProblem};
use crate::provider::MailHost;

/// How long DNS, all addresses of a host and a proxy together may take until there is a connection.
///
/// Well under the 30 s after which impatient clients give up, so that they hear why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an address may be silent until the next one is tried as well (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Most addresses that are tried, so that a name cannot cause connections without end.
const ADDRESSES_MAX: usize = 16;

/// Why no connection came about. Of a proxy, `host` says that it is one.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host's name gives no address.
    #[error("{host} cannot be resolved ({source}): check the name and this machine's DNS")]
    Resolve {
        /// Host and port.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host has no address of the family that connections have to come from.
    #[error(
        "{host} has no address that can be reached from {bind}: write an address of the other \
         family as `egress.bind`, or leave it out"
    )]
    NoAddress {
        /// Host and port.
        host: String,
        /// Where connections come from.
        bind: IpAddr,
    },
    /// No address accepts the connection.
    #[error(
        "{host} accepts no connection ({source}): check the port, and that no firewall is in between"
    )]
    Refused {
        /// Host and port.
        host: String,
        /// What the last address tried said.
        source: io::Error,
    },
    /// A connection cannot come from where it has to.
    #[error(
        "no connection to {host} can come from {bind} ({source}): write an address of this machine \
         as `egress.bind`, or leave it out"
    )]
    Bind {
        /// Host and port.
        host: String,
        /// Where connections come from.
        bind: IpAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// No answer in time.
    #[error(
        "{host} did not answer in {CONNECT_TIMEOUT:?}: check the port, and that no firewall is in \
         between"
    )]
    TimedOut {
        /// Host and port.
        host: String,
    },
    /// The proxy of the configuration cannot be used.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The proxy was reached and leads nowhere.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Connects to `host` by the way of `egress`. `resolved` is told the addresses of the host, or those
/// of the proxy that leads there, as soon as they are known.
///
/// # Errors
/// When there is no connection within ten seconds.
pub async fn connect(
    host: &MailHost,
    egress: &Egress,
    resolved: impl FnOnce(Option<&Proxy>, &[SocketAddr]),
) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let Some(proxy) = egress.mail_proxy(&host.host).await? else {
        let target = Target { name: (&host.host, host.port), label: host.to_string() };
        return dial(&target, egress, deadline, |addresses| resolved(None, addresses)).await;
    };
    let label = format!("the proxy {proxy} (`egress.mail_proxy`)");
    let target = Target { name: (proxy.host(), proxy.port()), label };
    let stream = dial(&target, egress, deadline, |it| resolved(Some(&proxy), it)).await?;
    let led = timeout_at(deadline, proxy.lead(stream, host)).await;
    led.unwrap_or(Err(ProxyProblem::Silent)).map_err(|problem| {
        ProxyError { proxy: proxy.to_string(), host: host.to_string(), problem }.into()
    })
}

/// What is dialled.
struct Target<'a> {
    name: (&'a str, u16),
    /// What it is called in an error.
    label: String,
}

/// Connects to `target` itself.
async fn dial(
    target: &Target<'_>,
    egress: &Egress,
    deadline: Instant,
    resolved: impl FnOnce(&[SocketAddr]),
) -> Result<TcpStream, ConnectError> {
    let host = || target.label.clone();
    let unresolved = |source| ConnectError::Resolve { host: host(), source };
    let (name, port) = target.name;
    let found = timeout_at(deadline, egress.resolver.addresses(name, port)).await;
    let found = found.unwrap_or_else(|_| {
        let silence = format!("no answer in {CONNECT_TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, silence))
    });
    let addresses = found.map_err(unresolved)?;
    resolved(&addresses);
    let mut ways = Vec::new();
    let mut unfit = None;
    for address in interleaved(&addresses) {
        match egress.source(address.ip()) {
            Ok(source) => ways.push(Way { address, source }),
            Err(bind) => unfit = Some(bind),
        }
    }
    if let (true, Some(bind)) = (ways.is_empty(), unfit) {
        return Err(ConnectError::NoAddress { host: host(), bind });
    }
    let connected = timeout_at(deadline, connect_any(ways)).await;
    if !matches!(connected, Ok(Ok(_))) {
        egress.resolver.forget(name, port);
    }
    match connected {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(Failure::Bind(bind, source))) => {
            Err(ConnectError::Bind { host: host(), bind, source })
        }
        Ok(Err(Failure::Connect(source))) => Err(ConnectError::Refused { host: host(), source }),
        Err(_) => Err(ConnectError::TimedOut { host: host() }),
    }
}

/// An address, and where a connection to it has to come from.
#[derive(Debug, Clone, Copy)]
struct Way {
    address: SocketAddr,
    source: Option<IpAddr>,
}

/// What went wrong with a way.
#[derive(Debug)]
enum Failure {
    Bind(IpAddr, io::Error),
    Connect(io::Error),
}

/// The addresses by turns of the two families, beginning with that of the first, otherwise in the
/// resolver's order (RFC 8305 section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first = addresses.first().map(SocketAddr::is_ipv4);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| Some(address.is_ipv4()) == is_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    while mixed.len() < addresses.len() {
        mixed.extend(first.next().into_iter().chain(second.next()));
    }
    mixed.truncate(ADDRESSES_MAX);
    mixed
}

/// Connects by the first of `ways` that leads there; the others are given up and closed. It may
/// last as long as the hosts are silent: the caller sets the deadline.
///
/// Mostly the first one answers in time. So an attempt runs right here, and becomes a task of its own
/// only when the next one is to run beside it.
async fn connect_any(ways: Vec<Way>) -> Result<TcpStream, Failure> {
    let mut waiting = ways.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = Failure::Connect(io::ErrorKind::AddrNotAvailable.into());
    while let Some(way) = waiting.next() {
        let mut attempt = Box::pin(attempt(way));
        let answered = if waiting.len() == 0 {
            Ok(attempt.as_mut().await)
        } else {
            timeout(ATTEMPT_DELAY, attempt.as_mut()).await
        };
        match answered {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(failed)) => failure = failed,
            Err(_) => {
                attempts.spawn(attempt);
                break;
            }
        }
    }
    loop {
        if let Some(way) = waiting.next() {
            attempts.spawn(Box::pin(attempt(way)));
        }
        let ended = if waiting.len() == 0 {
            attempts.join_next().await
        } else {
            match timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(failed))) => failure = failed,
            Some(Err(cut_off)) => failure = Failure::Connect(cut_off.into()),
            None => return Err(failure),
        }
    }
}

async fn attempt(Way { address, source }: Way) -> Result<TcpStream, Failure> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Failure::Connect)?;
    if let Some(source) = source {
        let bound = socket.bind(SocketAddr::new(source, 0));
        bound.map_err(|error| Failure::Bind(source, error))?;
    }
    let stream = socket.connect(address).await.map_err(Failure::Connect)?;
    // Each reply leaves at once; a delayed acknowledgement would cost 40 ms.
    stream.set_nodelay(true).ok();
    Ok(stream)
}

#[cfg(test)]
mod tests;
