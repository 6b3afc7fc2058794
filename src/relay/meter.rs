//! The meter: what is counted of sessions, and how long their steps take, as `/metrics` tells it.
//!
//! Bounds: each label is a word of this program or the name of a provider of the file, so nothing
//!         that a peer sends makes a series. All of them are there from the start, at 0.
//! Cost:   a session as a whole counts behind short locks; bytes that are streamed, without any.

mod label;
mod took;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::outcome::{Attained, Outcome};
use super::reason::Reason;
use crate::provider::Protocol;
use crate::refusal::Refusal;

use self::label::Phase;
pub(crate) use self::label::{RefusedBy, TurnAwayReason};
pub(crate) use self::took::{Took, Warm};
pub(crate) use self::warm::{Dropped, WarmMeter};

/// Upper bounds of the buckets of durations, in seconds: from a token in memory and a server next
/// door to `limits.wait_for_slot` at its default.
const SECONDS: [f64; 13] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

const PROTOCOL: &str = "protocol";

/// Names and values of labels that are words of this program.
type Words<const N: usize> = [(&'static str, &'static str); N];

/// What is counted of one relay. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Meter {
    sessions: Family<Words<3>, Counter>,
    active: Family<Words<2>, Gauge>,
    turned_away: Family<Words<2>, Counter>,
    sign_ins: Family<Words<1>, Counter>,
    refusals: Family<Words<2>, Counter>,
    throttles: Family<[(&'static str, Arc<str>); 2], Counter>,
    gate_wait: Family<Words<1>, Histogram>,
    dial: Family<Words<1>, Histogram>,
    tls: Family<Words<1>, Histogram>,
    token: Family<Words<1>, Histogram>,
    sign_in: Family<Words<1>, Histogram>,
    messages: Messages,
    streamed: Family<Words<2>, Counter>,
    warm: WarmMeter,
}

/// What became of messages, of submission alone.
#[derive(Debug, Clone, Default)]
struct Messages {
    accepted: Counter,
    refused: Family<Words<1>, Counter>,
}

/// Bytes streamed between the two sides of sessions that have signed in. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    up: Counter,
    down: Counter,
}

impl Default for Meter {
    fn default() -> Self {
        let of_steps: fn() -> Histogram = || Histogram::new(SECONDS);
        let durations = || Family::new_with_constructor(of_steps);
        let meter = Self {
            sessions: Family::default(),
            active: Family::default(),
            turned_away: Family::default(),
            sign_ins: Family::default(),
            refusals: Family::default(),
            throttles: Family::default(),
            gate_wait: durations(),
            dial: durations(),
            tls: durations(),
            token: durations(),
            sign_in: durations(),
            messages: Messages::default(),
            streamed: Family::default(),
            warm: WarmMeter::default(),
        };
        meter.begin_at_zero();
        meter
    }
}

impl Meter {
    /// Makes every series whose labels are known: what has never happened is 0 and not unknown, so
    /// that an alert can tell the first time.
    fn begin_at_zero(&self) {
        for protocol in Protocol::ALL {
            for reason in Reason::ALL {
                for attained in Attained::ALL.into_iter().filter(|it| reason.may_end(*it)) {
                    drop(self.sessions.get_or_create(&of_session(protocol, attained, reason)));
                }
            }
            for phase in [Phase::SigningIn, Phase::SignedIn] {
                drop(self.active.get_or_create(&of(protocol, ("phase", phase.name()))));
            }
            for reason in TurnAwayReason::ALL {
                drop(self.turned_away.get_or_create(&of(protocol, ("reason", reason.name()))));
            }
            for kind in Refusal::KINDS {
                drop(self.refusals.get_or_create(&of(protocol, ("kind", kind))));
            }
            drop(self.sign_ins.get_or_create(&[(PROTOCOL, protocol.name())]));
            self.flow(protocol);
            self.warm.begin_at_zero(protocol);
            for durations in [&self.gate_wait, &self.dial, &self.tls, &self.token, &self.sign_in] {
                drop(durations.get_or_create(&[(PROTOCOL, protocol.name())]));
            }
        }
        for by in [RefusedBy::Provider, RefusedBy::Relay] {
            drop(self.messages.refused.get_or_create(&[("by", by.name())]));
        }
    }

