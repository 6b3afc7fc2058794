//! The interview: each answer from a flag, else from the person, else what is proposed.
//!
//! In:  flags, and a terminal if somebody is there. Out: the [`Answers`], or all flags that are
//! missing at once.

mod application;
mod ports;
mod provider;
mod served;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::application::Application;
pub(super) use self::application::tell_of_variable;
use self::ports::{Taken, usual_page};
use super::arguments::InitArgs;
use super::files::Unwritable;
use super::service::Service;
use super::terminal::{NoAnswer, Question, Terminal};
use crate::cli::Exit;
use crate::config::template::{Choice, Draft, Offer, check_listen_address};
use crate::names::Address;
use crate::provider::GrantKind;
use crate::web::consents::Method;

/// What is known when everything was asked.
pub(super) struct Answers {
    /// What the file says.
    pub(super) draft: Draft,
    /// A client secret that was entered, and the file that it goes to.
    pub(super) secret: Option<(PathBuf, Zeroizing<String>)>,
    /// How the person consents now, if they do.
    pub(super) consent: Option<Method>,
}

/// Why there are no answers.
#[derive(Debug)]
pub(super) enum Stop {
    /// The person ended it, or the terminal is broken.
    NoAnswer(NoAnswer),
    /// A flag says what cannot be.
    Wrong(String),
    /// These flags are missing, and nobody can be asked.
    Missing(Vec<&'static str>),
    /// A file cannot be written.
    Unwritable(Unwritable),
    /// Something that has been told already.
    Told(Exit),
}

impl From<Unwritable> for Stop {
    fn from(error: Unwritable) -> Self {
        Self::Unwritable(error)
    }
}

impl From<NoAnswer> for Stop {
    fn from(none: NoAnswer) -> Self {
        Self::NoAnswer(none)
    }
}

/// An interview that goes on.
pub(super) struct Interview<'a> {
    arguments: &'a InitArgs,
    terminal: Option<Terminal>,
    service: Option<&'a Service>,
    /// The file that will be written.
    output: &'a Path,
    missing: Vec<&'static str>,
}

const NO_CA_FILE: &str = "--ca-file: it is for a provider that --issuer names; a built-in one is \
                          trusted by the certificates of this machine, where that of a proxy that \
                          looks into TLS belongs";

/// Whether none but this machine reaches `address`.
fn is_local(address: &str) -> bool {
    address.starts_with("localhost:")
        || address.parse::<SocketAddr>().is_ok_and(|it| it.ip().is_loopback())
}

/// One thing to know: its flag, and how it is asked.
struct Item<'a> {
    /// The flag's value, if it is given.
    given: Option<&'a str>,
    /// How the flag is told when it is missing.
    flag: &'static str,
    question: Question<'a>,
}

impl<'a> Interview<'a> {
    /// An interview about the file `output` for `service`, with whoever is at `terminal`.
    pub(super) fn new(
        arguments: &'a InitArgs,
        terminal: Option<Terminal>,
        service: Option<&'a Service>,
        output: &'a Path,
    ) -> Self {
        Self { arguments, terminal, service, output, missing: Vec::new() }
    }

    /// Asks everything.
    pub(super) fn hold(mut self) -> Result<Answers, Stop> {
        let page = self.page()?;
        let address = self.address()?;
        let provider = match &address {
            Some(address) => self.provider(address)?,
            None => self.told_provider()?,
        };
        if self.arguments.ca_file.is_some() && matches!(provider, Some(Choice::BuiltIn(_))) {
            return Err(Stop::Wrong(NO_CA_FILE.to_owned()));
        }
        let offer = provider.as_ref().map(Offer::of);
        let application = match (&address, &offer) {
            (Some(address), Some(offer)) => self.application(address, offer)?,
            // Without them nobody knows what is needed; the usual is told at once.
            (None, _) | (_, None) => {
                self.tell_usual();
                None
            }
        };
        let served = match &offer {
            Some(offer) => self.served(offer)?,
            None => None,
        };
        let consent = match (&application, &offer) {
            (Some(application), Some(offer)) => self.consent(application, offer)?,
            (None, _) | (_, None) => None,
        };
        let (Some(address), Some(provider), Some(application), Some(served)) =
            (address, provider, application, served)
        else {
            return Err(Stop::Missing(self.missing));
        };
        if !self.missing.is_empty() {
            return Err(Stop::Missing(self.missing));
        }
        let Application { grant, tenant, client_id, place, key_file, typed } = application;
        let draft = Draft {
            address,
            provider,
            tenant,
            grant,
            client_id,
            secret: place,
            key_file,
            listeners: served.listeners,
            devices: served.devices,
            page,
            store: None,
        };
        Ok(Answers { draft, secret: typed, consent })
    }

