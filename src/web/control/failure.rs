//! A failure, as the control socket answers it.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::web::operator::{Class, OperatorError};

/// Why something was not done: `{"error": …, "fix": …, "exit": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// What is wrong, a sentence without a full stop.
    pub error: String,
    /// What to do, in a clause; empty where the error says it.
    pub fix: String,
    /// How a command ends that hears it, as its exit code.
    #[serde(with = "exit_code")]
    pub exit: Class,
}

impl Failure {
    /// What is told of `error`.
    pub fn new(error: &OperatorError) -> Self {
        Self { error: error.to_string(), fix: error.fix(), exit: error.class() }
    }

    /// The status that goes with it.
    pub(super) fn status(&self) -> StatusCode {
        match self.exit {
            Class::Usage => StatusCode::BAD_REQUEST,
            Class::TryLater => StatusCode::SERVICE_UNAVAILABLE,
            Class::Failed | Class::Configuration => StatusCode::CONFLICT,
        }
    }
}

/// [`Class`] as a number.
mod exit_code {
    use serde::de::{Deserialize as _, Deserializer};
    use serde::ser::Serializer;

    use crate::web::operator::Class;

    pub(super) fn serialize<S: Serializer>(class: &Class, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(match class {
            Class::Failed => 1,
            Class::Usage => 64,
            Class::TryLater => 75,
            Class::Configuration => 78,
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Class, D::Error> {
        Ok(match u8::deserialize(from)? {
            64 => Class::Usage,
            75 => Class::TryLater,
            78 => Class::Configuration,
            _ => Class::Failed,
        })
    }
}
