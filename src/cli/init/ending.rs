//! What comes after the files: the consent, the local password, the fields to enter.

use std::path::Path;

use super::interview::{Answers, tell_of_variable};
use super::service::{HandedOver, Service};
use super::signals::Signals;
use crate::cli::errand::{Errand, Visit};
use crate::cli::{Exit, authorize, password, tell};
use crate::config::template::Draft;
use crate::store::shell_word;
use crate::web::control::{Failure, Reload};

/// Gets the consent, makes the password, and shows what to enter.
pub(super) fn run(answers: &Answers, output: &Path, signals: &Signals) -> Result<Exit, Exit> {
    let draft = &answers.draft;
    let next = Next::new(answers, output);
    let lacks_secret = tell_of_variable(draft.secret.as_ref());
    let errand = Errand::load(Some(output.to_owned()))?;
    let mut relay = Relay::None;
    if let Err(exit) = errand.visit(async |visit| reload(visit, &mut relay).await) {
        tell("the files are written, and no password was made; once that is mended:");
        if relay == Relay::Runs {
            tell("  end the relay, which runs with what it read before, and start it again");
        }
        next.tell(relay, draft.grant.is_kept());
        tell(format_args!("  {} password {}", next.command, next.name));
        return Err(exit);
    }
    let name = draft.address.as_str();
    let consented = match answers.consent {
        Some(_) if lacks_secret => Err(Exit::TryLater),
        Some(method) => signals.leave_interrupts_to(|| authorize::obtain(&errand, name, method)),
        None => Ok(Exit::Done),
    };
    let shown = password::made::first(&errand, name);
    if !draft.devices.is_empty() {
        tell("printers and scanners enter this machine's address, the same port, and no sign-in");
    }
    let has_to_consent = draft.grant.is_kept() && (answers.consent.is_none() || consented.is_err());
    tell("then, in this order:");
    next.tell(relay, has_to_consent);
    tell(format_args!("  {} check --online {}", next.command, next.name));
    shown?;
    consented
}

/// Whether a relay runs with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relay {
    Runs,
    None,
}

/// Has a relay that runs with the file read it: what follows is asked of it. Whether one runs goes to
/// `relay`, also where it refuses the file.
async fn reload(visit: &mut Visit, relay: &mut Relay) -> Result<(), Failure> {
    if !visit.is_at_relay() {
        return Ok(());
    }
    *relay = Relay::Runs;
    visit.ask(&Reload {}).await?;
    tell("the relay that runs has read it, and uses it from now on");
    Ok(())
}

/// What is to be typed next.
struct Next {
    command: String,
    /// The account, as a word of a shell.
    name: String,
}

impl Next {
    fn new(answers: &Answers, output: &Path) -> Self {
        let command = format!("mailbearer -c {}", shell_word(&output.to_string_lossy()));
        Self { command, name: shell_word(answers.draft.address.as_str()) }
    }

    fn tell(&self, relay: Relay, has_to_consent: bool) {
        let Self { command, name } = self;
        if has_to_consent {
            tell(format_args!("  {command} authorize {name}"));
        }
        if relay == Relay::None {
            tell(format_args!("  {command} serve"));
        }
    }
}

/// What is to be done for the service, which keeps consents and passwords where it runs.
pub(super) fn tell_of_service(
    service: &Service,
    draft: &Draft,
    handed_over: &[HandedOver],
    output: &Path,
) {
    let name = shell_word(draft.address.as_str());
    for line in service.advice(output, handed_over, draft.variable()) {
        tell(line);
    }
    tell("once the service runs:");
    let command = service.command(output);
    if draft.grant.is_kept() {
        tell(format_args!("  {command} authorize {name} --paste"));
    }
    tell(format_args!("  {command} password {name}"));
}
