//! A diagnosis: what a provider's reply most likely means, and what mends it.
//!
//! In: the provider's reply, which its support people know by heart and nobody else. Out: cause and
//! fix, a clause each. The table holds replies that were seen in the wild; order counts.

mod session;
mod sign_in;
pub(crate) mod token;

use crate::provider::Protocol;

/// What a reply most likely means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// Why it is said, in a clause.
    pub cause: &'static str,
    /// What to do, in a clause.
    pub fix: &'static str,
    /// What may mend it without anybody doing anything.
    pub remedy: Remedy,
    /// Whether there is anything to mend.
    pub gravity: Gravity,
    limit: Limit,
}

/// What may mend a refusal without anybody doing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// A newer token.
    Token,
    /// Time.
    Time,
    /// Nothing.
    Nothing,
}

/// Whether there is anything to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// It belongs to the life of a session and must alarm nobody.
    Normal,
    /// Somebody misses mail until it is mended or has passed.
    Trouble,
}

/// Which limit a reply tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// That of the mailbox's sessions at once, which the gate keeps to.
    Sessions,
    /// Another one or none.
    Other,
}

/// When a provider says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In answer to the sign-in.
    SignIn,
    /// In a session that is signed in.
    Session,
    /// At either time.
    Either,
}

impl Stage {
    fn is_at_sign_in(self) -> bool {
        matches!(self, Self::SignIn | Self::Either)
    }

    fn is_in_session(self) -> bool {
        matches!(self, Self::Session | Self::Either)
    }
}

/// A reply that is known.
#[derive(Debug)]
pub struct Row {
    /// When it is said.
    pub stage: Stage,
    /// In which protocol.
    pub protocol: Protocol,
    /// How it begins, in lower case; empty for anyhow.
    begins: &'static str,
    /// What it holds besides, in lower case.
    holds: &'static [&'static str],
    /// The reply as it was seen: SMTP's with its code, IMAP's without a tag.
    pub sample: &'static str,
    /// What it means.
    pub diagnosis: Diagnosis,
}

impl Row {
    /// What the rows of one stage and protocol have in common.
    const fn new(stage: Stage, protocol: Protocol, diagnosis: Diagnosis) -> Self {
        Self { stage, protocol, begins: "", holds: &[], sample: "", diagnosis }
    }

    /// Whether `reply`, which [`plain`] gave, is this one.
    fn fits(&self, reply: &str) -> bool {
        reply.starts_with(self.begins) && self.holds.iter().all(|part| reply.contains(part))
    }
}

impl Diagnosis {
    /// Of the refusal of a sign-in that is final by its code.
    pub fn of(reply: &str) -> &'static Self {
        Self::at_sign_in(reply).unwrap_or(&UNKNOWN)
    }

    /// Of the refusal of a sign-in; `None` where nothing is known of it.
    pub fn at_sign_in(reply: &str) -> Option<&'static Self> {
        let reply = plain(reply);
        let mut rows = Self::rows().filter(|row| row.stage.is_at_sign_in());
        rows.find(|row| row.fits(&reply)).map(|row| &row.diagnosis)
    }

    /// Of what the provider says in a session that is signed in: for SMTP a reply with its code,
    /// for IMAP and POP3 a line, with or without its tag; `None` where nothing is known of it.
    pub fn in_session(protocol: Protocol, reply: &str) -> Option<&'static Self> {
        let reply = plain(reply);
        let mut rows =
            Self::rows().filter(|row| row.stage.is_in_session() && row.protocol == protocol);
        rows.find(|row| row.fits(&reply)).map(|row| &row.diagnosis)
    }

    /// Every reply that is known, in the order in which they are compared.
    pub fn rows() -> impl Iterator<Item = &'static Row> {
        sign_in::ROWS.iter().chain(&session::ROWS)
    }

    /// Whether the provider says that the mailbox has too many sessions at once: its gate is closed
    /// for a while then.
    pub fn is_throttle(&self) -> bool {
        self.limit == Limit::Sessions
    }

    /// A trouble that nothing mends by itself.
    const fn new(cause: &'static str, fix: &'static str) -> Self {
        let (remedy, gravity) = (Remedy::Nothing, Gravity::Trouble);
        Self { cause, fix, remedy, gravity, limit: Limit::Other }
    }

    const fn mended_by(self, remedy: Remedy) -> Self {
        Self { remedy, ..self }
    }

    const fn normal(self) -> Self {
        Self { gravity: Gravity::Normal, ..self }
    }
}

/// `reply` as rows are compared with it: in lower case, the hyphen of a reply of several lines
/// (RFC 5321 section 4.2.1) as the space that it stands for, and a space behind it all, so that a
/// row can tell 5.7.3 from 5.7.30.
fn plain(reply: &str) -> String {
    let mut reply = reply.trim().to_ascii_lowercase();
    let is_code = reply.bytes().take(3).all(|byte| byte.is_ascii_digit());
    if is_code && reply.as_bytes().get(3) == Some(&b'-') {
        reply.replace_range(3..4, " ");
    }
    reply.push(' ');
    reply
}

static UNKNOWN: Diagnosis = Diagnosis::new(
    "the provider does not take this token for this mailbox",
    "check `mailbox`, `scopes`, and whether the one who consented may use the mailbox",
)
.mended_by(Remedy::Token);

#[cfg(test)]
mod tests;
