//! The gate: how many sessions a mailbox has at its provider at once.
//!
//! A provider refuses the sessions of a mailbox beyond a number (Exchange Online: 3 of submission,
//! `432 4.3.2`). Those who would be too many wait here, in order of arrival across all listeners,
//! and nobody gets a connection to the provider without a place.
//!
//! Who waits stands in the queue of its mailbox under its ticket. A place is given by taking its
//! ticket out of the queue, so it has the place before it wakes, and nobody can come between.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::names::Username;
use crate::provider::Protocol;

/// How long nobody new is let in after the provider said that a mailbox has too many sessions. There
/// are some that we do not know of, then: other programs' on the same mailbox.
const CLOSED_FOR: Duration = Duration::from_secs(10);

/// The gates of all mailboxes: how many sessions each has at its provider at once. Cloning shares
/// them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gates(Arc<Mutex<Known>>);

/// Whose gate: the provider's name, the XOAUTH2 user in lower case, and the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Mailbox {
    provider: String,
    user: Username,
    protocol: Protocol,
}

impl Mailbox {
    pub(crate) fn new(provider: &str, user: &Username, protocol: Protocol) -> Self {
        Self { provider: provider.to_owned(), user: user.folded(), protocol }
    }

    /// The provider's name in the file.
    pub(crate) fn provider(&self) -> &str {
        &self.provider
    }
}

/// No place became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox has as many sessions at its provider as that allows: try again later")]
pub(crate) struct Full;

/// A place. Dropping it frees the place and wakes the first that waits.
#[derive(Debug)]
pub(crate) struct Permit {
    stay: Stay,
    waited: Duration,
}

impl Gates {
    /// Waits for a place among `places` (`None`: no limit is known), in order of arrival, until
    /// `deadline`. A place that is free at once is had even after the deadline.
    ///
    /// `places` holds for the whole mailbox from now on; whoever is inside stays.
    ///
    /// # Errors
    /// When there was none until then.
    pub(crate) async fn enter(
        &self,
        mailbox: Mailbox,
        places: Option<NonZeroU32>,
        deadline: Instant,
    ) -> Result<Permit, Full> {
        let arrived = Instant::now();
        let stay = Stay::begin(self.clone(), mailbox, places);
        stay.admitted(deadline).await?;
        Ok(Permit { stay, waited: arrived.elapsed() })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Closes the gate for 10 s: the provider said 432. Those who are inside stay.
    pub(crate) fn close_gate(&self) {
        let mut known = self.stay.gates.lock();
        if let Some(gate) = known.gates.get_mut(&self.stay.mailbox) {
            gate.closed_until = Some(Instant::now() + CLOSED_FOR);
            gate.wake_first();
        }
    }

    /// Gives the place back and waits for one again until `deadline`, before everybody who has had
    /// none yet. Several who do so keep the order in which they first came.
    ///
    /// # Errors
    /// When there was none until then.
    pub(crate) async fn enter_again(self, deadline: Instant) -> Result<Self, Full> {
        let Self { stay, waited } = self;
        let again = Instant::now();
        stay.queue_again();
        stay.admitted(deadline).await?;
        Ok(Self { stay, waited: waited + again.elapsed() })
    }

    /// Whose gate it is.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.stay.mailbox
    }

    /// How long it was waited for, in all.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

/// One who waits or is inside, from its arrival to its end. Dropped, it is neither: whatever it was
/// given meanwhile goes on to the next.
#[derive(Debug)]
struct Stay {
    gates: Gates,
    mailbox: Arc<Mailbox>,
    ticket: Ticket,
    /// Told when it has a place, and when it is the one to watch a closed gate.
    woken: Arc<Notify>,
}

/// The order of arrival. It is kept for the whole stay, so who waits a second time is before
/// everybody who came later.
type Ticket = u64;

impl Stay {
    /// Takes a place inside if it is free and nobody waits for it, else the last one in the queue.
    fn begin(gates: Gates, mailbox: Mailbox, places: Option<NonZeroU32>) -> Self {
        let woken = Arc::new(Notify::new());
        let mailbox = Arc::new(mailbox);
        let now = Instant::now();
        let mut known = gates.lock();
        known.sweep(now);
        known.last_ticket += 1;
        let ticket = known.last_ticket;
        let gate = known.gates.entry(Arc::clone(&mailbox)).or_default();
        gate.places = places;
        gate.admit(now);
        if gate.queue.is_empty() && gate.has_place() {
            gate.inside += 1;
        } else {
            gate.queue.insert(ticket, Arc::clone(&woken));
        }
        drop(known);
        Self { gates, mailbox, ticket, woken }
    }

