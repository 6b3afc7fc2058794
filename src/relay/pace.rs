//! The pace: `messages_per_minute` of a mailbox.
//!
//! A message that would be too many waits for its turn. Turns are given in the order in which they
//! are asked for, and never for later than in a minute: no client waits longer for its 354.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::gate::Mailbox;
use super::window::{Event, SharedWindow, Windows};

const MINUTE: Duration = Duration::from_secs(60);

/// The pace of each mailbox: at most so many messages in any 60 s. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paces(Windows<Mailbox>);

impl Paces {
    /// The pace of `mailbox`, which is `per_minute` from the next turn on.
    pub(crate) fn of(&self, mailbox: &Mailbox, per_minute: NonZeroU32) -> Pace {
        Pace(self.0.of(mailbox.clone(), per_minute, MINUTE))
    }
}

/// The pace of one mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Pace(SharedWindow);

impl Pace {
    /// A turn, to be waited for until its instant. `None`: it would come later than in 60 s.
    ///
    /// The instant is reckoned from when the messages before it began, so a turn has to be
    /// [used](Turn::used) at its instant for the pace to be exact.
    pub(crate) fn take_turn(&self) -> Option<Turn> {
        let now = Instant::now();
        let mut window = self.0.lock();
        let at = window.next_at(now);
        (at <= now + window.span()).then(|| {
            let event = Event { at, id: window.next_id() };
            window.add(event);
            Turn { window: self.0.clone(), event, is_used: false }
        })
    }
}

/// One message's turn. Dropped unused it is given back, for those who ask after that.
#[derive(Debug)]
#[must_use = "a turn that is dropped is given back"]
pub(crate) struct Turn {
    window: SharedWindow,
    event: Event,
    is_used: bool,
}

impl Turn {
    /// When the message may begin.
    pub(crate) fn at(&self) -> Instant {
        self.event.at
    }

    /// The message begins: it counts, from now if that is later than its instant.
    pub(crate) fn used(mut self) {
        self.is_used = true;
        let now = Instant::now();
        if now > self.event.at {
            let mut window = self.window.lock();
            window.remove(self.event);
            window.add(Event { at: now, ..self.event });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_used {
            self.window.lock().remove(self.event);
        }
    }
}

#[cfg(test)]
mod tests;
