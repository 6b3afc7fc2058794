//! Connections to a provider's mail server.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

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

/// Connects to `host`: its addresses in the resolver's order, the next when one refuses.
///
/// # Errors
/// When no address of it accepts within ten seconds.
pub async fn connect(host: &MailHost) -> Result<TcpStream, ConnectError> {
    let attempt = async {
        let addresses = tokio::net::lookup_host((host.host.as_str(), host.port))
            .await
            .map_err(|source| ConnectError::Resolve { host: host.to_string(), source })?;
        let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Each reply leaves at once; a delayed acknowledgement would cost 40 ms.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Err(error) => refused = error,
            }
        }
        Err(ConnectError::Refused { host: host.to_string(), source: refused })
    };
    match timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::TimedOut { host: host.to_string() }),
    }
}
