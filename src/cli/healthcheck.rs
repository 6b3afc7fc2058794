//! `healthcheck`: whether the running relay is ready, as an exit code, for containers without
//! other tools.

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, finish, tell};
use crate::web::control::CheckHealth;

/// Asks the relay of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    let health = Errand::to_relay(named).and_then(|errand| errand.carry_out(&CheckHealth {}));
    match health {
        Ok(health) if health.not_ready.is_empty() => {
            if let Some(problem) = health.unsaved {
                tell(format_args!(
                    "the store is not written, do not restart before it is: {problem}"
                ));
            }
            finish("ready")
        }
        Ok(health) => {
            for reason in health.not_ready {
                tell(format_args!("not ready: {reason}"));
            }
            Exit::Failed
        }
        Err(exit) => exit,
    }
}
