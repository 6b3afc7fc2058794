//! `healthcheck`: whether the running relay is ready, as an exit code, for containers without
//! other tools.
//!
//! The control socket is asked; where nobody answers there, as on a read-only root, `web.probes`. What
//! lies there may be what is left of a relay that could still write.

mod probes;

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, check, finish, tell};
use crate::web::control::CheckHealth;

/// Asks the relay of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    ask(named).unwrap_or_else(|exit| exit)
}

fn ask(named: Option<PathBuf>) -> Result<Exit, Exit> {
    let errand = Errand::to_relay(named.clone())?;
    if !errand.finds_relay() {
        let addresses = check::load_probes(named)?;
        if !addresses.is_empty() {
            return probes::ask(&addresses);
        }
    }
    let health = errand.carry_out(&CheckHealth {})?;
    if let Some(problem) = health.unsaved.filter(|_| health.not_ready.is_empty()) {
        tell(format_args!("the store is not written, do not restart before it is: {problem}"));
    }
    Ok(told(&health.not_ready))
}

/// The exit code of a relay that is not ready for these reasons.
fn told(not_ready: &[String]) -> Exit {
    if not_ready.is_empty() {
        return finish("ready");
    }
    for reason in not_ready {
        tell(format_args!("not ready: {reason}"));
    }
    Exit::Failed
}
