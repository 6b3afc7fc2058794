//! A consent by browser, by paste or by device code: shown, waited for, and ended by Ctrl-C.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::pasted::{self, Input};
use super::show::Show;
use super::{browser, ending, qr};
use crate::cli::errand::{Errand, Visit};
use crate::cli::{Exit, tell};
use crate::secret::SecretString;
use crate::store::shell_word;
use crate::web::consents::Method;
use crate::web::control::{
    AnswerConsent, BeginConsent, ConsentBegun, ConsentKept, ConsentProgress, EndConsent, Failure,
    Shown,
};
use crate::web::operator::Class;

/// How often somebody may paste what cannot be the answer.
const TRIES: usize = 3;

/// How long it is from one question for the progress to the next at least. A relay that has many
/// to answer says at once that there is none.
const ASK_PAUSE: Duration = Duration::from_secs(2);

/// Has the person asked as `ask` says, waits for their answer, tells what comes of it and what is
/// next.
pub(super) fn run(errand: &Errand, ask: &BeginConsent, show: Show) -> Result<Exit, Exit> {
    errand.visit(async |visit| {
        let kept = wait_for(visit, ask, show).await?;
        ending::tell_of(errand, visit, &kept, show).await
    })
}

/// The same for somebody who hears later what is next.
pub(super) fn obtain(errand: &Errand, ask: &BeginConsent) -> Result<Exit, Exit> {
    errand.visit(async |visit| {
        let kept = wait_for(visit, ask, Show::Text).await?;
        ending::tell_who(&kept, Show::Text)
    })
}

async fn wait_for(
    visit: &mut Visit,
    ask: &BeginConsent,
    show: Show,
) -> Result<ConsentKept, Failure> {
    let no_signals = |error| failed(format!("signals cannot be received ({error})"));
    let mut interrupts = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let begun = tokio::select! {
        biased;
        _ = interrupts.recv() => return Err(failed("broken off".to_owned())),
        begun = visit.ask(ask) => begun?,
    };
    let consent = begun.consent().to_owned();
    let waiting = match present(ask, begun, show) {
        Ok(inputs) => Waiting { consent, interrupts, inputs, ask_at: Instant::now() },
        Err(failure) => {
            let _ = visit.ask(&EndConsent { consent }).await; // nobody knows what to open
            return Err(failure);
        }
    };
    waiting.wait(visit).await
}

/// Shows what the person needs; gives the lines of standard input if they are to paste one.
fn present(
    ask: &BeginConsent,
    begun: ConsentBegun,
    show: Show,
) -> Result<Option<mpsc::Receiver<Input>>, Failure> {
    match begun {
        ConsentBegun::Browser { consent: _, authorize_url, redirect_uri, register } => {
            show.line(format_args!("redirect URI: {redirect_uri}"))?;
            show.line(format_args!("  the application must have registered {register}"))?;
            show.object(&json!({ "authorize_url": authorize_url }))?;
            if show == Show::Text {
                show.line(format_args!("to consent for {}, open", ask.account))?;
                show.line(format_args!("  {authorize_url}"))?;
            }
            if ask.method == Some(Method::Paste) {
                ask_for_paste(&redirect_uri, show)?;
                return Ok(Some(pasted::inputs()));
            }
            if show == Show::Text {
                tell_of_browser(&ask.account, &authorize_url, &redirect_uri)?;
                show.line("waiting for the answer; Ctrl-C ends it")?;
            }
        }
        ConsentBegun::Device {
            consent: _,
            verification_uri,
            verification_uri_complete,
            user_code,
            expires_in,
        } => {
            show.object(&json!({
                "verification_uri": verification_uri,
                "verification_uri_complete": verification_uri_complete,
                "user_code": user_code,
                "expires_in": expires_in,
            }))?;
            if show == Show::Text {
                show.line(format_args!("to consent for {}, open on any device", ask.account))?;
                show.line(format_args!("  {verification_uri}"))?;
                show.line("and enter the code")?;
                show.line(format_args!("  {user_code}"))?;
                let scanned = verification_uri_complete.unwrap_or(verification_uri);
                if let Some(picture) = qr::for_terminal(&scanned) {
                    show.picture(&picture)?;
                }
                let minutes = expires_in.div_ceil(60);
                show.line(format_args!("waiting for {minutes} minutes; Ctrl-C ends it"))?;
            }
            // RFC 8628 section 5.4: a code that somebody else sends is how this flow is abused.
            show.line("enter the code only at that address, and only because you began this")?;
        }
    }
    Ok(None)
}

/// Says what is to be pasted. The browser may be anywhere, so it mostly finds nobody at the end.
fn ask_for_paste(redirect_uri: &str, show: Show) -> Result<(), Failure> {
    show.line(format_args!(
        "sign in there; the browser then comes to an address that begins with {redirect_uri}, and \
         may show that it finds nothing"
    ))?;
    show.line("paste that whole address here and press Enter; Ctrl-C ends it")
}

