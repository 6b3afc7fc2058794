//! `check`: is this configuration right?

pub(super) mod online;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Secrets, locate};
use crate::net::listen::ListenAddress;
use crate::store::StoreSettings;

use super::{Exit, finish, owner, tell};

/// Checks the configuration file `named`, or the one that is found.
///
/// Out: `FILE: no problems (2 listeners, 1 account)` and every warning on standard output, or every
/// problem on standard error.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    let (path, config) = match load(named, Secrets::Verify) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    finish(report(&path, &config))
}

/// `FILE: no problems (2 listeners, 1 account)`, with the devices if there are any, and every
/// warning.
fn report(path: &Path, config: &Config) -> String {
    let listeners = Count(config.listeners.len(), "listener");
    let accounts = Count(config.accounts.len(), "account");
    let devices = match config.devices.len() {
        0 => String::new(),
        devices => format!(", {}", Count(devices, "device")),
    };
    let mut report = format!("{}: no problems ({listeners}, {accounts}{devices})", path.display());
    for warning in &config.warnings {
        report.push_str(&format!("\nwarning: {}", warning.in_file(path)));
    }
    report
}

/// Reads the configuration file `named`, or the one that is found; tells what is wrong with it, and
/// with its `secrets` if they are to be looked at.
///
/// # Errors
/// The exit code, when there is no file or it has problems.
pub(super) fn load(named: Option<PathBuf>, secrets: Secrets) -> Result<(PathBuf, Config), Exit> {
    let path = found(named)?;
    let config = Config::load(&path, secrets).map_err(|error| refuse(&path, &error, secrets))?;
    Ok((path, config))
}

/// Reads `[store]` of the configuration file `named`, or of the one that is found, whatever else is
/// wrong with it.
///
/// # Errors
/// The exit code, when there is no file or that table has problems.
pub(super) fn load_store(named: Option<PathBuf>) -> Result<(PathBuf, StoreSettings), Exit> {
    let path = found(named)?;
    let store = Config::load_store(&path).map_err(|error| refuse(&path, &error, Secrets::Leave))?;
    Ok((path, store))
}

/// Reads `web.probes` of the configuration file `named`, or of the one that is found, whatever else
/// is wrong with it.
///
/// # Errors
/// The exit code, when there is no file or that key has problems.
pub(super) fn load_probes(named: Option<PathBuf>) -> Result<Vec<ListenAddress>, Exit> {
    let path = found(named)?;
    Config::load_probes(&path).map_err(|error| refuse(&path, &error, Secrets::Leave))
}

fn found(named: Option<PathBuf>) -> Result<PathBuf, Exit> {
    locate(named).map_err(|not_found| {
        tell(not_found);
        tell("  `mailbearer init` writes one; one that is elsewhere is named with -c FILE");
        Exit::Config
    })
}

/// Tells why the file at `path` is not used.
fn refuse(path: &Path, error: &ConfigError, secrets: Secrets) -> Exit {
    tell(error);
    // Whoever looks at the secrets is the relay, or is about to be: that user has to read it.
    if error.is_no_permission()
        && secrets == Secrets::Leave
        && let Some(line) = owner::sudo_line(path, path)
    {
        tell(format_args!("  or run `{line}`"));
    }
    Exit::Config
}

/// A number of things: `1 account`, `2 accounts`.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}
