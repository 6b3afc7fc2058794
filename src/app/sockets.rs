//! The sockets of the listeners: bound at start, and kept, added and closed by a reload.
//!
//! What a reload needs is bound first ([`Sockets::plan`]), which changes nothing, and put to use
//! when nothing can go wrong any more ([`Sockets::follow`]).

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Bound, StartError};
use crate::net::listen::inherited::Inherited;
use crate::net::listen::socket::{BoundAddress, ListenSocket};
use crate::net::listen::{Door, unix};
use crate::relay::listener::{self, Listener};
use crate::relay::{ListenerSettings, ListenerTls};

/// Every socket that is bound, in the file's order.
#[derive(Debug)]
pub(super) struct Sockets {
    open: Vec<Open>,
    /// What systemd has passed, whether the file names it or not.
    inherited: Inherited,
}

/// A bound socket.
#[derive(Debug)]
struct Open {
    bound: Bound,
    /// The entry of the file that it was bound for.
    entry: Door,
    /// Whom it accepts connections for now.
    listener: watch::Sender<Arc<Listener>>,
    /// Until somebody accepts its connections.
    socket: Option<ListenSocket>,
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
    Add(Door, BoundAddress, ListenSocket),
}

impl Sockets {
    /// None yet but those that were `inherited`.
    pub(super) fn new(inherited: Inherited) -> Self {
        Self { open: Vec::new(), inherited }
    }

    /// Binds what `listeners` lack. Dropping the plan leaves everything as it is.
    pub(super) fn plan(&self, listeners: &[ListenerSettings]) -> Result<Plan, StartError> {
        listeners.iter().map(|settings| self.plan_for(settings)).collect::<Result<_, _>>().map(Plan)
    }

    fn plan_for(&self, settings: &ListenerSettings) -> Result<Vec<Planned>, StartError> {
        let mut planned = Vec::new();
        for entry in &settings.addresses {
            let kept =
                || self.open.iter().enumerate().filter(|(_, open)| open.serves(settings, entry));
            planned.extend(kept().map(|(position, _)| Planned::Keep(position)));
            let held: Vec<_> = kept().map(|(_, open)| &open.bound.address).collect();
            refuse_in_clear(settings, entry, &held)?;
            for socket in self.bind(settings, entry, &held)? {
                let Ok(address) = socket.address() else { continue };
                refuse_in_clear(settings, entry, &[&address])?;
                planned.push(Planned::Add(entry.clone(), address, socket));
            }
        }
        Ok(planned)
    }

    /// Binds what `entry` of that listener lacks beside the addresses `held`.
    fn bind(
        &self,
        settings: &ListenerSettings,
        entry: &Door,
        held: &[&BoundAddress],
    ) -> Result<Vec<ListenSocket>, StartError> {
        let listener = || settings.name.clone();
        match entry {
            // Whoever asked for any free port keeps the one that it got.
            Door::Tcp(address) if address.port() == 0 && !held.is_empty() => Ok(Vec::new()),
            Door::Tcp(address) => {
                let held: Vec<_> = held.iter().filter_map(|held| held.tcp()).collect();
                let bound = address.bind(&held).map_err(|source| {
                    let port = address.port();
                    if source.is_in_use() && self.is_own(port) {
                        StartError::Overlap { listener: listener(), port }
                    } else {
                        StartError::Listen { listener: listener(), source }
                    }
                })?;
                Ok(bound.into_iter().map(Into::into).collect())
            }
            Door::Unix(_) | Door::Systemd(_) if !held.is_empty() => Ok(Vec::new()),
            Door::Unix(path) => {
                let bound = unix::bind(path);
                let bound = bound
                    .map_err(|source| StartError::ListenUnix { listener: listener(), source })?;
                Ok(vec![bound])
            }
            Door::Systemd(name) => {
                let bound = self.inherited.bind(name);
                bound.map_err(|source| StartError::Inherit { listener: listener(), source })
            }
        }
    }

    /// Whether this relay has that port, whatever the address.
    fn is_own(&self, port: u16) -> bool {
        let addresses = self.open.iter().filter_map(|open| open.bound.address.tcp());
        addresses.into_iter().any(|address| address.port() == port)
    }