    /// The page is for this machine: others need a certificate and a token, which no flag tells.
    fn page(&self) -> Result<String, Stop> {
        let Some(page) = &self.arguments.web else {
            return Ok(usual_page(self.taken()));
        };
        let wrong = |problem: &str| Err(Stop::Wrong(format!("--web: {problem}")));
        match check_listen_address(page) {
            _ if page == "off" => Ok(page.clone()),
            Ok(()) if is_local(page) => Ok(page.clone()),
            Ok(()) => wrong(
                "without a certificate the page is for this machine alone: enter \
                             127.0.0.1:PORT; docs/operation.md says how others see it",
            ),
            Err(problem) => wrong(&format!("{problem}; or off")),
        }
    }

    /// What is done about ports that are taken. A container has ports of its own, and a unit is
    /// there to stay, in the place of whatever was tried before it.
    fn taken(&self) -> Taken {
        let is_new = fs::symlink_metadata(self.output).is_err();
        if is_new && self.service.is_none() { Taken::ByOthers } else { Taken::ByItself }
    }

    fn address(&mut self) -> Result<Option<Address>, Stop> {
        let item = Item {
            given: self.arguments.address.as_deref(),
            flag: "--address ADDRESS",
            question: Question {
                ask: "Address of the mailbox:",
                help: "programs will sign in by it",
                proposal: None,
            },
        };
        self.ask(&item, &|text| {
            Address::parse(&text.to_lowercase()).map_err(|problem| problem.to_string())
        })
    }

    /// Takes what the flag says, or asks, or takes what is proposed; notes that it is missing.
    fn ask<T>(
        &mut self,
        item: &Item<'_>,
        parse: &dyn Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Stop> {
        if let Some(given) = item.given {
            let name = item.flag.split(' ').next().unwrap_or(item.flag);
            let parsed = parse(given).map_err(|problem| Stop::Wrong(format!("{name}: {problem}")));
            return parsed.map(Some);
        }
        let answer = match (self.terminal, item.question.proposal) {
            (Some(terminal), _) => terminal.text(item.question, &|text| parse(text).map(drop))?,
            (None, Some(proposal)) => proposal.to_owned(),
            (None, None) => {
                self.missing.push(item.flag);
                return Ok(None);
            }
        };
        // What was proposed and does not fit is as good as missing.
        match parse(&answer) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => {
                self.missing.push(item.flag);
                Ok(None)
            }
        }
    }

    /// Notes what is missing mostly, where even the provider is not known.
    fn tell_usual(&mut self) {
        let arguments = self.arguments;
        let usual = [
            (arguments.grant.is_none(), "--grant GRANT"),
            (arguments.client_id.is_none() && arguments.key_file.is_none(), "--client-id ID"),
        ];
        self.missing.extend(usual.into_iter().filter(|(lacks, _)| *lacks).map(|(_, flag)| flag));
    }

    /// How the person consents, once the file is there.
    fn consent(
        &mut self,
        application: &Application,
        offer: &Offer,
    ) -> Result<Option<Method>, Stop> {
        let ways = [
            ("browser", Some(Method::Browser), "now, in the browser that opens on this machine"),
            (
                "paste",
                Some(Method::Paste),
                "now, in any browser: open an address there, paste one back",
            ),
            ("device", Some(Method::Device), "now, by a code on another device"),
            ("later", None, "later, by `mailbearer authorize`"),
        ];
        let by_code_alone = application.grant == GrantKind::DeviceCode;
        let is_offered = |method: Option<Method>| match method {
            Some(Method::Device) => offer.has_device_flow,
            Some(Method::Browser | Method::Paste) => !by_code_alone,
            None => true,
        };
        if let Some(given) = &self.arguments.authorize {
            let wrong = |problem: &str| Err(Stop::Wrong(format!("--authorize: {problem}")));
            return match ways.iter().find(|(name, ..)| name == given) {
                None => wrong("say browser, paste, device or later"),
                Some((_, None, _)) => Ok(None),
                Some(_) if !application.grant.is_kept() => wrong(&format!(
                    "nobody consents to a grant of {}: leave it out",
                    application.grant
                )),
                Some(_) if self.service.is_some() => {
                    wrong("the consent is kept where the service runs: leave it out")
                }
                Some((_, method, _)) if is_offered(*method) => Ok(*method),
                Some((_, Some(Method::Device), _)) => {
                    wrong("this provider has no codes for other devices: say browser or paste")
                }
                Some(_) => wrong("a grant of device-code is consented to by device"),
            };
        }
        let is_for_now = application.grant.is_kept() && self.service.is_none();
        let Some(terminal) = self.terminal.filter(|_| is_for_now) else {
            return Ok(None);
        };
        let no_browser = crate::cli::authorize::no_browser().is_some();
        let mut offered: Vec<_> =
            ways.into_iter().filter(|(_, method, _)| is_offered(*method)).collect();
        if no_browser {
            // Who came by SSH has their browser elsewhere.
            offered.sort_by_key(|(_, method, _)| match method {
                Some(Method::Device) => 0,
                Some(Method::Paste) => 1,
                Some(Method::Browser) => 2,
                None => 3,
            });
        }
        let options: Vec<String> = offered.iter().map(|(.., told)| (*told).to_owned()).collect();
        let chosen = terminal.choose("Consent at the provider:", &options, 0)?;
        Ok(offered.get(chosen).and_then(|(_, method, _)| *method))
    }
}
