//! Asking somebody at a terminal.
//!
//! A terminal that can move its cursor gets questions with arrow keys; one that cannot
//! (`TERM=dumb`, a serial line, a screen reader's) gets lines and numbers. Both read whole lines
//! that are pasted. Questions go to standard error, so that standard output is the result alone.

mod plain;

use std::env;
use std::io::{self, IsTerminal as _};

use inquire::validator::Validation;
use inquire::{InquireError, Password, PasswordDisplayMode, Select, Text};
use zeroize::Zeroizing;

use crate::cli::tell;

/// A terminal with somebody before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminal {
    /// Moves its cursor.
    Drawn,
    /// Writes lines and no more.
    Plain,
}

/// There is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The person ended it: Ctrl-C, Escape, or the end of the input.
    Ended,
    /// The terminal does not work.
    Broken(io::Error),
}

/// A question for a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// What is asked.
    pub(super) ask: &'a str,
    /// What to know for it, in a line.
    pub(super) help: &'a str,
    /// What Enter alone answers.
    pub(super) proposal: Option<&'a str>,
}

/// Looks at an answer; says what to answer instead.
pub(super) type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;

impl Terminal {
    /// The terminal of this process, if there is one.
    pub(super) fn find() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let is_plain = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        Some(if is_plain { Self::Plain } else { Self::Drawn })
    }

    /// The terminal that standard input is, wherever the questions go.
    pub(super) fn at_input() -> Option<Self> {
        io::stdin().is_terminal().then(|| Self::find().unwrap_or(Self::Plain))
    }

    /// Asks for a line, until `check` takes it.
    pub(super) fn text(self, question: Question<'_>, check: Check<'_>) -> Result<String, NoAnswer> {
        if self == Self::Plain {
            return plain::text(question, check);
        }
        let validator = |text: &str| {
            Ok(match check(text.trim()) {
                Ok(()) => Validation::Valid,
                Err(problem) => Validation::Invalid(problem.into()),
            })
        };
        let mut prompt = Text::new(question.ask).with_validator(validator);
        if !question.help.is_empty() {
            prompt = prompt.with_help_message(question.help);
        }
        if let Some(proposal) = question.proposal {
            let completed = Proposal(proposal.to_owned());
            prompt = prompt.with_autocomplete(completed);
            if !proposal.is_empty() {
                prompt = prompt.with_default(proposal);
            }
        }
        Ok(prompt.prompt()?.trim().to_owned())
    }

    /// Asks for a line that is not shown, until `check` takes it.
    pub(super) fn secret(
        self,
        question: Question<'_>,
        check: Check<'_>,
    ) -> Result<Zeroizing<String>, NoAnswer> {
        loop {
            let answer = if self == Self::Plain {
                plain::secret(question)?
            } else {
                let prompt = Password::new(question.ask)
                    .with_help_message(question.help)
                    .with_display_mode(PasswordDisplayMode::Hidden)
                    .without_confirmation();
                Zeroizing::new(prompt.prompt()?)
            };
            let answer = Zeroizing::new(answer.trim().to_owned());
            match check(&answer) {
                Ok(()) => return Ok(answer),
                Err(problem) => tell(problem),
            }
        }
    }

    /// Has one of `options` chosen; gives its place among them.
    pub(super) fn choose(
        self,
        ask: &str,
        options: &[String],
        proposal: usize,
    ) -> Result<usize, NoAnswer> {
        if self == Self::Plain {
            return plain::choose(ask, options, proposal);
        }
        let prompt = Select::new(ask, options.to_vec())
            .with_starting_cursor(proposal)
            .with_page_size(options.len())
            .with_help_message("arrow keys and Enter");
        Ok(prompt.raw_prompt()?.index)
    }
}

/// What Tab completes to.
#[derive(Debug, Clone)]
struct Proposal(String);

impl inquire::Autocomplete for Proposal {
    fn get_suggestions(&mut self, _: &str) -> Result<Vec<String>, inquire::CustomUserError> {
        Ok(Vec::new())
    }

    fn get_completion(
        &mut self,
        input: &str,
        _: Option<String>,
    ) -> Result<Option<String>, inquire::CustomUserError> {
        Ok(self.0.starts_with(input).then(|| self.0.clone()))
    }
}

impl From<InquireError> for NoAnswer {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Ended,
            InquireError::IO(error) => Self::Broken(error),
            error @ (InquireError::NotTTY
            | InquireError::InvalidConfiguration(_)
            | InquireError::Custom(_)) => Self::Broken(io::Error::other(error.to_string())),
        }
    }
}
