//! Trouble: what went wrong last with a grant or with one scope set of it, and the pause after it.

use std::time::Duration;

use super::error::TokenError;
use super::pause::Pause;

/// What went wrong last, until something goes right.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) last_error: Option<TokenError>,
    /// The last pause, over or not: the next one depends on it.
    pause: Option<Pause>,
}

impl Trouble {
    /// The pause that is not over, and how much of it is left.
    pub(super) fn pause(&self) -> Option<(&Pause, Duration)> {
        let pause = self.pause.as_ref()?;
        Some((pause, pause.left()?))
    }

    /// Begins the pause after `error`; `counted` is as in [`Pause::after`].
    pub(super) fn lengthen(&mut self, error: &TokenError, counted: u32) {
        self.pause = Some(Pause::after(self.pause.as_ref(), error.clone(), counted));
    }

    /// Whether somebody has to mend something.
    pub(super) fn is_definite(&self) -> bool {
        self.last_error.as_ref().is_some_and(|error| !error.is_temporary())
    }
}
