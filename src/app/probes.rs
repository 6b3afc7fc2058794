//! The probes' sockets.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::StartError;
use crate::net::listen::ListenAddress;
use crate::web::probes::Probes;

/// The sockets of the probes, from their binding on.
#[derive(Debug, Default)]
pub(super) struct OpenProbes {
    /// Until somebody accepts their connections.
    sockets: Vec<TcpListener>,
    bound: Vec<SocketAddr>,
    serving: JoinSet<()>,
}

impl OpenProbes {
    /// Binds `addresses`, of which there are none where the probes are off.
    pub(super) fn bind(addresses: &[ListenAddress]) -> Result<Self, StartError> {
        let mut sockets = Vec::new();
        for address in addresses {
            sockets.extend(address.bind(&[]).map_err(StartError::ListenProbes)?);
        }
        let bound = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        Ok(Self { sockets, bound, serving: JoinSet::new() })
    }

    /// Where they are.
    pub(super) fn bound(&self) -> &[SocketAddr] {
        &self.bound
    }

    /// Begins to answer by `probes`, until `stop`.
    pub(super) fn serve(&mut self, probes: &Probes, stop: &CancellationToken) {
        for socket in self.sockets.drain(..) {
            self.serving.spawn(probes.serve(socket, stop.clone()));
        }
        for address in &self.bound {
            info!(%address, "probes");
        }
    }

    /// Waits until nothing is answered any more.
    pub(super) async fn stopped(mut self) {
        while self.serving.join_next().await.is_some() {}
    }
}
