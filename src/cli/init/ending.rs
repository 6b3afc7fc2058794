//! What comes after the files: the consent, the local password, the fields to enter.

use std::path::Path;

use super::interview::{Answers, tell_of_variable};
use super::service::Service;
use crate::cli::errand::Errand;
use crate::cli::{Exit, authorize, password, tell};
use crate::store::shell_word;

/// Gets the consent, makes the password, and shows what to enter.
pub(super) fn run(
    service: Option<&Service>,
    answers: &Answers,
    output: &Path,
) -> Result<Exit, Exit> {
    let draft = &answers.draft;
    let name = draft.address.as_str();
    let command = format!("mailbearer -c {}", shell_word(&output.to_string_lossy()));
    let lacks_secret = tell_of_variable(draft.secret.as_ref());
    if let Some(service) = service {
        tell(format_args!("{}: {}", service.path().display(), service.advice()));
        tell("once the service runs:");
        let command = service.command(output);
        if draft.grant.is_kept() {
            tell(format_args!("  {command} authorize {} --paste", shell_word(name)));
        }
        tell(format_args!("  {command} password {}", shell_word(name)));
        return Ok(Exit::Done);
    }
    let errand = Errand::load(Some(output.to_owned()))?;
    let consented = match answers.consent {
        Some(_) if lacks_secret => Err(Exit::TryLater),
        Some(method) => authorize::obtain(&errand, name, method),
        None => Ok(Exit::Done),
    };
    let shown = password::made::first(&errand, name);
    if !draft.devices.is_empty() {
        tell("printers and scanners enter this machine's address, the same port, and no sign-in");
    }
    let has_to_consent = draft.grant.is_kept() && (answers.consent.is_none() || consented.is_err());
    tell("then, in this order:");
    if has_to_consent {
        tell(format_args!("  {command} authorize {}", shell_word(name)));
    }
    tell(format_args!("  {command} serve"));
    tell(format_args!("  {command} check --online {}", shell_word(name)));
    shown?;
    consented
}
