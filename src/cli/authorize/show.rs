//! To whom a consent is shown: a person, or a program.

use std::fmt;
use std::io;

use serde_json::{Value, json};

use crate::cli::{print, tell};
use crate::web::control::Failure;
use crate::web::operator::Class;

/// To whom a consent is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// To a person: text on standard output.
    Text,
    /// To a program: one JSON object a line on standard output. What only a person can use goes to
    /// standard error.
    Objects,
}

impl Show {
    /// Shows a line of instructions.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(super) fn line(self, line: impl fmt::Display) -> Result<(), Failure> {
        let line = printable(&line.to_string());
        match self {
            Self::Text => print(line).map_err(|error| unwritable(&error)),
            Self::Objects => {
                tell(line);
                Ok(())
            }
        }
    }

    /// Shows a person a picture that this program has made.
    ///
    /// # Errors
    /// When nobody sees it.
    pub(super) fn picture(self, picture: &str) -> Result<(), Failure> {
        match self {
            Self::Text => print(picture).map_err(|error| unwritable(&error)),
            Self::Objects => Ok(()),
        }
    }

    /// Gives a program its object.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(super) fn object(self, object: &Value) -> Result<(), Failure> {
        match self {
            Self::Text => Ok(()),
            Self::Objects => print(object).map_err(|error| unwritable(&error)),
        }
    }
}

/// The object that ends a consent well.
pub(super) fn authorized(account: &str, user: Option<&str>) -> Value {
    json!({"authorized": account, "user": user})
}

/// `text` without what a terminal would obey: addresses and codes are the provider's words.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn unwritable(error: &io::Error) -> Failure {
    Failure {
        error: format!("standard output cannot be written ({error})"),
        fix: String::new(),
        exit: Class::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_cannot_command_the_terminal() {
        assert_eq!(printable("AB\u{1b}[2J\u{9b}CD\r\n"), "AB\u{fffd}[2J\u{fffd}CD\u{fffd}\u{fffd}");
        assert_eq!(printable("ÄB-CD 12"), "ÄB-CD 12");
    }
}
