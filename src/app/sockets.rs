//! The sockets of the listeners: bound at start, and kept, added and closed by a reload.
//!
//! What a reload needs is bound first ([`Sockets::plan`]), which changes nothing, and put to use
//! when nothing can go wrong any more ([`Sockets::follow`]).

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Bound, StartError};
use crate::net::listen::ListenAddress;
use crate::relay::ListenerSettings;
use crate::relay::listener::{self, Listener};

/// Every socket that is bound, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Sockets(Vec<Open>);

/// A bound socket.
#[derive(Debug)]
struct Open {
    bound: Bound,
    /// The entry of the file that it was bound for.
    entry: ListenAddress,
    /// Whom it accepts connections for now.
    listener: watch::Sender<Arc<Listener>>,
    /// Until somebody accepts its connections.
    socket: Option<TcpListener>,
    /// Ends the accepting.
    stop: CancellationToken,
}

/// What is to become of the sockets: one list for each listener of the file.
#[derive(Debug)]
pub(super) struct Plan(Vec<Vec<Planned>>);

#[derive(Debug)]
enum Planned {
    /// The one at this position stays.
    Keep(usize),
    /// This one comes.
    Add(ListenAddress, SocketAddr, TcpListener),
}

impl Sockets {
    /// Binds what `listeners` lack. Dropping the plan leaves everything as it is.
    pub(super) fn plan(&self, listeners: &[ListenerSettings]) -> Result<Plan, StartError> {
        listeners.iter().map(|settings| self.plan_for(settings)).collect::<Result<_, _>>().map(Plan)
    }

    fn plan_for(&self, settings: &ListenerSettings) -> Result<Vec<Planned>, StartError> {
        let mut planned = Vec::new();
        for &entry in &settings.addresses {
            let kept =
                || self.0.iter().enumerate().filter(|(_, open)| open.serves(settings, entry));
            planned.extend(kept().map(|(position, _)| Planned::Keep(position)));
            // Whoever asked for any free port keeps the one that it got.
            if entry.port() == 0 && kept().next().is_some() {
                continue;
            }
            let held: Vec<_> = kept().map(|(_, open)| open.bound.address).collect();
            let bound = entry.bind(&held).map_err(|source| {
                let listener = settings.name.clone();
                let port = entry.port();
                let is_own = self.0.iter().any(|open| open.bound.address.port() == port);
                if source.is_in_use() && is_own {
                    StartError::Overlap { listener, port }
                } else {
                    StartError::Listen { listener, source }
                }
            })?;
            for socket in bound {
                let Ok(address) = socket.local_addr() else { continue };
                planned.push(Planned::Add(entry, address, socket));
            }
        }
        Ok(planned)
    }

    /// Carries out `plan`, which was made for `listeners`. Sockets that it does not name stop
    /// accepting; new ones wait for [`Self::serve`].
    pub(super) fn follow(&mut self, plan: Plan, listeners: &[Arc<Listener>]) {
        let mut before: Vec<_> = self.0.drain(..).map(Some).collect();
        for (listener, planned) in listeners.iter().zip(plan.0) {
            for planned in planned {
                let open = match planned {
                    Planned::Keep(position) => {
                        // Each is kept once: two entries for one address are no configuration.
                        before.get_mut(position).and_then(Option::take).map(|mut open| {
                            open.listener.send_replace(Arc::clone(listener));
                            open.bound = Bound::new(listener.settings(), open.bound.address);
                            open
                        })
                    }
                    Planned::Add(entry, address, socket) => Some(Open {
                        bound: Bound::new(listener.settings(), address),
                        entry,
                        listener: watch::Sender::new(Arc::clone(listener)),
                        socket: Some(socket),
                        stop: CancellationToken::new(),
                    }),
                };
                self.0.extend(open);
            }
        }
        for Open { bound, stop, .. } in before.into_iter().flatten() {
            let Bound { listener, address, .. } = bound;
            info!(listener, %address, "no longer listening");
            stop.cancel();
        }
    }

    /// Accepts connections at the sockets that do not do so yet.
    pub(super) fn serve(&mut self) {
        for open in &mut self.0 {
            let Some(socket) = open.socket.take() else { continue };
            let Bound { listener, protocol, address } = &open.bound;
            info!(listener, protocol = protocol.name(), %address, "listening");
            tokio::spawn(listener::serve(open.listener.subscribe(), socket, open.stop.clone()));
        }
    }

    /// Accepts no more connections.
    pub(super) fn close(&mut self) {
        for open in self.0.drain(..) {
            open.stop.cancel();
        }
    }

    /// Every bound address, in the file's order.
    pub(super) fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.0.iter().map(|open| &open.bound)
    }
}

impl Open {
    /// Whether it is what `entry` of that listener needs, or a part of it.
    fn serves(&self, settings: &ListenerSettings, entry: ListenAddress) -> bool {
        match entry.port() {
            0 => self.entry == entry && self.bound.listener == settings.name,
            _ => entry.is_at(self.bound.address),
        }
    }
}