/// Opens a browser, or says what to do without one.
fn tell_of_browser(account: &str, url: &str, redirect_uri: &str) -> Result<(), Failure> {
    let show = Show::Text;
    let Err(reason) = browser::open(url) else {
        return show.line("a browser opens it now; if none does, open it on this machine");
    };
    show.line(format_args!("no browser is opened: {reason}"))?;
    match browser::forwarding(redirect_uri) {
        Some(line) => {
            show.line(format_args!("  open it on this machine, or on another after `{line}`,"))?;
        }
        None => show.line("  open it wherever that redirect URI can be reached,")?,
    }
    let account = shell_word(account);
    show.line(format_args!("  or end this and run `mailbearer authorize {account} --paste`"))
}

/// What is waited for.
struct Waiting {
    consent: String,
    interrupts: Signal,
    /// What the person pastes, if they are to.
    inputs: Option<mpsc::Receiver<Input>>,
    /// When the next question may be asked.
    ask_at: Instant,
}

/// What comes next.
enum Next {
    Interrupt,
    Progress(Option<ConsentKept>),
    Input(Input),
}

impl Waiting {
    /// Waits for the end of the consent.
    async fn wait(mut self, visit: &mut Visit) -> Result<ConsentKept, Failure> {
        let mut tries = TRIES;
        loop {
            let outcome = match self.next(visit).await? {
                Next::Progress(None) => continue,
                Next::Progress(Some(kept)) => return Ok(kept),
                Next::Interrupt => return self.end(visit, None).await,
                Next::Input(input) => self.answer(visit, input).await,
            };
            match outcome {
                // It cannot be the answer, so the consent still waits.
                Err(failure) if failure.exit == Class::Usage => {
                    tries -= 1;
                    if tries == 0 || self.inputs.is_none() {
                        return self.end(visit, Some(failure)).await;
                    }
                    tell(&failure);
                    tell(format_args!("  {}", failure.fix));
                    tell("paste it again:");
                }
                outcome => return outcome,
            }
        }
    }

    async fn next(&mut self, visit: &mut Visit) -> Result<Next, Failure> {
        let ask = ConsentProgress { consent: self.consent.clone() };
        let ask_at = &mut self.ask_at;
        let progress = async {
            sleep_until(*ask_at).await;
            *ask_at = Instant::now() + ASK_PAUSE;
            visit.ask(&ask).await
        };
        let inputs = &mut self.inputs;
        let input = async {
            match inputs {
                Some(inputs) => inputs.recv().await.unwrap_or(Input::End),
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            biased;
            _ = self.interrupts.recv() => Next::Interrupt,
            progress = progress => Next::Progress(progress?),
            input = input => Next::Input(input),
        })
    }

    /// Hands on what was pasted.
    async fn answer(&mut self, visit: &mut Visit, input: Input) -> Result<ConsentKept, Failure> {
        let (error, fix) = match input {
            Input::Line(line) => {
                let pasted = Shown(SecretString::from(String::from_utf8_lossy(&line).as_ref()));
                let consent = self.consent.clone();
                return visit.ask(&AnswerConsent { consent, pasted }).await;
            }
            Input::Cut => (
                "the terminal has cut this address at 4,095 characters".to_owned(),
                "end this with Ctrl-C, type `stty -icanon`, and begin again",
            ),
            Input::End => {
                self.inputs = None;
                let fix = "run it in a terminal, or pipe the address in once you have it";
                ("standard input holds no address with an answer".to_owned(), fix)
            }
            Input::Unreadable(error) => {
                self.inputs = None;
                (format!("standard input cannot be read ({error})"), "run it in a terminal")
            }
        };
        Err(Failure { error, fix: fix.to_owned(), exit: Class::Usage })
    }

    /// Ends the consent, because of `failure` or because the person wants it so. If they have
    /// answered all the same, that counts, and is told.
    async fn end(
        self,
        visit: &mut Visit,
        failure: Option<Failure>,
    ) -> Result<ConsentKept, Failure> {
        let ended = visit.ask(&EndConsent { consent: self.consent }).await;
        match (ended, failure) {
            (Ok(Some(kept)), _) => Ok(kept),
            (_, Some(failure)) | (Err(failure), None) => Err(failure),
            (Ok(None), None) => Err(Failure {
                error: "the provider was asked and has not answered yet, so what came of the \
                        consent is not known"
                    .to_owned(),
                fix: "see `mailbearer accounts`".to_owned(),
                exit: Class::Failed,
            }),
        }
    }
}

fn failed(error: String) -> Failure {
    Failure { error, fix: String::new(), exit: Class::Failed }
}
