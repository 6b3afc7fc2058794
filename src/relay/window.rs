//! A sliding window: what happened in the last minute or hour, one by one. Nothing is averaged, so
//! a limit holds for every stretch of time of that length, wherever it begins.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often windows in which nothing is left are looked for.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

/// The windows of many, by whose they are. Cloning shares them.
#[derive(Debug)]
pub(super) struct Windows<K>(Arc<Mutex<Known<K>>>);

#[derive(Debug)]
struct Known<K> {
    windows: HashMap<K, SharedWindow>,
    swept: Option<Instant>,
}

// Derived, these would ask the same of `K`.
impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { windows: HashMap::new(), swept: None })))
    }
}

impl<K> Clone for Windows<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> Windows<K> {
    /// The window of `key`, which from now on holds at most `limit` events in any `span`.
    pub(super) fn of(&self, key: K, limit: NonZeroU32, span: Duration) -> SharedWindow {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.swept.is_none_or(|swept| swept + SWEPT_EVERY <= now) {
            known.swept = Some(now);
            known.windows.retain(|_, window| window.is_held() || !window.lock().is_idle(now));
        }
        let window = known.windows.entry(key).or_insert_with(|| SharedWindow::new(limit, span));
        window.lock().limit = limit;
        window.clone()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().windows.len()
    }
}

/// One window, shared by whom it limits.
#[derive(Debug, Clone)]
pub(super) struct SharedWindow(Arc<Mutex<Window>>);

impl SharedWindow {
    fn new(limit: NonZeroU32, span: Duration) -> Self {
        let window = Window { span, limit, last_id: 0, events: VecDeque::new() };
        Self(Arc::new(Mutex::new(window)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody but the map has it. Nobody gets it without the map's lock or from one who
    /// has it, so a no stays true while the map is locked.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// The events of one window.
#[derive(Debug)]
pub(super) struct Window {
    span: Duration,
    limit: NonZeroU32,
    last_id: u64,
    /// Sorted. What is over is dropped when the next is asked for, so there are never more than
    /// `limit` for the past span and `limit` for the next.
    events: VecDeque<Event>,
}

/// When something happens, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    pub(super) at: Instant,
    pub(super) id: u64,
}

impl Window {
    /// A number that no other has.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// How long the window is.
    pub(super) fn span(&self) -> Duration {
        self.span
    }

    /// When the next event may happen: not before those that are in the window already.
    pub(super) fn next_at(&mut self, now: Instant) -> Instant {
        self.forget(now);
        let limit = usize::try_from(self.limit.get()).unwrap_or(usize::MAX);
        let last = self.events.back().map_or(now, |last| last.at.max(now));
        let first_that_counts = self.events.len().checked_sub(limit);
        match first_that_counts.and_then(|index| self.events.get(index)) {
            Some(first) => last.max(first.at + self.span),
            None => last,
        }
    }

    /// Counts `event`.
    pub(super) fn add(&mut self, event: Event) {
        let index = self.events.partition_point(|other| *other < event);
        self.events.insert(index, event);
    }

    /// Counts `event` no more.
    pub(super) fn remove(&mut self, event: Event) {
        if let Ok(index) = self.events.binary_search(&event) {
            self.events.remove(index);
        }
    }

    /// The last event with this id.
    pub(super) fn last_of(&self, id: u64) -> Option<Event> {
        self.events.iter().rev().find(|event| event.id == id).copied()
    }

    fn forget(&mut self, now: Instant) {
        while self.events.front().is_some_and(|first| first.at + self.span <= now) {
            self.events.pop_front();
        }
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.events.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}
