//! The configuration file: its TOML shape, and each module's own settings made of it.

use std::time::Duration;

use crate::account::AccountSettings;
use crate::relay::{Limits, ListenerSettings};

/// Everything that the file says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `[listeners.…]` tables, by name.
    pub listeners: Vec<ListenerSettings>,
    /// The `[accounts.…]` tables, by name.
    pub accounts: Vec<AccountSettings>,
    /// The `[limits]` table.
    pub limits: Limits,
    /// The `[log]` table.
    pub log: LogSettings,
    /// `shutdown.grace`: how long signed-in sessions may go on after SIGTERM.
    pub grace: Duration,
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
