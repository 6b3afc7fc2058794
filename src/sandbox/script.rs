//! The script: what a test makes the provider do at a step of a conversation instead of what it
//! would do by itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::provider::Protocol;

/// A point of a conversation at which the script is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A connection was accepted; neither TLS nor the greeting has begun.
    Connect,
    /// The greeting is due.
    Greeting,
    /// A command was received, by its verb in upper case: `EHLO`, `AUTH`, `RCPT`, `UID FETCH`.
    /// `BDAT` comes when its chunk was received.
    Command(&'a str),
    /// The first command after an accepted sign-in was received, whatever it is; asked before the
    /// command by its name, which is not asked then.
    FirstCommand,
    /// The initial response with the token was received, inline or on its own line.
    Token,
    /// A whole message was received: the end of DATA, or the last BDAT.
    Message,
}

/// What the provider does at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sends these bytes, as they are, instead of its own reply; `{tag}` stands for the command's
    /// tag. If they are positive (2xx or 3xx; for IMAP a last line with `OK`, or `+`; for POP3 a
    /// `+`), the step is carried out, else it is not. At [`Step::Token`] a positive reply signs in
    /// without looking at the token.
    Reply(Bytes),
    /// Sends these bytes and closes.
    ReplyThenClose(Bytes),
    /// Does what is due and sends these bytes right behind its own reply (IMAP: behind the first
    /// line of it), in one write. At `Step::Command("STARTTLS")` that injects bytes in clear.
    Append(Bytes),
    /// Refuses the token as if it were bad, error challenge first. At [`Step::Token`] alone.
    RefuseToken,
    /// Closes without a word, in order.
    Close,
    /// Resets the connection.
    Reset,
    /// Neither reads nor writes any more until the sandbox is dropped.
    Stall,
}

/// How often something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next so many times that the step is reached.
    Next(usize),
    /// Until the script is cleared.
    Always,
}

impl Times {
    /// Counts one; gives whether there is one, and what is left.
    pub(super) fn count(self) -> (bool, Self) {
        match self {
            Self::Always => (true, self),
            Self::Next(left) => (left > 0, Self::Next(left.saturating_sub(1))),
        }
    }
}

/// The rules of all conversations. Clones share them, so a test may change them at any time.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Vec<Rule>>>);

#[derive(Debug)]
struct Rule {
    protocol: Protocol,
    step: Step<'static>,
    times: Times,
    action: Action,
}

impl Script {
    /// Adds a rule. Of several for one step the oldest is used up first.
    pub fn on(&self, protocol: Protocol, step: Step<'static>, times: Times, action: Action) {
        self.with(|rules| rules.push(Rule { protocol, step, times, action }));
    }

    /// Removes all rules. What stalls goes on stalling.
    pub fn clear(&self) {
        self.with(Vec::clear);
    }

    /// What is to be done at `step`, counted as done.
    pub(super) fn next(&self, protocol: Protocol, step: Step<'_>) -> Option<Action> {
        self.with(|rules| {
            rules.retain(|rule| rule.times != Times::Next(0));
            let rule = rules.iter_mut().find(|it| it.protocol == protocol && it.step == step)?;
            rule.times = rule.times.count().1;
            Some(rule.action.clone())
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<Rule>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_one_step_are_used_up_in_order() {
        let script = Script::default();
        let next = |step| script.next(Protocol::Imap, step);
        script.on(Protocol::Imap, Step::Token, Times::Next(0), Action::Stall);
        script.on(Protocol::Imap, Step::Token, Times::Next(2), Action::Close);
        script.on(Protocol::Imap, Step::Token, Times::Always, Action::Reset);
        assert_eq!(next(Step::Command("NOOP")), None);
        assert_eq!(script.next(Protocol::Submission, Step::Token), None);
        let done: Vec<_> = (0..4).filter_map(|_| next(Step::Token)).collect();
        assert_eq!(done, [Action::Close, Action::Close, Action::Reset, Action::Reset]);
        script.clear();
        assert_eq!(next(Step::Token), None);
    }
}
