//! The throttle: how many sessions of a mailbox may be signed in at once, and how many messages it
//! may send in a minute. The session that is one too many is turned away; the message that is one too
//! many waits, and with it the final reply to its sender.
//!
//! Source: learn.microsoft.com, "Improvements to the SMTP submission client protocol": three
//!         connections of a mailbox, thirty messages in a minute, the excess is delayed.
//! Limits: [`MAILBOXES_KEPT`] mailboxes and [`MESSAGES_KEPT`] messages of each are remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Sandbox;
use crate::names::Username;
use crate::provider::{PerProtocol, Protocol};

/// How many mailboxes are remembered that have no session any more; all are forgotten then.
pub const MAILBOXES_KEPT: usize = 1_024;

/// Of how many messages of a mailbox it is remembered when they were taken; the oldest go first.
pub const MESSAGES_KEPT: usize = 4_096;

/// What is done to bursts. By default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Throttle {
    /// How many sessions of one mailbox may be signed in at once.
    pub sessions_per_mailbox: PerProtocol<Option<u32>>,
    /// Where a submission session hears that it is one too many.
    pub turns_away: TurnsAway,
    /// How many messages of one mailbox are taken in any minute, and how long a minute is.
    pub messages_per_minute: Option<(u32, Duration)>,
}

/// Where a session hears that it is one too many. IMAP and POP3 know the sign-in alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TurnsAway {
    /// Instead of 235. The client may try again.
    #[default]
    AtSignIn,
    /// At each MAIL, until another session has ended.
    AtMail,
}

/// The sessions and messages of all mailboxes. Clones share them.
#[derive(Clone)]
pub(super) struct Gauge {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<()>,
}

struct State {
    throttle: Throttle,
    mailboxes: HashMap<(Protocol, Username), Mailbox>,
    turned_away: PerProtocol<u64>,
}

#[derive(Default)]
struct Mailbox {
    inside: u32,
    peak: u32,
    messages: VecDeque<Instant>,
}

/// A session that counts for its mailbox. Dropping it lets another one in.
pub(super) struct Place {
    gauge: Gauge,
    mailbox: (Protocol, Username),
}

impl Gauge {
    /// One with nobody inside; whatever changes is told to the receivers of `changes`.
    pub(super) fn new(throttle: Throttle, changes: watch::Sender<()>) -> Self {
        let (mailboxes, turned_away) = Default::default();
        let state = State { throttle, mailboxes, turned_away };
        Self { state: Arc::new(Mutex::new(state)), changes }
    }

    /// Where submission sessions hear that they are too many.
    pub(super) fn turns_away(&self) -> TurnsAway {
        self.lock().throttle.turns_away
    }

    /// A place for a session of `user`, if its mailbox has one left.
    pub(super) fn enter(&self, protocol: Protocol, user: &Username) -> Option<Place> {
        let place = self.lock().enter(protocol, user);
        self.changes.send_replace(());
        place.then(|| Place { gauge: self.clone(), mailbox: (protocol, user.folded()) })
    }

    /// Waits until the next message of `user` may be taken.
    pub(super) async fn take_turn(&self, user: &Username) {
        let turn = self.lock().next_turn(user, Instant::now());
        tokio::time::sleep_until(turn).await;
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mailbox) = self.gauge.lock().mailboxes.get_mut(&self.mailbox) {
            mailbox.inside = mailbox.inside.saturating_sub(1);
        }
        self.gauge.changes.send_replace(());
    }
}

impl State {
    /// Counts a session in, or as turned away; which of both.
    fn enter(&mut self, protocol: Protocol, user: &Username) -> bool {
        let places = *self.throttle.sessions_per_mailbox.get(protocol);
        let mailbox = self.mailbox(protocol, user);
        let is_let_in = places.is_none_or(|places| mailbox.inside < places);
        if is_let_in {
            mailbox.inside += 1;
            mailbox.peak = mailbox.peak.max(mailbox.inside);
        } else {
            let turned_away = &mut self.turned_away;
            *match protocol {
                Protocol::Submission => &mut turned_away.submission,
                Protocol::Imap => &mut turned_away.imap,
                Protocol::Pop3 => &mut turned_away.pop3,
            } += 1;
        }
        is_let_in
    }

    /// When the next message of `user` is taken: turns are given in the order of the messages.
    fn next_turn(&mut self, user: &Username, now: Instant) -> Instant {
        let limit = self.throttle.messages_per_minute;
        let messages = &mut self.mailbox(Protocol::Submission, user).messages;
        let count = |limit| usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let turn = limit.and_then(|(limit, minute)| {
            let first_of_window = messages.len().checked_sub(count(limit))?;
            Some(*messages.get(first_of_window)? + minute)
        });
        let turn = turn.map_or(now, |turn| turn.max(now));
        let kept = limit.map_or(0, |(limit, _)| count(limit)).max(MESSAGES_KEPT);
        while messages.len() >= kept {
            messages.pop_front();
        }
        messages.push_back(turn);
        turn
    }

    fn mailbox(&mut self, protocol: Protocol, user: &Username) -> &mut Mailbox {
        let name = (protocol, user.folded());
        if self.mailboxes.len() >= MAILBOXES_KEPT && !self.mailboxes.contains_key(&name) {
            self.mailboxes.retain(|_, mailbox| mailbox.inside > 0);
        }
        self.mailboxes.entry(name).or_default()
    }
}

