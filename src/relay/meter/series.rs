//! The series that each session of a protocol counts in, found once and kept: to look one up by its
//! labels takes a lock and a hash, and a session counts a dozen times.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::families::Families;
use super::label::{DOWN, PROTOCOL, Phase, UP, Words, of};
use super::{Flow, Took};
use crate::provider::Protocol;

/// Those of one protocol.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) sign_ins: Counter,
    signing_in: Gauge,
    signed_in: Gauge,
    gate_wait: Histogram,
    dial: Histogram,
    tls: Histogram,
    token: Histogram,
    sign_in: Histogram,
    pub(super) flow: Flow,
}

impl Series {
    /// Those of `protocol` in `families`.
    pub(super) fn of(families: &Families, protocol: Protocol) -> Self {
        let sole = [(PROTOCOL, protocol.name())];
        let phase = |phase: Phase| {
            families.active.get_or_create_owned(&of(protocol, ("phase", phase.name())))
        };
        let direction =
            |name| families.streamed.get_or_create_owned(&of(protocol, ("direction", name)));
        Self {
            sign_ins: owned(&families.sign_ins, sole),
            signing_in: phase(Phase::SigningIn),
            signed_in: phase(Phase::SignedIn),
            gate_wait: owned(&families.gate_wait, sole),
            dial: owned(&families.dial, sole),
            tls: owned(&families.tls, sole),
            token: owned(&families.token, sole),
            sign_in: owned(&families.sign_in, sole),
            flow: Flow { up: direction(UP), down: direction(DOWN) },
        }
    }

    /// The sessions that are as far as `phase`.
    pub(super) fn active(&self, phase: Phase) -> &Gauge {
        match phase {
            Phase::SigningIn => &self.signing_in,
            Phase::SignedIn => &self.signed_in,
        }
    }

    /// Keeps how long the steps of a claim took.
    pub(super) fn took(&self, took: &Took) {
        let steps = [
            (&self.gate_wait, took.gate_wait),
            (&self.dial, took.dial),
            (&self.tls, took.tls),
            (&self.token, took.token),
            (&self.sign_in, took.sign_in),
        ];
        for (durations, took) in steps {
            if let Some(took) = took.as_ref().map(Duration::as_secs_f64) {
                durations.observe(took);
            }
        }
    }
}

fn owned<M: Clone, C: MetricConstructor<M>>(
    family: &Family<Words<1>, M, C>,
    labels: Words<1>,
) -> M {
    family.get_or_create_owned(&labels)
}
