//! The good end of a consent: who signed in, what was not granted, and what to do next.

use super::show::{self, Show};
use crate::account::{AccountSettings, LocalPassword};
use crate::cli::errand::{Errand, Visit};
use crate::cli::servers::Served;
use crate::cli::{Exit, PROTOCOLS, servers, tell};
use crate::names::Username;
use crate::store::shell_word;
use crate::web::control::{ConsentKept, Failure, ListPasswords};

/// Tells of the consent that is `kept`, and what is next.
///
/// # Errors
/// When nobody reads it.
pub(super) async fn tell_of(
    errand: &Errand,
    visit: &mut Visit,
    kept: &ConsentKept,
    show: Show,
) -> Result<Exit, Failure> {
    let told = tell_who(kept, show)?;
    if show == Show::Text {
        tell_what_is_next(errand, visit, &kept.account).await;
    }
    Ok(told)
}

/// Tells of the consent that is `kept`.
///
/// # Errors
/// When nobody reads it.
pub(super) fn tell_who(kept: &ConsentKept, show: Show) -> Result<Exit, Failure> {
    let ConsentKept { account, user, missing, unsaved } = kept;
    if let Some(problem) = unsaved {
        tell(format_args!("warning: the consent is in the relay's memory alone: {problem}"));
        tell("  the relay goes on trying to write it: do not end it before");
    }
    if !missing.is_empty() {
        tell(format_args!("warning: not granted: {}", missing.join(", ")));
        tell("  if mail needs it, authorize the account again and leave every box ticked");
    }
    show.object(&show::authorized(account, user.as_deref()))?;
    if show == Show::Objects {
        return Ok(Exit::Done);
    }
    show.line(match user {
        Some(user) => format!("{account}: the consent of {user} is kept"),
        None => format!("{account}: a consent is kept; the provider does not tell whose it is"),
    })?;
    Ok(Exit::Done)
}

/// Says what is left to do before a mail client can sign in as `account`.
async fn tell_what_is_next(errand: &Errand, visit: &mut Visit, account: &str) {
    let made = visit.ask(&ListPasswords { name: account.to_owned() }).await;
    let has_password = in_file(errand.accounts(), account) || made.is_ok_and(|it| !it.is_empty());
    if !has_password {
        let name = shell_word(account);
        tell(format_args!(
            "next, run `mailbearer password {name}`: it makes the password that the mail client \
             shows"
        ));
    } else {
        let protocols = PROTOCOLS.map(str::to_owned);
        tell("the mail client signs in with its local password:");
        tell(format_args!("  user name   {account}"));
        for line in servers::lines(errand.listeners(), Served::Account(account), &protocols) {
            tell(format_args!("  {line}"));
        }
    }
    if !visit.is_at_relay() {
        tell("no relay runs yet: start `mailbearer serve`");
    }
}

/// Whether the file has a local password for `account`.
fn in_file(accounts: &[AccountSettings], account: &str) -> bool {
    let Ok(name) = Username::parse(account) else { return false };
    let of_account = accounts.iter().find(|settings| settings.name.covers(&name));
    of_account.is_some_and(|settings| !matches!(settings.local_password, LocalPassword::None))
}
