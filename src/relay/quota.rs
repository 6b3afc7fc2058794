//! The quota: `messages_per_hour` of a device. Nothing waits for it, an hour is too long for that:
//! a message beyond it is refused, and the device tries again.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::window::{Event, SharedWindow, Windows};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The quota of each device: at most so many accepted messages in any hour. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quotas(Windows<String>);

impl Quotas {
    /// The quota of `device` for one session; it is `per_hour` from now on.
    pub(crate) fn of(&self, device: &str, per_hour: NonZeroU32) -> Quota {
        let window = self.0.of(device.to_owned(), per_hour, HOUR);
        let session = window.lock().next_id();
        Quota { window, session }
    }
}

/// The quota of a device, as one session uses it.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    window: SharedWindow,
    /// Whose messages it gives back.
    session: u64,
}

impl Quota {
    /// Counts a message, if it is not too many.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock();
        let fits = window.next_at(now) <= now;
        if fits {
            window.add(Event { at: now, id: self.session });
        }
        fits
    }

    /// Counts the last message of this session no more: it was not accepted.
    pub(crate) fn give_back(&self) {
        let mut window = self.window.lock();
        if let Some(event) = window.last_of(self.session) {
            window.remove(event);
        }
    }
}

#[cfg(test)]
mod tests;
