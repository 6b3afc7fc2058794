//! Why a relay does not start, or a reload changes nothing.

use crate::account::password::RandomError;
use crate::net::listen::ListenError;
use crate::net::listen::inherited::InheritedError;
use crate::net::listen::socket::BoundAddress;
use crate::net::listen::unix::UnixListenError;
use crate::net::tls::server::CertificateError;
use crate::relay::ServiceError;
use crate::web::admin::AdminTokenError;

/// Why a relay does not start, or does not take another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("listeners.{listener}.address: {source}")]
    Listen {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: ListenError,
    },
    /// A unix socket cannot be listened on.
    #[error("listeners.{listener}.address: {source}")]
    ListenUnix {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: UnixListenError,
    },
    /// Systemd has not passed the socket that is named.
    #[error("listeners.{listener}.address: {source}")]
    Inherit {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: InheritedError,
    },
    /// A socket that systemd has passed is where passwords may not come in clear.
    #[error(
        "listeners.{listener}.address: the socket named {name:?} is at {address}, where passwords \
         would cross a network in clear: write tls = \"starttls\" or \"implicit\", with a \
         certificate, or `require_tls = false` to accept that"
    )]
    InClear {
        /// The listener's name in the file.
        listener: String,
        /// The socket's.
        name: String,
        /// Where it is.
        address: BoundAddress,
    },
    /// An address cannot be listened on beside another one of this relay.
    #[error(
        "listeners.{listener}.address: port {port} is in use by this relay under another address: \
         restart it instead"
    )]
    Overlap {
        /// The listener's name in the file.
        listener: String,
        /// The port that both have.
        port: u16,
    },
    /// An address of the page cannot be listened on.
    #[error("web.address: {0}")]
    ListenPage(#[source] ListenError),
    /// An address of the probes cannot be listened on.
    #[error("web.probes: {0}")]
    ListenProbes(#[source] ListenError),
    /// The page's certificate cannot be shown.
    #[error("web.certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Nobody could sign in at the page.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// Accounts or listeners cannot be served.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Local passwords cannot be kept secret.
    #[error(transparent)]
    Random(#[from] RandomError),
}