    /// Carries out `plan`, which was made for `listeners`. Sockets that it does not name stop
    /// accepting; new ones wait for [`Self::serve`].
    pub(super) fn follow(&mut self, plan: Plan, listeners: &[Arc<Listener>]) {
        let mut before: Vec<_> = self.open.drain(..).map(Some).collect();
        for (listener, planned) in listeners.iter().zip(plan.0) {
            for planned in planned {
                let open = match planned {
                    Planned::Keep(position) => {
                        // Each is kept once: two entries for one address are no configuration.
                        before.get_mut(position).and_then(Option::take).map(|mut open| {
                            open.listener.send_replace(Arc::clone(listener));
                            let address = open.bound.address.clone();
                            open.bound = Bound::new(listener.settings(), address);
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
                self.open.extend(open);
            }
        }
        for Open { bound, stop, .. } in before.into_iter().flatten() {
            let Bound { listener, address, .. } = bound;
            info!(listener, %address, "no longer listening");
            stop.cancel();
        }
    }

    /// Tells which of the sockets that systemd has passed no listener names: whoever connects there
    /// would wait for ever.
    fn tell_of_unnamed(&self) {
        for name in self.inherited.names() {
            let is_it = |open: &Open| matches!(&open.entry, Door::Systemd(own) if own == name);
            if !self.open.iter().any(is_it) {
                let hint = format!(
                    "write address = \"systemd:{name}\" in a listener, or take it out of the .socket \
                     unit"
                );
                warn!(name, hint, "systemd has passed a socket that no listener names");
            }
        }
    }

    /// Accepts connections at the sockets that do not do so yet. Those that do may have other
    /// accounts now, so all are looked at for a warning.
    pub(super) fn serve(&mut self) {
        self.tell_of_unnamed();
        for open in &mut self.open {
            let Bound { listener, protocol, address } = &open.bound;
            if let Some(socket) = open.socket.take() {
                info!(listener, protocol = protocol.name(), %address, "listening");
                tokio::spawn(listener::serve(open.listener.subscribe(), socket, open.stop.clone()));
            }
            warn_of_everybody(&open.listener.borrow(), address);
        }
    }

    /// Accepts no more connections.
    pub(super) fn close(&mut self) {
        for open in self.open.drain(..) {
            open.stop.cancel();
        }
    }

    /// Every bound address, in the file's order.
    pub(super) fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.open.iter().map(|open| &open.bound)
    }
}

impl Open {
    /// Whether it is what `entry` of that listener needs, or a part of it.
    fn serves(&self, settings: &ListenerSettings, entry: &Door) -> bool {
        match entry {
            Door::Tcp(address) if address.port() == 0 => {
                self.entry == *entry && self.bound.listener == settings.name
            }
            Door::Tcp(address) => self.bound.address.tcp().is_some_and(|own| address.is_at(own)),
            Door::Unix(_) | Door::Systemd(_) => self.entry == *entry,
        }
    }
}

/// Warns of a unix socket at which every user of this machine may connect, where an account takes any
/// password of theirs. What mailbearer makes itself is never one.
fn warn_of_everybody(listener: &Listener, address: &BoundAddress) {
    if listener.takes_any_password() && address.is_for_everybody() {
        warn!(
            listener = listener.settings().name,
            %address,
            hint = "write SocketMode=0660 and SocketGroup= in its .socket unit, with a path, which an \
                    abstract socket has not; or give the account a local password",
            "every user of this machine may send as an account with `local_password = \"any\"`"
        );
    }
}

/// Refuses a listener without TLS where `addresses`, which systemd has chosen, lie in a network. The
/// file's own were looked at with it.
fn refuse_in_clear(
    settings: &ListenerSettings,
    entry: &Door,
    addresses: &[&BoundAddress],
) -> Result<(), StartError> {
    let Door::Systemd(name) = entry else { return Ok(()) };
    let is_clear = settings.tls == ListenerTls::None && settings.require_tls.is_none();
    match addresses.iter().find(|address| is_clear && !address.is_local()) {
        Some(&address) => Err(StartError::InClear {
            listener: settings.name.clone(),
            name: name.clone(),
            address: address.clone(),
        }),
        None => Ok(()),
    }
}
