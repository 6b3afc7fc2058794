//! A configuration file while it is being read: its text, what it refers to outside of itself, and
//! all that was found wrong with it so far.

use std::cell::RefCell;
use std::collections::HashSet;
use std::env::VarError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;

use super::problem::Problem;
use super::secrets::Secrets;

/// Looks an environment variable up.
pub type EnvLookup<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Says that a problem was reported, so that whoever needed the value may give up quietly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported(());

/// A file while it is being read.
pub(super) struct File<'t> {
    text: &'t str,
    dir: &'t Path,
    env: EnvLookup<'t>,
    secrets: Secrets,
    now: Duration,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'t> File<'t> {
    pub(super) fn new(text: &'t str, dir: &'t Path, env: EnvLookup<'t>, secrets: Secrets) -> Self {
        let (problems, warnings) = (RefCell::default(), RefCell::default());
        Self { text, dir, env, secrets, now: clock::unix_time(), problems, warnings }
    }

    /// The same at another time, since 1970, than the present.
    #[cfg(test)]
    pub(super) fn at(self, now: Duration) -> Self {
        Self { now, ..self }
    }

    /// When it is read, since 1970.
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Records a problem of the key that stands at byte `at`.
    pub(super) fn problem(
        &self,
        at: usize,
        key: Option<&str>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Reported {
        let problem = self.describe(at, key, message.into(), help.into());
        self.problems.borrow_mut().push(problem);
        Reported(())
    }

    /// Records a warning about the key that stands at byte `at`.
    pub(super) fn warning(
        &self,
        at: usize,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let warning = self.describe(at, Some(key), message.into(), help.into());
        self.warnings.borrow_mut().push(warning);
    }

    /// The line, from 1, of the byte `at`.
    pub(super) fn line(&self, at: usize) -> usize {
        line_behind(self.text.as_bytes().get(..at).unwrap_or_default())
    }

    /// Whether a problem was recorded.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The directory it stands in, as it was named.
    pub(super) fn dir(&self) -> &'t Path {
        self.dir
    }

    /// Whether the secrets that it names are looked at.
    pub(super) fn secrets(&self) -> Secrets {
        self.secrets
    }

    /// The path that the file writes as `written`: relative to the file's own directory.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.dir.join(written)
    }

    /// The value of the environment variable `name`.
    pub(super) fn env(&self, name: &str) -> Result<String, VarError> {
        (self.env)(name)
    }

    /// All problems, and all warnings, each by line and once: what many accounts inherit from one
    /// key may be reported by each of them.
    pub(super) fn into_findings(self) -> (Vec<Problem>, Vec<Problem>) {
        let by_line = |mut found: Vec<Problem>| {
            found.sort_by_key(|problem| problem.line);
            let mut told = HashSet::new();
            found.retain(|problem| told.insert(problem.clone()));
            found
        };
        (by_line(self.problems.into_inner()), by_line(self.warnings.into_inner()))
    }

    fn describe(&self, at: usize, key: Option<&str>, message: String, help: String) -> Problem {
        Problem { line: self.line(at), key: key.map(str::to_owned), message, help }
    }
}

/// The line, from 1, of the byte that follows `before`.
pub(super) fn line_behind(before: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', before).count() + 1
}
