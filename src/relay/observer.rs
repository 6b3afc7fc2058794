//! The observer of a session that has signed in: what its provider says is logged, explained and
//! acted upon.
//!
//! Out:    a log line for each message, with the provider's final reply and so its queue id; what
//!         went wrong, with cause and fix; a closed gate after 432; and when a message may begin.
//! Limits: a session leaves [`REFUSALS_LOGGED_MAX`] lines of refusals and [`ACCEPTED_LOGGED_MAX`] of
//!         messages, whatever its provider says; those beyond are counted in its closing line.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tracing::{Span, info, warn};

use super::diagnosis::{Diagnosis, Gravity};
use super::gate::Permit;
use super::listener::Listener;
use super::meter::{Flow, RefusedBy};
use super::pace::{Pace, Turn};
use super::troubles::Trouble;
use crate::clock::unix_time;
use crate::names::Username;
use crate::proto::smtp::PassedReply;
use crate::provider::Protocol;

/// The reply that asks for a message (RFC 5321 section 4.2.3).
const SEND_MESSAGE: u16 = 354;

/// The codes of what was done, and of what was not, for now or for good (RFC 5321 section 4.2.1).
const DONE: RangeInclusive<u16> = 200..=299;
const FAILED: RangeInclusive<u16> = 400..=599;

/// Most refusals of a session that leave a line each. Who reads a hundred has read enough, and what
/// is no provider's server might say nothing else.
const REFUSALS_LOGGED_MAX: u64 = 100;

/// Most accepted messages of a session that leave a line each: as many as Exchange Online takes from
/// a mailbox in a day, which is 10,000 recipients.
const ACCEPTED_LOGGED_MAX: u64 = 10_000;

/// What becomes of a reply.
pub(super) enum Next {
    /// It goes to the client.
    Pass,
    /// It goes to the client when its turn comes.
    Await(Turn),
    /// Its turn would come too late: the client is turned away.
    TurnAway,
}

/// What is known of a session when it is over.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// What the provider said last of a message, with its queue id, or of what it did not do; where
    /// it said neither, what it said last.
    pub(super) last_reply: Option<String>,
    /// What that means, if it is a failure that is known.
    pub(super) trouble: Option<&'static Diagnosis>,
    /// Messages that the provider has taken.
    pub(super) messages: u64,
    /// What was refused, and messages taken, beyond those that have a line of their own.
    pub(super) unlogged: u64,
    /// Whether it was ended here, though neither side had closed: a message was put off or refused.
    pub(super) is_ended_here: bool,
}

/// Watches one session.
pub(super) struct Observer {
    listener: Arc<Listener>,
    protocol: Protocol,
    account: Username,
    /// The session's place at the gate of its mailbox; free when this is dropped.
    permit: Permit,
    /// When messages may begin, where the provider's number of them is known.
    pace: Option<Pace>,
    /// Whether the next reply is the answer to a message.
    in_message: bool,
    /// Whether the last reply of the report is of a message or of a failure.
    is_telling: bool,
    /// Lines about refusals so far.
    refusals: u64,
    /// Where its bytes are counted.
    flow: Flow,
    /// Of which its lines in the log are: the one in which it was made.
    span: Span,
    report: Report,
}

impl Observer {
    /// Watches a session of `account` that has `permit`.
    pub(super) fn new(
        listener: Arc<Listener>,
        protocol: Protocol,
        account: Username,
        permit: Permit,
        pace: Option<Pace>,
    ) -> Self {
        let report = Report::default();
        let (in_message, is_telling, refusals) = Default::default();
        let flow = listener.relay().meter().flow(protocol);
        Self {
            listener,
            protocol,
            account,
            permit,
            pace,
            in_message,
            is_telling,
            refusals,
            flow,
            span: Span::current(),
            report,
        }
    }

    /// Whether a reply may have to wait for its turn.
    pub(super) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Hears a reply of SMTP; says what becomes of it.
    pub(super) fn hear_reply(&mut self, reply: PassedReply) -> Next {
        let asks_for_message = reply.code == SEND_MESSAGE;
        self.note_reply(reply);
        match self.pace.as_ref().filter(|_| asks_for_message).map(Pace::take_turn) {
            None => Next::Pass,
            Some(Some(turn)) => Next::Await(turn),
            Some(None) => {
                let account = self.account.as_str();
                let tell = || warn!(account, "message put off: `messages_per_minute`");
                self.span.in_scope(tell);
                self.listener.relay().meter().message_refused(RefusedBy::Relay);
                Next::TurnAway
            }
        }
    }

