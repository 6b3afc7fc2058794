//! What is counted of warm connections, by protocol.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::label::{PROTOCOL, Words, of};
use crate::provider::Protocol;

/// What is counted of warm connections. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct WarmMeter {
    ready: Family<Words<1>, Gauge>,
    taken: Family<Words<1>, Counter>,
    missed: Family<Words<1>, Counter>,
    dropped: Family<Words<2>, Counter>,
}

/// Why a warm connection was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Nobody wanted it in time.
    Unused,
    /// Its server closed it, or said what nobody had asked for.
    Closed,
    /// It did not come about.
    Failed,
    /// The relay closed it: the server is left alone, another configuration is in force, the wall
    /// clock shows another age, the end.
    GivenUp,
}

impl Dropped {
    const ALL: [Self; 4] = [Self::Unused, Self::Closed, Self::Failed, Self::GivenUp];

    /// The word for it, in the log and in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::GivenUp => "given-up",
        }
    }
}

impl Default for WarmMeter {
    /// With every series, at 0.
    fn default() -> Self {
        let meter = Self {
            ready: Family::default(),
            taken: Family::default(),
            missed: Family::default(),
            dropped: Family::default(),
        };
        for protocol in Protocol::ALL {
            let by_protocol = [(PROTOCOL, protocol.name())];
            drop(meter.ready.get_or_create(&by_protocol));
            drop(meter.taken.get_or_create(&by_protocol));
            drop(meter.missed.get_or_create(&by_protocol));
            for why in Dropped::ALL {
                drop(meter.dropped.get_or_create(&of(protocol, ("reason", why.name()))));
            }
        }
        meter
    }
}

impl WarmMeter {
    /// Counts one that can be given from now on.
    pub(crate) fn enters(&self, protocol: Protocol) {
        self.ready.get_or_create(&[(PROTOCOL, protocol.name())]).inc();
    }

    /// Counts one that can be given no more.
    pub(crate) fn leaves(&self, protocol: Protocol) {
        self.ready.get_or_create(&[(PROTOCOL, protocol.name())]).dec();
    }

    /// Counts one that was given to a session.
    pub(crate) fn taken(&self, protocol: Protocol) {
        self.taken.get_or_create(&[(PROTOCOL, protocol.name())]).inc();
    }

    /// Counts a session that found none, though so many sign in that there should be some.
    pub(crate) fn missed(&self, protocol: Protocol) {
        self.missed.get_or_create(&[(PROTOCOL, protocol.name())]).inc();
    }

    /// Counts one that was of no use.
    pub(crate) fn dropped(&self, protocol: Protocol, why: Dropped) {
        self.dropped.get_or_create(&of(protocol, ("reason", why.name()))).inc();
    }

    /// Gives all series to `registry`.
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Connections to providers that are ready for a session to sign in on";
        registry.register("warm_ready", help, self.ready.clone());
        let counters = [
            ("warm_taken", "Sessions that were given one which its server kept", &self.taken),
            ("warm_missed", "Sessions that found none, though many sign in", &self.missed),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "Warm connections that were of no use, by why";
        registry.register("warm_dropped", help, self.dropped.clone());
    }
}
