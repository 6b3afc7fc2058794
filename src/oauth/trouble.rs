//! Trouble: what went wrong last with a grant or with one scope set of it, and the pause after it.

use std::time::Duration;

use super::error::{ErrorKind, TokenError};
use super::pause::Pause;
use super::shown::Shown;

/// What went wrong last, until something goes right.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) last_error: Option<TokenError>,
    /// The last pause, over or not: the next one depends on it.
    pause: Option<Pause>,
    /// What the client had shown when that began, as far as it stands in files.
    shown: Option<Shown>,
}

impl Trouble {
    /// The pause that is not over, and how much of it is left.
    pub(super) fn pause(&self) -> Option<(&Pause, Duration)> {
        let pause = self.pause.as_ref()?;
        Some((pause, pause.left()?))
    }

    /// Begins the pause after `error`, which came when that was `shown`; `counted` is as in
    /// [`Pause::after`].
    pub(super) fn lengthen(&mut self, error: &TokenError, counted: u32, shown: Option<Shown>) {
        self.shown = shown;
        self.pause = Some(Pause::after(self.pause.as_ref(), error.clone(), counted));
    }

    /// Ends the pause after a refusal if something else is `shown` now than was refused; gives
    /// whether it did. The refusal itself stays known until something goes right.
    pub(super) fn is_corrected(&mut self, shown: &Shown) -> bool {
        let is_of_client = |pause: &Pause| match pause.error().kind {
            ErrorKind::Admin | ErrorKind::Configuration => true,
            // A new consent mends the one, and time the other.
            ErrorKind::Consent | ErrorKind::Temporary => false,
        };
        let is_corrected = self.pause.as_ref().is_some_and(is_of_client)
            && self.shown.as_ref().is_some_and(|before| before != shown);
        if is_corrected {
            self.pause = None;
        }
        is_corrected
    }

    /// Whether somebody has to mend something.
    pub(super) fn is_definite(&self) -> bool {
        self.last_error.as_ref().is_some_and(|error| !error.is_temporary())
    }
}