    /// Hears a reply of SMTP that passes at once.
    pub(super) fn note_reply(&mut self, PassedReply { code, text }: PassedReply) {
        if code == SEND_MESSAGE {
            self.in_message = true;
            self.pass(text);
        } else if FAILED.contains(&code) {
            let is_message = std::mem::take(&mut self.in_message);
            let diagnosis = Diagnosis::in_session(self.protocol, &text);
            if is_message {
                self.listener.relay().meter().message_refused(RefusedBy::Provider);
                self.log_refusal("message refused", &text, diagnosis);
            } else if diagnosis.is_some() {
                self.log_refusal(REFUSED, &text, diagnosis);
            }
            self.fail(diagnosis, &text);
        } else if DONE.contains(&code) && std::mem::take(&mut self.in_message) {
            self.accept(text);
        } else {
            self.pass(text);
        }
    }

    /// Hears what a client is told in place of a reply of its provider.
    pub(super) fn refuse(&mut self, reply: &str) {
        self.in_message = false;
        self.listener.relay().meter().message_refused(RefusedBy::Relay);
        self.log_refusal("message refused here", reply, None);
        self.report.trouble = None;
        self.tell(reply.to_owned());
    }

    /// Hears a line of IMAP or POP3 that tells of a failure.
    pub(super) fn hear_line(&mut self, line: &str) {
        // What is not known may be the ordinary answer to what a client tries.
        let Some(diagnosis) = Diagnosis::in_session(self.protocol, line) else { return };
        self.log_refusal(REFUSED, line, Some(diagnosis));
        self.fail(Some(diagnosis), line);
    }

    /// Hears what the provider of an IMAP or POP3 session said last, which the closing line tells.
    pub(super) fn hear_last_words(&mut self, line: &str) {
        // It may have been heard already, as one of the first.
        if self.report.last_reply.as_deref() != Some(line) {
            self.fail(Diagnosis::in_session(self.protocol, line), line);
        }
    }

    /// Counts bytes that the provider took, and bytes that the client took.
    pub(super) fn moved(&self, up: u64, down: u64) {
        self.flow.moved(up, down);
    }

    /// What was seen. The place at the gate is free with this.
    pub(super) fn into_report(self) -> Report {
        self.report
    }

    /// The provider has taken a message: what went wrong before it is over.
    fn accept(&mut self, reply: String) {
        self.report.messages += 1;
        self.listener.relay().meter().message_accepted();
        if self.report.messages <= ACCEPTED_LOGGED_MAX {
            self.span.in_scope(|| info!(reply = reply.as_str(), "message accepted"));
        } else {
            self.report.unlogged += 1;
        }
        self.report.trouble = None;
        self.tell(reply);
        self.listener.relay().troubles().clear(&self.account, self.protocol);
    }

    /// The provider has not done something.
    fn fail(&mut self, diagnosis: Option<&'static Diagnosis>, reply: &str) {
        let Some(diagnosis) = diagnosis else {
            // As the 503 that a client brings upon itself which goes on after a refusal.
            if self.report.trouble.is_none() {
                self.tell(reply.to_owned());
            }
            return;
        };
        if diagnosis.is_throttle() {
            self.permit.close_gate();
            let provider = self.permit.mailbox().provider();
            self.listener.relay().meter().throttled(self.protocol, provider);
        }
        self.report.trouble = Some(diagnosis);
        self.tell(reply.to_owned());
        if diagnosis.gravity == Gravity::Trouble {
            let trouble = Trouble {
                at: unix_time(),
                protocol: self.protocol,
                reply: reply.to_owned(),
                cause: diagnosis.cause.to_owned(),
                fix: diagnosis.fix.to_owned(),
            };
            self.listener.relay().troubles().note(&self.account, trouble);
        }
    }

    /// The closing line tells `reply`, unless a later one has more to say.
    fn tell(&mut self, reply: String) {
        self.is_telling = true;
        self.report.last_reply = Some(reply);
    }

    /// The provider goes on: that is told of a session alone of which there is nothing else.
    fn pass(&mut self, reply: String) {
        if !self.is_telling {
            self.report.last_reply = Some(reply);
        }
    }

    fn log_refusal(&mut self, what: &str, reply: &str, diagnosis: Option<&'static Diagnosis>) {
        if self.refusals >= REFUSALS_LOGGED_MAX {
            self.report.unlogged += 1;
            return;
        }
        self.refusals += 1;
        let (cause, fix) = (diagnosis.map(|it| it.cause), diagnosis.map(|it| it.fix));
        self.span.in_scope(|| match diagnosis.map(|it| it.gravity) {
            Some(Gravity::Normal) => info!(reply, cause, fix, "{what}"),
            Some(Gravity::Trouble) | None => warn!(reply, cause, fix, "{what}"),
        });
    }
}

/// What is said of a refusal that is none of a message.
const REFUSED: &str = "refused by the provider";
