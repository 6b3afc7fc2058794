//! `authorize`: keeps a person's consent for an account, or gives it back.
//!
//! A consent is given in a browser, or brought as a refresh token. Whoever runs the relay sees what
//! to register and to open, and hears who signed in; with `--json` one object a line says the same
//! to a program.

mod browser;
mod consent;
mod ending;
mod pasted;
mod qr;
mod refresh_token;
mod revoke;
mod show;

use std::path::PathBuf;

use self::show::Show;
use super::errand::Errand;
use super::{AuthorizeArgs, Exit};
use crate::web::consents::Method;
use crate::web::control::{BeginConsent, Revoke};

/// Does it by the configuration file `named`, or by the one that is found.
pub(super) fn run(named: Option<PathBuf>, arguments: AuthorizeArgs) -> Exit {
    let AuthorizeArgs { account, paste, device, refresh_token_stdin, users, revoke, json } =
        arguments;
    let show = if json { Show::Objects } else { Show::Text };
    let method = match (paste, device) {
        (true, _) => Some(Method::Paste),
        (false, true) => Some(Method::Device),
        (false, false) => None,
    };
    let outcome = Errand::load(named).and_then(|errand| {
        if revoke {
            revoke::run(&errand, &Revoke { account }, show)
        } else if refresh_token_stdin {
            refresh_token::run(&errand, account, users, show)
        } else {
            consent::run(&errand, &BeginConsent { account, method, users }, show)
        }
    });
    outcome.unwrap_or_else(|exit| exit)
}

/// Gets the consent for `account` by `method`, for a command that has more to do then.
///
/// # Errors
/// The exit code, when there is none; it has been told why.
pub(super) fn obtain(errand: &Errand, account: &str, method: Method) -> Result<Exit, Exit> {
    let ask = BeginConsent { account: account.to_owned(), method: Some(method), users: Vec::new() };
    consent::obtain(errand, &ask)
}

/// Why there is no browser in front of whoever runs this, if there is none.
pub(super) fn no_browser() -> Option<&'static str> {
    browser::missing()
}
