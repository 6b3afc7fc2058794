//! Connections to a provider's mail server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::provider::MailHost;

/// How long DNS and all addresses of a host together may take until TCP is up.
///
/// Well under the 30 s after which impatient clients give up, so that they hear why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no connection came about.
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
    /// No answer in time.
    #[error(
        "{host} did not answer in {CONNECT_TIMEOUT:?}: check DNS, and that no firewall is in between"
    )]
    TimedOut {
        /// Host and port.
        host: String,
    },
}

/// Connects to `host`: its addresses in the resolver's order, the next when one refuses or is
/// silent for its share of the time. `resolved` is told them as soon as they are known.
///
/// # Errors
/// When no address of it accepts within ten seconds.
pub async fn connect(
    host: &MailHost,
    resolved: impl FnOnce(&[SocketAddr]),
) -> Result<TcpStream, ConnectError> {
    let attempt = async {
        let addresses: Vec<_> = tokio::net::lookup_host((host.host.as_str(), host.port))
            .await
            .map_err(|source| ConnectError::Resolve { host: host.to_string(), source })?
            .collect();
        resolved(&addresses);
        connect_any(&addresses)
            .await
            .map_err(|source| ConnectError::Refused { host: host.to_string(), source })
    };
    match timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { host: host.to_string() }),
    }
}

/// Connects to the first of `addresses` that accepts. Each gets an equal share of the time that is
/// left: where packets of IPv6 vanish, the addresses of IPv4 behind must have theirs.
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (address, to_try) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(to_try).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Each reply leaves at once; a delayed acknowledgement would cost 40 ms.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => refused = error,
            Err(_) => refused = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;
    use crate::provider::UpstreamTls;

    /// An address whose connections hang: its queue has room for one, and is full.
    async fn silent() -> (Socket, TcpStream, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let queued = TcpStream::connect(address).await.unwrap();
        (socket, queued, address)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_leaves_time_for_the_next() {
        let (_socket, _queued, silent) = silent().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accepting = listener.local_addr().unwrap();
        let started = Instant::now();
        let stream = connect_any(&[silent, accepting]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), accepting);
        assert_eq!(started.elapsed().as_secs(), 5);
        let error = connect_any(&[silent]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 15);
    }

    #[tokio::test]
    async fn a_host_is_reached_at_whichever_of_its_addresses_accepts() {
        for address in tokio::net::lookup_host(("localhost", 0)).await.unwrap() {
            // A machine may know ::1 by name and have no IPv6.
            let Ok(listener) = TcpListener::bind(address).await else { continue };
            let port = listener.local_addr().unwrap().port();
            let host = MailHost { host: "localhost".into(), port, tls: UpstreamTls::StartTls };
            let mut resolved = Vec::new();
            connect(&host, |addresses| resolved.extend_from_slice(addresses)).await.unwrap();
            assert!(resolved.contains(&SocketAddr::new(address.ip(), port)), "{resolved:?}");
        }
    }
}
