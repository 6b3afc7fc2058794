//! `token`: a fresh access token and nothing else, for msmtp, mbsync, mutt.

use std::path::PathBuf;

use super::errand::Errand;
use super::{Exit, TokenArgs, finish, tell};
use crate::secret::ExposeSecret as _;
use crate::web::control::GetToken;

/// Prints a token by the configuration file `named`, or by the one that is found.
pub(super) fn run(named: Option<PathBuf>, arguments: TokenArgs) -> Exit {
    let TokenArgs { account, protocol } = arguments;
    let ask = GetToken { account, protocol };
    match Errand::load(named).and_then(|errand| errand.carry_out(&ask)) {
        Ok(got) => {
            if let Some(problem) = got.unsaved {
                tell(format_args!("warning: the newest refresh token is not written: {problem}"));
            }
            finish(got.access_token.0.expose_secret())
        }
        Err(exit) => exit,
    }
}
