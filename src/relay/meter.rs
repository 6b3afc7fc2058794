//! The meter: what is counted of sessions, and how long their steps take, as `/metrics` tells it.
//!
//! Bounds: each label is a word of this program or the name of a provider of the file, so nothing
//!         that a peer sends makes a series. All of them are there from the start, at 0.
//! Cost:   what every session counts is found once, when the relay is made; bytes that are streamed
//!         are counted without any lock.

mod families;
mod label;
mod series;
mod took;
mod warm;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::outcome::Outcome;
use crate::provider::{PerProtocol, Protocol};
use crate::refusal::Refusal;

use self::families::Families;
use self::label::{Phase, of, of_session, throttle};
pub(crate) use self::label::{RefusedBy, TurnAwayReason};
use self::series::Series;
pub(crate) use self::took::{Took, Warm};
pub(crate) use self::warm::{Dropped, WarmMeter};

/// What is counted of one relay.
#[derive(Debug)]
pub struct Meter {
    families: Families,
    /// What every session of a protocol counts in.
    series: PerProtocol<Arc<Series>>,
    warm: WarmMeter,
}

/// Bytes streamed between the two sides of sessions that have signed in. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    up: Counter,
    down: Counter,
}

impl Default for Meter {
    fn default() -> Self {
        let families = Families::default();
        let of = |protocol| Arc::new(Series::of(&families, protocol));
        let series = PerProtocol {
            submission: of(Protocol::Submission),
            imap: of(Protocol::Imap),
            pop3: of(Protocol::Pop3),
        };
        Self { families, series, warm: WarmMeter::default() }
    }
}

impl Meter {
    /// Makes the series of the providers that the configuration has.
    pub(crate) fn know_providers<'p>(&self, providers: impl IntoIterator<Item = &'p str>) {
        for provider in providers {
            for protocol in Protocol::ALL {
                drop(self.families.throttles.get_or_create(&throttle(protocol, provider)));
            }
        }
    }

    /// Counts a session from now until what this gives is dropped.
    pub(crate) fn begun(&self, protocol: Protocol) -> Active {
        Active::begin(Arc::clone(self.series.get(protocol)))
    }

    /// Counts a session that is over.
    pub(crate) fn ended(&self, protocol: Protocol, outcome: &Outcome) {
        let (attained, reason) = (outcome.attained(), outcome.reason());
        self.families.sessions.get_or_create(&of_session(protocol, attained, reason)).inc();
    }

    /// Counts a client that gets no session.
    pub(crate) fn turned_away(&self, protocol: Protocol, reason: TurnAwayReason) {
        self.families.turned_away.get_or_create(&of(protocol, ("reason", reason.name()))).inc();
    }

    /// Counts a claim that is accepted: both sides are signed in.
    pub(crate) fn signed_in(&self, protocol: Protocol) {
        self.series.get(protocol).sign_ins.inc();
    }

    /// Counts a claim that is refused.
    pub(crate) fn refused(&self, protocol: Protocol, refusal: &Refusal) {
        self.families.refusals.get_or_create(&of(protocol, ("kind", refusal.kind()))).inc();
    }

    /// Counts a reply by which `provider` says that a mailbox has too many sessions.
    pub(crate) fn throttled(&self, protocol: Protocol, provider: &str) {
        self.families.throttles.get_or_create(&throttle(protocol, provider)).inc();
    }

    /// Keeps how long the steps of a claim took.
    pub(crate) fn took(&self, protocol: Protocol, took: &Took) {
        self.series.get(protocol).took(took);
    }

    /// Counts a message that the provider has taken.
    pub(crate) fn message_accepted(&self) {
        self.families.messages.accepted.inc();
    }

    /// Counts a message that nobody has taken.
    pub(crate) fn message_refused(&self, by: RefusedBy) {
        self.families.messages.refused.get_or_create(&[("by", by.name())]).inc();
    }

    /// Where the bytes of a session are counted while they are streamed.
    pub(crate) fn flow(&self, protocol: Protocol) -> Flow {
        self.series.get(protocol).flow.clone()
    }

    /// Where warm connections are counted.
    pub(crate) fn warm(&self) -> &WarmMeter {
        &self.warm
    }

    /// Gives all series to `registry`, each with its name and what it says.
    pub fn register(&self, registry: &mut Registry) {
        self.families.register(registry);
        self.warm.register(registry);
    }
}

impl Flow {
    /// Counts bytes that the provider took, and bytes that the client took.
    pub(crate) fn moved(&self, up: u64, down: u64) {
        self.up.inc_by(up);
        self.down.inc_by(down);
    }
}

/// A session that counts as active until this is dropped.
#[derive(Debug)]
pub(crate) struct Active {
    series: Arc<Series>,
    phase: Phase,
}

impl Active {
    fn begin(series: Arc<Series>) -> Self {
        let phase = Phase::SigningIn;
        series.active(phase).inc();
        Self { series, phase }
    }

    /// Says that it has signed in.
    pub(crate) fn signed_in(&mut self) {
        self.series.active(self.phase).dec();
        self.phase = Phase::SignedIn;
        self.series.active(self.phase).inc();
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.series.active(self.phase).dec();
    }
}
