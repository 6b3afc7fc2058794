//! The observer of a session that has signed in: what its provider says is logged, explained and
//! acted upon.
//!
//! Out: a log line for each message, with the provider's final reply and so its queue id; what went
//!      wrong, with cause and fix; a closed gate after 432; and when a message may begin.

use std::sync::Arc;

use tracing::{info, warn};

use super::diagnosis::{Diagnosis, Gravity};
use super::gate::Permit;
use super::listener::Listener;
use super::pace::{Pace, Turn};
use super::troubles::Trouble;
use crate::clock::unix_time;
use crate::names::Username;
use crate::proto::smtp::PassedReply;
use crate::provider::Protocol;

/// The reply that asks for a message (RFC 5321 section 4.2.3).
const SEND_MESSAGE: u16 = 354;

/// The first code that tells of a failure (RFC 5321 section 4.2.1).
const FAILURE: u16 = 400;

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
    /// What the provider said last, with its queue id if that was of a message.
    pub(super) last_reply: Option<String>,
    /// What went wrong last, if that is known.
    pub(super) trouble: Option<&'static Diagnosis>,
    /// Messages that the provider has taken.
    pub(super) messages: u64,
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
        Self { listener, protocol, account, permit, pace, in_message: false, report }
    }

    /// Hears a reply of SMTP.
    pub(super) fn hear_reply(&mut self, reply: &PassedReply) -> Next {
        self.report.last_reply = Some(reply.text.clone());
        if reply.code == SEND_MESSAGE {
            self.in_message = true;
            return match self.pace.as_ref().map(Pace::take_turn) {
                None => Next::Pass,
                Some(Some(turn)) => Next::Await(turn),
                Some(None) => {
                    warn!(
                        account = self.account.as_str(),
                        "message put off: `messages_per_minute`"
                    );
                    Next::TurnAway
                }
            };
        }
        let is_message = std::mem::take(&mut self.in_message);
        if reply.code < FAILURE {
            if is_message {
                self.report.messages += 1;
                info!(reply = reply.text, "message accepted");
                self.listener.relay().troubles().clear(&self.account, self.protocol);
            }
            return Next::Pass;
        }
        let diagnosis = Diagnosis::in_session(self.protocol, &reply.text);
        let (cause, fix) = told(diagnosis);
        if is_message {
            warn!(reply = reply.text, cause, fix, "message refused");
        } else if diagnosis.is_some() {
            warn!(reply = reply.text, cause, fix, "refused by the provider");
        }
        self.note(diagnosis, &reply.text);
        Next::Pass
    }

    /// Hears what a client is told in place of a reply of its provider.
    pub(super) fn refuse(&mut self, reply: &str) {
        warn!(reply, "message refused here");
        self.report.last_reply = Some(reply.to_owned());
        self.in_message = false;
    }

    /// Hears a line of IMAP or POP3 that tells of a failure.
    pub(super) fn hear_line(&mut self, line: &str) {
        let diagnosis = Diagnosis::in_session(self.protocol, line);
        if let Some(Diagnosis { gravity: Gravity::Trouble, .. }) = diagnosis {
            let (cause, fix) = told(diagnosis);
            warn!(reply = line, cause, fix, "refused by the provider");
            self.report.last_reply = Some(line.to_owned());
        }
        self.note(diagnosis, line);
    }

    /// Hears what the provider of an IMAP or POP3 session said last.
    pub(super) fn hear_last_words(&mut self, line: String) {
        if self.report.trouble.is_none() {
            self.note(Diagnosis::in_session(self.protocol, &line), &line);
        }
        self.report.last_reply = Some(line);
    }

    /// What was seen. The place at the gate is free with this.
    pub(super) fn into_report(self) -> Report {
        self.report
    }

    fn note(&mut self, diagnosis: Option<&'static Diagnosis>, reply: &str) {
        let Some(diagnosis) = diagnosis else { return };
        if diagnosis.is_throttle() {
            self.permit.close_gate();
        }
        self.report.trouble = Some(diagnosis);
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
}

fn told(diagnosis: Option<&'static Diagnosis>) -> (Option<&'static str>, Option<&'static str>) {
    (diagnosis.map(|it| it.cause), diagnosis.map(|it| it.fix))
}
