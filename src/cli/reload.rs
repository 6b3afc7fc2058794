//! `reload`: has the running relay read its configuration again, all or nothing.

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, finish, tell};
use crate::web::control::Reload;

/// Asks the relay of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>) -> Exit {
    let reloaded = Errand::to_relay(named).and_then(|errand| errand.carry_out(&Reload {}));
    match reloaded {
        Ok(reloaded) => {
            for warning in reloaded.warnings {
                tell(format_args!("warning: {warning}"));
            }
            finish("the configuration was read again and is used from now on")
        }
        Err(exit) => exit,
    }
}
