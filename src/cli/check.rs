//! `check`: is this configuration right?

use std::fmt;
use std::path::PathBuf;

use crate::config::{Config, locate};

use super::{Exit, print, tell};

/// Checks the configuration file `named`, or the one that is found.
///
/// Out: `FILE: no problems (2 listeners, 1 account)` and every warning on standard output, or every
/// problem on standard error.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    let path = match locate(named) {
        Ok(path) => path,
        Err(not_found) => {
            tell(not_found);
            tell("  write one, or name it with -c FILE");
            return Exit::Config;
        }
    };
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(error) => {
            tell(error);
            return Exit::Config;
        }
    };
    let listeners = Count(config.listeners.len(), "listener");
    let accounts = Count(config.accounts.len(), "account");
    let mut report = format!("{}: no problems ({listeners}, {accounts})", path.display());
    for warning in &config.warnings {
        report.push_str(&format!("\nwarning: {}", warning.in_file(&path)));
    }
    match print(report) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// A number of things: `1 account`, `2 accounts`.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}
