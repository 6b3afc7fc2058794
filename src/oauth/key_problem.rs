//! What is wrong with a key of the configuration: told by `check`, and by a request that needs it.

use std::borrow::Cow;
use std::fmt;

use super::error::{ErrorKind, TokenError};
use crate::net::tls::validity::Validity;
use crate::secret::{SecretError, SecretSource};

/// What is known of a key that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// When its certificate is good, where it has one.
    pub certificate: Option<Validity>,
}

/// Why a key is of no use: the end of a sentence that begins with the key's name in the file.
/// Nothing of the key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct KeyProblem {
    part: KeyPart,
    problem: String,
    fix: String,
    may_pass: bool,
}

/// Which key of the configuration a problem concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// `certificate`.
    Certificate,
    /// `private_key`.
    PrivateKey,
    /// `key_file`.
    KeyFile,
}

impl KeyPart {
    /// The configuration's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private_key",
            Self::KeyFile => "key_file",
        }
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl KeyProblem {
    /// A source that cannot be read.
    pub(super) fn unread(part: KeyPart, error: &SecretError) -> Self {
        Self {
            part,
            problem: format!("cannot be had: {error}"),
            fix: error.fix().to_owned(),
            may_pass: may_pass(error),
        }
    }

    /// A `flaw` in what `source` holds.
    pub(super) fn of(part: KeyPart, source: &SecretSource, flaw: Flaw) -> Self {
        let may_pass = flaw.may_be_halfway && source.blocks();
        Self { part, problem: flaw.problem.into(), fix: flaw.fix.into(), may_pass }
    }

    /// Which key of the configuration it concerns.
    pub fn part(&self) -> KeyPart {
        self.part
    }

    /// What to do, in a clause.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl From<KeyProblem> for TokenError {
    fn from(problem: KeyProblem) -> Self {
        let kind = if problem.may_pass { ErrorKind::Temporary } else { ErrorKind::Configuration };
        let cause = format!("{} {problem}", problem.part);
        Self { kind, ..Self::configuration(cause, problem.fix) }
    }
}

/// Whether the next use may succeed: a variable stays as it is, but a file may be replaced at this
/// moment, and a program may have failed for want of a network.
pub(super) fn may_pass(error: &SecretError) -> bool {
    match error {
        SecretError::Variable { .. } => false,
        SecretError::File(_) | SecretError::Command { .. } => true,
    }
}

/// What is wrong with what was read, wherever it came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The end of a sentence that begins with what was read.
    pub(super) problem: Cow<'static, str>,
    /// What to do, in a clause.
    pub(super) fix: Cow<'static, str>,
    /// Whether a file that is being replaced at this moment could look so.
    pub(super) may_be_halfway: bool,
}

impl Flaw {
    /// One that stays until somebody does something.
    pub(super) fn lasting(
        problem: impl Into<Cow<'static, str>>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { problem: problem.into(), fix: fix.into(), may_be_halfway: false }
    }

    /// One that a file has while it is being replaced.
    pub(super) fn halfway(
        problem: impl Into<Cow<'static, str>>,
        fix: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { may_be_halfway: true, ..Self::lasting(problem, fix) }
    }
}