/// What is about bursts.
impl Sandbox {
    /// Bursts are treated so from now on; who is signed in stays.
    pub fn set_throttle(&self, throttle: Throttle) {
        self.shared.gauge.lock().throttle = throttle;
    }

    /// How many sessions of `mailbox` count now.
    pub fn sessions(&self, protocol: Protocol, mailbox: &Username) -> u32 {
        self.of_mailbox(protocol, mailbox, |mailbox| mailbox.inside)
    }

    /// How many of them ever counted at once.
    pub fn peak_sessions(&self, protocol: Protocol, mailbox: &Username) -> u32 {
        self.of_mailbox(protocol, mailbox, |mailbox| mailbox.peak)
    }

    /// How often a session was turned away because it was one too many: for submission, how many
    /// 432 were said that no script ordered.
    pub fn turned_away(&self, protocol: Protocol) -> u64 {
        *self.shared.gauge.lock().turned_away.get(protocol)
    }

    /// When the messages that `mailbox` sent were taken, or will be: the last [`MESSAGES_KEPT`],
    /// oldest first.
    pub fn taken_at(&self, mailbox: &Username) -> Vec<Instant> {
        let copy = |mailbox: &Mailbox| mailbox.messages.iter().copied().collect();
        self.of_mailbox(Protocol::Submission, mailbox, copy)
    }

    fn of_mailbox<T: Default>(
        &self,
        protocol: Protocol,
        mailbox: &Username,
        tell: impl FnOnce(&Mailbox) -> T,
    ) -> T {
        let state = self.shared.gauge.lock();
        state.mailboxes.get(&(protocol, mailbox.folded())).map(tell).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn gauge(throttle: Throttle) -> Gauge {
        Gauge::new(throttle, watch::Sender::new(()))
    }

    fn user(number: usize) -> Username {
        Username::parse(&format!("user{number}@example.com")).unwrap()
    }

    #[test]
    fn a_mailbox_has_so_many_places_by_protocol_whatever_the_case_of_its_name() {
        let sessions_per_mailbox = PerProtocol { submission: Some(2), imap: Some(0), pop3: None };
        let gauge = gauge(Throttle { sessions_per_mailbox, ..Throttle::default() });
        let upper = Username::parse("USER1@EXAMPLE.COM").unwrap();
        let enter = |user: &Username| gauge.enter(Protocol::Submission, user);
        let (first, second) = (enter(&user(1)), enter(&upper));
        assert!(first.is_some() && second.is_some());
        assert!(enter(&user(1)).is_none() && enter(&upper).is_none());
        assert!(enter(&user(2)).is_some(), "another mailbox has its own places");
        assert!(gauge.enter(Protocol::Imap, &user(1)).is_none());
        assert!(gauge.enter(Protocol::Pop3, &user(1)).is_some());
        drop(first);
        assert!(enter(&user(1)).is_some(), "its place is free again");
        let state = gauge.lock();
        assert_eq!((state.turned_away.submission, state.turned_away.imap), (2, 1));
        assert_eq!(state.mailboxes[&(Protocol::Submission, user(1))].peak, 2);
    }

    #[test]
    fn messages_beyond_those_of_a_minute_wait_until_the_first_of_them_is_a_minute_old() {
        let messages_per_minute = Some((2, MINUTE));
        let gauge = gauge(Throttle { messages_per_minute, ..Throttle::default() });
        let start = Instant::now();
        let turn = |user: &Username, s| {
            let now = start + Duration::from_secs(s);
            gauge.lock().next_turn(user, now).duration_since(start).as_secs()
        };
        let turns = [0, 10, 11, 12, 13].map(|s| turn(&user(1), s));
        assert_eq!(turns, [0, 10, 60, 70, 120]);
        assert_eq!(turn(&user(2), 14), 14, "another mailbox does not wait");
        assert_eq!(turn(&user(1), 181), 181, "all of them are old enough");
        gauge.lock().throttle.messages_per_minute = None;
        assert_eq!(turn(&user(1), 182), 182);
    }

    #[test]
    fn a_limit_of_no_messages_is_one_of_one_message() {
        let messages_per_minute = Some((0, MINUTE));
        let gauge = gauge(Throttle { messages_per_minute, ..Throttle::default() });
        let now = Instant::now();
        let turns = [0; 2].map(|_| gauge.lock().next_turn(&user(1), now) - now);
        assert_eq!(turns, [Duration::ZERO, MINUTE]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nobody_inside_is_forgotten() {
        let gauge = gauge(Throttle::default());
        let inside = gauge.enter(Protocol::Submission, &user(0));
        let now = Instant::now();
        for number in 1..2 * MAILBOXES_KEPT {
            gauge.lock().next_turn(&user(number), now);
            assert!(gauge.lock().mailboxes.len() <= MAILBOXES_KEPT);
        }
        assert_eq!(gauge.lock().mailboxes[&(Protocol::Submission, user(0))].inside, 1);
        drop(inside);
        for _ in 0..=MESSAGES_KEPT {
            gauge.lock().next_turn(&user(1), now);
        }
        assert_eq!(gauge.lock().mailbox(Protocol::Submission, &user(1)).messages.len(), 4_096);
    }
}
