//! Whoever waits for what comes of a consent: a command that asks again and again, or a browser.
//!
//! A command may be killed at any moment, before it has even heard which consent it began. So what
//! it asked for lives as long as it goes on asking. A page shows what comes of a consent whenever
//! somebody looks, so what was asked for there needs nobody.
//!
//! Limits: [`SILENCE_MAX`] between two questions of a command; [`QUESTIONS_MAX`] that wait.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long a command may be silent: it asks every 25 seconds, so its second question is overdue.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How many questions for the progress of consents may wait at once; further ones are answered as
/// things stand. Half of what the control socket serves, so that other commands get through.
pub(in crate::web) const QUESTIONS_MAX: usize = 16;

/// Who waits for what comes of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiter {
    /// A command, which asks for its progress until it is at its end.
    Command,
    /// Whoever looks at the page, maybe once it is over.
    Page,
}

/// When a consent was asked about last.
#[derive(Debug)]
pub(super) struct LastAsked(watch::Sender<Instant>);

/// Tells when nobody asks any more.
#[derive(Debug)]
pub(super) struct Silence(Option<watch::Receiver<Instant>>);

impl LastAsked {
    /// Just now, by `waiter`.
    pub(super) fn by(waiter: Waiter) -> (Self, Silence) {
        let (last, asked) = watch::channel(Instant::now());
        (Self(last), Silence((waiter == Waiter::Command).then_some(asked)))
    }

    /// It is asked about now.
    pub(super) fn renew(&self) {
        self.0.send_replace(Instant::now());
    }
}

impl Silence {
    /// Waits until somebody who has to ask has not done so for [`SILENCE_MAX`].
    pub(super) async fn falls(&mut self) {
        let Some(asked) = &mut self.0 else { return std::future::pending().await };
        loop {
            let until = *asked.borrow_and_update() + SILENCE_MAX;
            match timeout_at(until, asked.changed()).await {
                Err(_) => return,
                Ok(Ok(())) => {}
                // It is forgotten, so it is at its end.
                Ok(Err(_)) => return std::future::pending().await,
            }
        }
    }
}