    /// Makes the series of the providers that the configuration has.
    pub(crate) fn know_providers<'p>(&self, providers: impl IntoIterator<Item = &'p str>) {
        for provider in providers {
            for protocol in Protocol::ALL {
                drop(self.throttles.get_or_create(&throttle(protocol, provider)));
            }
        }
    }

    /// Counts a session from now until what this gives is dropped.
    pub(crate) fn begun(&self, protocol: Protocol) -> Active {
        Active::begin(self.clone(), protocol)
    }

    /// Counts a session that is over.
    pub(crate) fn ended(&self, protocol: Protocol, outcome: &Outcome) {
        let (attained, reason) = (outcome.attained(), outcome.reason());
        self.sessions.get_or_create(&of_session(protocol, attained, reason)).inc();
    }

    /// Counts a client that gets no session.
    pub(crate) fn turned_away(&self, protocol: Protocol, reason: TurnAwayReason) {
        self.turned_away.get_or_create(&of(protocol, ("reason", reason.name()))).inc();
    }

    /// Counts a claim that is accepted: both sides are signed in.
    pub(crate) fn signed_in(&self, protocol: Protocol) {
        self.sign_ins.get_or_create(&[(PROTOCOL, protocol.name())]).inc();
    }

    /// Counts a claim that is refused.
    pub(crate) fn refused(&self, protocol: Protocol, refusal: &Refusal) {
        self.refusals.get_or_create(&of(protocol, ("kind", refusal.kind()))).inc();
    }

    /// Counts a reply by which `provider` says that a mailbox has too many sessions.
    pub(crate) fn throttled(&self, protocol: Protocol, provider: &str) {
        self.throttles.get_or_create(&throttle(protocol, provider)).inc();
    }

    /// Keeps how long the steps of a claim took.
    pub(crate) fn took(&self, protocol: Protocol, took: &Took) {
        let steps = [
            (&self.gate_wait, took.gate_wait),
            (&self.dial, took.dial),
            (&self.tls, took.tls),
            (&self.token, took.token),
            (&self.sign_in, took.sign_in),
        ];
        for (durations, took) in steps {
            if let Some(took) = took.as_ref().map(Duration::as_secs_f64) {
                durations.get_or_create(&[(PROTOCOL, protocol.name())]).observe(took);
            }
        }
    }

    /// Counts a message that the provider has taken.
    pub(crate) fn message_accepted(&self) {
        self.messages.accepted.inc();
    }

    /// Counts a message that nobody has taken.
    pub(crate) fn message_refused(&self, by: RefusedBy) {
        self.messages.refused.get_or_create(&[("by", by.name())]).inc();
    }

    /// Where the bytes of a session are counted while they are streamed.
    pub(crate) fn flow(&self, protocol: Protocol) -> Flow {
        let direction =
            |name| self.streamed.get_or_create_owned(&of(protocol, ("direction", name)));
        Flow { up: direction("up"), down: direction("down") }
    }

    /// Where warm connections are counted.
    pub(crate) fn warm(&self) -> &WarmMeter {
        &self.warm
    }

    /// Gives all series to `registry`, each with its name and what it says.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Sessions that ended, by the outcome and the reason of their closing line";
        registry.register("sessions", help, self.sessions.clone());
        let counters = [
            ("turned_away", "Clients that got no session", &self.turned_away),
            ("refusals", "Sign-ins and MAIL of devices that were refused", &self.refusals),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "Sessions that run, by whether the client has signed in";
        registry.register("active_sessions", help, self.active.clone());
        let help = "Sign-ins and MAIL of devices that were accepted";
        registry.register("sign_ins", help, self.sign_ins.clone());
        let help = "Replies by which a provider said that a mailbox has too many sessions at once";
        registry.register("throttles", help, self.throttles.clone());
        let durations = [
            ("gate_wait", "Waiting for a place at the mailbox's gate", &self.gate_wait),
            ("dial", "Finding and connecting to the provider's mail server", &self.dial),
            ("tls", "TLS handshakes with the provider's mail server", &self.tls),
            ("token", "Waiting for an access token, at once where it is in memory", &self.token),
            (
                "sign_in",
                "Answers of the provider's mail server, from its greeting to its welcome",
                &self.sign_in,
            ),
        ];
        for (name, help, durations) in durations {
            registry.register_with_unit(name, help, Unit::Seconds, durations.clone());
        }
        let help = "Messages that providers have taken";
        registry.register("messages_accepted", help, self.messages.accepted.clone());
        let help = "Messages that were refused, by whom";
        registry.register("messages_refused", help, self.messages.refused.clone());
        let help = "Streamed after the sign-in: up to the provider, down to the client";
        registry.register_with_unit("streamed", help, Unit::Bytes, self.streamed.clone());
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
    meter: Meter,
    protocol: Protocol,
    phase: Phase,
}

impl Active {
    fn begin(meter: Meter, protocol: Protocol) -> Self {
        let active = Self { meter, protocol, phase: Phase::SigningIn };
        active.gauge().inc();
        active
    }

    /// Says that it has signed in.
    pub(crate) fn signed_in(&mut self) {
        self.gauge().dec();
        self.phase = Phase::SignedIn;
        self.gauge().inc();
    }

    fn gauge(&self) -> Gauge {
        self.meter.active.get_or_create_owned(&of(self.protocol, ("phase", self.phase.name())))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.gauge().dec();
    }
}

fn of(protocol: Protocol, other: (&'static str, &'static str)) -> Words<2> {
    [(PROTOCOL, protocol.name()), other]
}

fn throttle(protocol: Protocol, provider: &str) -> [(&'static str, Arc<str>); 2] {
    [(PROTOCOL, protocol.name().into()), ("provider", provider.into())]
}

fn of_session(protocol: Protocol, attained: Attained, reason: Reason) -> Words<3> {
    [(PROTOCOL, protocol.name()), ("outcome", attained.name()), ("reason", reason.name())]
}
