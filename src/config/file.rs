//! A configuration file while it is being read: its text, what it refers to outside of itself, and
//! all that was found wrong with it so far.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::env::VarError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock;

use super::problem::Problem;
use super::secrets::Secrets;
use super::table::nearest;

/// Most findings that are told of a file, of problems and of warnings each: who mends so many looks
/// again, and lines of a log are kept.
const TOLD_MAX: usize = 100;

/// How often it is looked for what was meant among names of which a file may have very many: for as
/// many problems as are told.
const HINTS_MAX: usize = TOLD_MAX;

/// Looks an environment variable up.
pub type EnvLookup<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Says that a problem was reported, so that whoever needed the value may give up quietly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported(());

/// A file while it is being read.
pub(super) struct File<'t> {
    text: &'t str,
    /// Where its lines end, once somebody asks for a line.
    newlines: OnceCell<Vec<usize>>,
    dir: &'t Path,
    env: EnvLookup<'t>,
    secrets: Secrets,
    now: Duration,
    /// How often it was looked for what was meant.
    hints: Cell<usize>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'t> File<'t> {
    pub(super) fn new(text: &'t str, dir: &'t Path, env: EnvLookup<'t>, secrets: Secrets) -> Self {
        let (problems, warnings) = (RefCell::default(), RefCell::default());
        let (newlines, hints, now) = (OnceCell::new(), Cell::new(0), clock::unix_time());
        Self { text, newlines, dir, env, secrets, now, hints, problems, warnings }
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
        let find = || memchr::memchr_iter(b'\n', self.text.as_bytes()).collect();
        self.newlines.get_or_init(find).partition_point(|newline| *newline < at) + 1
    }

    /// Whether a problem was recorded.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The end of a sentence that names the one of `names` that is most like `word`, if any is;
    /// nothing once that was looked for [`HINTS_MAX`] times.
    pub(super) fn near<N: AsRef<str>>(&self, word: &str, names: impl Iterator<Item = N>) -> String {
        let hints = self.hints.get();
        if hints >= HINTS_MAX {
            return String::new();
        }
        self.hints.set(hints + 1);
        let near = nearest(word, names);
        near.map_or_else(String::new, |near| format!("; the nearest is {:?}", near.as_ref()))
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

    /// The problems, and the warnings, each by line and once: what many accounts inherit from one
    /// key may be reported by each of them. Of more than [`TOLD_MAX`] the first, and behind them how
    /// many others there are.
    pub(super) fn into_findings(self) -> (Vec<Problem>, Vec<Problem>) {
        let by_line = |mut found: Vec<Problem>| {
            found.sort_by_key(|problem| problem.line);
            let mut told = HashSet::new();
            found.retain(|problem| told.insert(problem.clone()));
            tell_first(&mut found);
            found
        };
        (by_line(self.problems.into_inner()), by_line(self.warnings.into_inner()))
    }

    fn describe(&self, at: usize, key: Option<&str>, message: String, help: String) -> Problem {
        Problem { line: self.line(at), key: key.map(str::to_owned), message, help }
    }
}

/// Leaves the first [`TOLD_MAX`], and says how many others there are.
fn tell_first(found: &mut Vec<Problem>) {
    let others = found.len().saturating_sub(TOLD_MAX);
    if let (1.., Some(next)) = (others, found.get(TOLD_MAX)) {
        let message = format!("and {others} {}", if others == 1 { "other" } else { "others" });
        let help = "mend those above first, and look again".to_owned();
        let rest = Problem { line: next.line, key: None, message, help };
        found.truncate(TOLD_MAX);
        found.push(rest);
    }
}

/// The line, from 1, of the byte that follows `before`.
pub(super) fn line_behind(before: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', before).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(text: &str, look: impl FnOnce(File<'_>) -> T) -> T {
        let env = |_: &str| Err(VarError::NotPresent);
        look(File::new(text, Path::new(""), &env, Secrets::Leave))
    }

    #[test]
    fn the_line_of_a_problem_is_right_at_both_ends_of_lines_and_of_the_file() {
        for text in ["", "a", "\n", "a\n\nbc\n", "\r\na\n\nb"] {
            with(text, |file| {
                for at in 0..=text.len() {
                    assert_eq!(file.line(at), line_behind(&text.as_bytes()[..at]), "{text:?} {at}");
                }
            });
        }
    }

    /// The problems of a file where each of `lines` lines has one, which is reported twice, the last
    /// line's first: each `LINE: sentence`.
    fn of_lines(lines: usize) -> Vec<String> {
        with(&"k\n".repeat(lines), |file| {
            for at in (0..lines).rev().flat_map(|line| [2 * line; 2]) {
                file.problem(at, Some("k"), "is wrong", "mend it");
            }
            let (problems, warnings) = file.into_findings();
            assert!(warnings.is_empty());
            let told = |it: &Problem| {
                it.in_file(Path::new("F")).to_string().lines().next().unwrap().to_owned()
            };
            problems.iter().map(told).collect()
        })
    }

    #[test]
    fn of_very_many_problems_the_first_are_told_and_the_others_counted() {
        assert_eq!(of_lines(3), ["F:1: `k` is wrong", "F:2: `k` is wrong", "F:3: `k` is wrong"]);
        let all = of_lines(TOLD_MAX);
        assert_eq!((all.len(), all.last().unwrap().as_str()), (100, "F:100: `k` is wrong"));
        for (lines, rest) in [(101, "F:101: and 1 other"), (100_000, "F:101: and 99900 others")] {
            let told = of_lines(lines);
            assert_eq!(told.len(), 101);
            assert_eq!(told[..100], all);
            assert_eq!(told[100], rest);
        }
    }
}
