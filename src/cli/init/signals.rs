//! Signals of whoever ends `init`: they wait while files are written, and count afterwards.
//!
//! A handler that was once there stays to the end of the process, so a thread does what the system
//! would have done without it.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Numbers of signals, which POSIX has fixed for these three (`kill -1`, `-2`, `-15`).
const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;

/// What a shell adds to the number of the signal that a program ended by.
const ENDED_BY: i32 = 128;

/// Signals, received from [`Signals::hold`] on.
pub(super) struct Signals {
    state: Arc<Mutex<State>>,
}

/// What is done about one.
struct State {
    phase: Phase,
    /// The first that came while they were held.
    came: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing may end the process.
    Held,
    /// Ctrl-C is for whoever waits for a consent; the others end it.
    Consenting,
    /// Each ends it.
    Free,
}

impl Signals {
    /// Holds them back from now on. Where no thread can be had they end the process as ever.
    pub(super) fn hold() -> Self {
        let state = Arc::new(Mutex::new(State { phase: Phase::Held, came: None }));
        if let Ok(runtime) = Builder::new_current_thread().enable_all().build()
            && let Some(received) = Received::begin(&runtime)
        {
            let state = Arc::clone(&state);
            thread::spawn(move || runtime.block_on(received.handle(&state)));
        }
        Self { state }
    }

    /// Lets them end the process; does so at once if one came meanwhile.
    pub(super) fn release(&self) {
        let mut state = self.state();
        state.phase = Phase::Free;
        if let Some(number) = state.came {
            end(number);
        }
    }

    /// Leaves Ctrl-C to what `waits` for a consent, which ends that and no more.
    pub(super) fn leave_interrupts_to<T>(&self, waits: impl FnOnce() -> T) -> T {
        self.state().phase = Phase::Consenting;
        let answer = waits();
        self.state().phase = Phase::Free;
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The signals as they come.
struct Received {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Received {
    fn begin(runtime: &Runtime) -> Option<Self> {
        let _within = runtime.enter();
        Some(Self {
            hangup: signal(SignalKind::hangup()).ok()?,
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn handle(mut self, state: &Mutex<State>) {
        loop {
            let number = tokio::select! {
                Some(()) = self.hangup.recv() => HANGUP,
                Some(()) = self.interrupt.recv() => INTERRUPT,
                Some(()) = self.terminate.recv() => TERMINATE,
                else => return,
            };
            let mut state = lock(state);
            match state.phase {
                Phase::Held => state.came = state.came.or(Some(number)),
                Phase::Consenting if number == INTERRUPT => {}
                Phase::Consenting | Phase::Free => end(number),
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(number: i32) -> ! {
    process::exit(ENDED_BY.saturating_add(number))
}
