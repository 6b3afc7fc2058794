//! `accounts`: every account of the file, its grant, its token, and what went wrong last.

mod table;

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, finish, tell};
use crate::clock;
use crate::web::control::ShowAccounts;
use crate::web::moment::Moment;

/// Shows the accounts of the configuration file `named`, or of the one that is found.
pub(super) fn run(named: Option<PathBuf>, json: bool) -> Exit {
    let rows = Errand::load(named).and_then(|errand| errand.carry_out(&ShowAccounts {}));
    match rows {
        Err(exit) => exit,
        Ok(rows) if json => match serde_json::to_string_pretty(&rows) {
            Ok(text) => finish(text),
            Err(error) => {
                tell(format_args!("the accounts cannot be written ({error})"));
                Exit::Failed
            }
        },
        Ok(rows) => finish(table::render(&rows, Moment::new(clock::unix_time()))),
    }
}
