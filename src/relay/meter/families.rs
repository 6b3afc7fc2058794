//! All series of a relay, by name and labels, as `/metrics` shows them.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::label::{DOWN, PROTOCOL, Phase, RefusedBy, TurnAwayReason, UP, Words, of, of_session};
use crate::provider::Protocol;
use crate::refusal::Refusal;
use crate::relay::outcome::Attained;
use crate::relay::reason::Reason;

/// Upper bounds of the buckets of durations, in seconds: from a token in memory and a server next
/// door to `limits.wait_for_slot` at its default.
const SECONDS: [f64; 13] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What is counted of one relay.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) sessions: Family<Words<3>, Counter>,
    pub(super) active: Family<Words<2>, Gauge>,
    pub(super) turned_away: Family<Words<2>, Counter>,
    pub(super) sign_ins: Family<Words<1>, Counter>,
    pub(super) refusals: Family<Words<2>, Counter>,
    pub(super) throttles: Family<[(&'static str, Arc<str>); 2], Counter>,
    pub(super) gate_wait: Family<Words<1>, Histogram>,
    pub(super) dial: Family<Words<1>, Histogram>,
    pub(super) tls: Family<Words<1>, Histogram>,
    pub(super) token: Family<Words<1>, Histogram>,
    pub(super) sign_in: Family<Words<1>, Histogram>,
    pub(super) messages: Messages,
    pub(super) streamed: Family<Words<2>, Counter>,
}

/// What became of messages, of submission alone.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) accepted: Counter,
    pub(super) refused: Family<Words<1>, Counter>,
}

impl Default for Families {
    fn default() -> Self {
        let of_steps: fn() -> Histogram = || Histogram::new(SECONDS);
        let durations = || Family::new_with_constructor(of_steps);
        let families = Self {
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
        };
        families.begin_at_zero();
        families
    }
}

impl Families {
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
            for direction in [UP, DOWN] {
                drop(self.streamed.get_or_create(&of(protocol, ("direction", direction))));
            }
            for durations in [&self.gate_wait, &self.dial, &self.tls, &self.token, &self.sign_in] {
                drop(durations.get_or_create(&[(PROTOCOL, protocol.name())]));
            }
        }
        for by in [RefusedBy::Provider, RefusedBy::Relay] {
            drop(self.messages.refused.get_or_create(&[("by", by.name())]));
        }
    }

    /// Gives all series to `registry`, each with its name and what it says.
    pub(super) fn register(&self, registry: &mut Registry) {
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
    }
}
