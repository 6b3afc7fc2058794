//! Exit codes, the same for every command.

use std::process::ExitCode;

/// How a command ends. Scripts and supervisors rely on the numbers, most of them from BSD's
/// sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// It is done: 0.
    Done,
    /// The thing asked for failed: 1.
    Failed,
    /// The command was called wrongly: 64, `EX_USAGE`.
    Usage,
    /// It may work later: 75, `EX_TEMPFAIL`.
    TryLater,
    /// The configuration is wrong or missing: 78, `EX_CONFIG`.
    Config,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::TryLater => 75,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
