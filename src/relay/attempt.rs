//! An attempt: a client's claim while it is looked at, and what is known of it and of those before
//! it, whatever becomes of it.
//!
//! A client that leaves, or a drain, ends the wait for a verdict at any moment, and its future with
//! it. So what is found meanwhile is written down here as it is found, not handed back at the end.

use tokio::time::Instant;

use super::gate::Permit;
use super::meter::{Meter, Took};
use crate::names::Username;
use crate::provider::Protocol;
use crate::refusal::Refusal;

/// What is known of a session's claims.
#[derive(Debug)]
pub(crate) struct Attempt<'m> {
    meter: &'m Meter,
    protocol: Protocol,
    /// Whose account it is, once the client has shown that it may use one. A wrong password behind a
    /// right one takes nothing back.
    pub(super) account: Option<Username>,
    /// The provider's server, as the log names it, once it is known.
    pub(super) upstream: Option<String>,
    /// What the steps of the claim took that are done.
    pub(super) took: Took,
    /// What those of earlier claims took.
    took_before: Took,
    /// Since when a place at the gate is waited for, while it is.
    waits_since: Option<Instant>,
    is_refused: bool,
}

impl<'m> Attempt<'m> {
    /// That of a session that has claimed nothing yet. `meter` counts its claims.
    pub(super) fn new(meter: &'m Meter, protocol: Protocol) -> Self {
        let (account, upstream, waits_since) = (None, None, None);
        let (took, took_before) = (Took::default(), Took::default());
        let is_refused = false;
        Self { meter, protocol, account, upstream, took, took_before, waits_since, is_refused }
    }

    /// Says that another claim is looked at, of which nothing is known.
    pub(super) fn begin(&mut self) {
        self.took_before = self.took_in_all();
        self.took = Took::default();
        self.is_refused = false;
    }

    /// Says that the client may use `account`.
    pub(super) fn is_of(&mut self, account: &Username) {
        self.account = Some(account.clone());
        self.upstream = None;
    }

    /// What the steps of all claims took together.
    pub(super) fn took_in_all(&self) -> Took {
        let mut took = self.took_before;
        took.add(self.took);
        took
    }

    /// Counts it as refused. Called where the log tells so: the client may not wait to hear it.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.meter.refused(self.protocol, refusal);
        self.is_refused = true;
    }

    /// Whether it was refused, whether or not the client has heard it.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Says that it waits for a place at the gate, and has since `arrived`.
    pub(super) fn queues(&mut self, arrived: Instant) {
        self.waits_since = Some(arrived);
    }

    /// Says that it has the place of `permit`.
    pub(super) fn enters(&mut self, permit: &Permit) {
        self.waits_since = None;
        self.took.gate_wait = Some(permit.waited());
    }

    /// Says that it waits no more. A wait in vain is one, too.
    pub(super) fn leaves(&mut self) {
        if let Some(since) = self.waits_since.take() {
            let gate_wait = Some(since.elapsed());
            self.took.add(Took { gate_wait, ..Took::default() });
        }
    }

    /// Keeps what its steps took, once it is over.
    pub(super) fn settle(&mut self) {
        self.leaves();
        self.meter.took(self.protocol, &self.took);
    }
}