    /// Goes from inside back into the queue, and inside again if there is a place.
    fn queue_again(&self) {
        let mut known = self.gates.lock();
        if let Some(gate) = known.gates.get_mut(&self.mailbox) {
            gate.inside -= 1;
            gate.queue.insert(self.ticket, Arc::clone(&self.woken));
            gate.admit(Instant::now());
        }
    }

    /// Waits until it is inside.
    async fn admitted(&self, deadline: Instant) -> Result<(), Full> {
        loop {
            let now = Instant::now();
            let Some(opens) = self.waits(now) else { return Ok(()) };
            if deadline <= now {
                return Err(Full);
            }
            let until = opens.map_or(deadline, |opens| opens.min(deadline));
            // Woken or not: what counts is what stands in the queue.
            let _ = timeout_at(until, self.woken.notified()).await;
        }
    }

    /// Whether it still waits; and if so, until when it has to watch a closed gate. Only the first
    /// watches, or a gate that opens would wake everybody.
    fn waits(&self, now: Instant) -> Option<Option<Instant>> {
        let mut known = self.gates.lock();
        let gate = known.gates.get_mut(&self.mailbox)?;
        gate.admit(now);
        gate.queue.contains_key(&self.ticket).then(|| {
            let is_first = gate.queue.keys().next() == Some(&self.ticket);
            gate.closed_until.filter(|_| is_first)
        })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut known = self.gates.lock();
        let Some(gate) = known.gates.get_mut(&self.mailbox) else { return };
        if gate.queue.remove(&self.ticket).is_none() {
            gate.inside -= 1;
        }
        gate.admit(Instant::now());
        if gate.closed_until.is_some() {
            gate.wake_first();
        }
        if gate.is_idle() {
            known.gates.remove(&self.mailbox);
        }
    }
}

/// The mailboxes of which there is something to know.
#[derive(Debug, Default)]
struct Known {
    gates: HashMap<Arc<Mailbox>, Gate>,
    last_ticket: Ticket,
    swept: Option<Instant>,
}

impl Known {
    /// Forgets gates that were closed when the last one left. Often enough that they do not pile
    /// up, and seldom enough that it costs nothing.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| swept + CLOSED_FOR <= now) {
            self.swept = Some(now);
            self.gates.retain(|_, gate| {
                gate.open_when_due(now);
                !gate.is_idle()
            });
        }
    }
}

/// The gate of one mailbox.
#[derive(Debug, Default)]
struct Gate {
    places: Option<NonZeroU32>,
    inside: u32,
    queue: BTreeMap<Ticket, Arc<Notify>>,
    closed_until: Option<Instant>,
}

impl Gate {
    /// Lets in as many as fit, in order.
    fn admit(&mut self, now: Instant) {
        self.open_when_due(now);
        while self.has_place()
            && let Some((_, woken)) = self.queue.pop_first()
        {
            self.inside += 1;
            woken.notify_one();
        }
    }

    fn has_place(&self) -> bool {
        let fits = self.places.is_none_or(|places| self.inside < places.get());
        fits && self.closed_until.is_none()
    }

    fn open_when_due(&mut self, now: Instant) {
        self.closed_until = self.closed_until.filter(|until| *until > now);
    }

    /// Has the first that waits look again, for it watches a closed gate.
    fn wake_first(&self) {
        if let Some(woken) = self.queue.values().next() {
            woken.notify_one();
        }
    }

    fn is_idle(&self) -> bool {
        self.inside == 0 && self.queue.is_empty() && self.closed_until.is_none()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
