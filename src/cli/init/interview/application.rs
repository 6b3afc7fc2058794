//! The application at the provider: how it gets tokens, and what it shows for them.

use std::path::{Path, PathBuf, absolute};

use zeroize::Zeroizing;

use super::{Interview, Item, Stop};
use crate::cli::init::service::Service;
use crate::cli::init::terminal::{Question, Terminal};
use crate::cli::{line, tell};
use crate::config::template::{
    Offer, Place, check_client_id, check_key_file, check_secret, check_tenant, variable,
};
use crate::names::Address;
use crate::provider::GrantKind;

/// The application, as far as the file names it.
pub(super) struct Application {
    pub(super) grant: GrantKind,
    pub(super) tenant: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) place: Option<Place>,
    pub(super) key_file: Option<PathBuf>,
    /// A secret that was entered, and the file that it goes to.
    pub(super) typed: Option<(PathBuf, Zeroizing<String>)>,
}

/// Where a secret is, and what is to be written there.
type Secret = (Place, Option<(PathBuf, Zeroizing<String>)>);

/// Longest secret on standard input, in bytes: what a file of secrets may have.
const SECRET_LEN_MAX: usize = 65_536;

impl Interview<'_> {
    /// The application for `address` at a provider that has the `offer`; nothing if flags are
    /// missing.
    pub(super) fn application(
        &mut self,
        address: &Address,
        offer: &Offer,
    ) -> Result<Option<Application>, Stop> {
        let Some(grant) = self.grant(offer)? else {
            self.missing.extend(self.arguments.client_id.is_none().then_some("--client-id ID"));
            return Ok(None);
        };
        self.refuse_unfit(grant, offer)?;
        if grant == GrantKind::ServiceAccount {
            let key_file = self.key_file()?;
            let application = key_file.map(|key_file| Application {
                grant,
                tenant: None,
                client_id: None,
                place: None,
                key_file: Some(key_file),
                typed: None,
            });
            return Ok(application);
        }
        let tenant = if offer.takes_tenant { self.tenant(address, grant)? } else { None };
        let client_id = self.client_id(offer)?;
        let is_needed = offer.always_secret || grant == GrantKind::ClientCredentials;
        let secret = self.secret(offer, is_needed)?;
        let (place, typed) = secret.map_or((None, None), |(place, typed)| (Some(place), typed));
        let Some(client_id) = client_id else { return Ok(None) };
        let client_id = Some(client_id);
        Ok(Some(Application { grant, tenant, client_id, place, key_file: None, typed }))
    }

    /// Refuses flags that say something of another grant or provider: who told them believes that
    /// they count.
    fn refuse_unfit(&self, grant: GrantKind, offer: &Offer) -> Result<(), Stop> {
        let arguments = self.arguments;
        let is_service_account = grant == GrantKind::ServiceAccount;
        let has_secret = arguments.client_secret_env.is_some()
            || arguments.client_secret_file.is_some()
            || arguments.client_secret_stdin;
        for (is_told, flag, fits) in [
            (arguments.tenant.is_some(), "--tenant", offer.takes_tenant && !is_service_account),
            (arguments.key_file.is_some(), "--key-file", is_service_account),
            (arguments.client_id.is_some(), "--client-id", !is_service_account),
            (has_secret, "--client-secret-env, -file or -stdin", !is_service_account),
        ] {
            if is_told && !fits {
                return Err(Stop::Wrong(format!(
                    "{flag}: a grant of {grant} at this provider has none: leave it out"
                )));
            }
        }
        Ok(())
    }

    fn grant(&mut self, offer: &Offer) -> Result<Option<GrantKind>, Stop> {
        let told = offer.grants.iter().map(|grant| grant.name()).collect::<Vec<_>>().join(", ");
        if let Some(given) = &self.arguments.grant {
            let grant = offer.grants.iter().find(|grant| grant.name() == given).copied();
            return grant.map(Some).ok_or_else(|| {
                Stop::Wrong(format!(
                    "--grant: at this provider say one of {told}; the README has an example of each \
                     other one"
                ))
            });
        }
        // A person who consents may do so by a code as well, so that is no question of its own.
        let asked: Vec<GrantKind> =
            offer.grants.iter().copied().filter(|it| *it != GrantKind::DeviceCode).collect();
        match (self.terminal, asked.as_slice()) {
            (_, [only]) => Ok(Some(*only)),
            (None, _) => {
                self.missing.push("--grant GRANT");
                Ok(None)
            }
            (Some(terminal), _) => {
                let options: Vec<String> = asked.iter().map(|it| described(*it)).collect();
                let chosen = terminal.choose("Who opens the mailbox?", &options, 0)?;
                Ok(asked.get(chosen).copied())
            }
        }
    }

    fn tenant(&mut self, address: &Address, grant: GrantKind) -> Result<Option<String>, Stop> {
        let item = Item {
            given: self.arguments.tenant.as_deref(),
            flag: "--tenant TENANT",
            question: Question {
                ask: "Tenant of Microsoft Entra:",
                help: "the directory (tenant) ID, or a domain of the organisation",
                proposal: Some(address.domain()),
            },
        };
        self.ask(&item, &|text| check_tenant(text, grant).map(|()| text.to_owned()))
    }

    fn client_id(&mut self, offer: &Offer) -> Result<Option<String>, Stop> {
        let item = Item {
            given: self.arguments.client_id.as_deref(),
            flag: "--client-id ID",
            question: Question {
                ask: "Application (client) ID:",
                help: "of the registration at the provider; docs/providers says how to get one",
                proposal: None,
            },
        };
        self.ask(&item, &|text| check_client_id(text, offer.is_entra).map(|()| text.to_owned()))
    }

    /// The client secret by flag, or as it is entered; none where there is none.
    fn secret(&mut self, offer: &Offer, is_needed: bool) -> Result<Option<Secret>, Stop> {
        let arguments = self.arguments;
        if let Some(name) = &arguments.client_secret_env {
            let name = self
                .variable(name)
                .map_err(|problem| Stop::Wrong(format!("--client-secret-env: {problem}")))?;
            return Ok(Some((Place::Variable(name), None)));
        }
        if let Some(path) = &arguments.client_secret_file {
            return Ok(Some((Place::File(readable("--client-secret-file", path)?), None)));
        }
        let check = |text: &str| check_secret(text, offer.is_entra);
        if arguments.client_secret_stdin {
            let wrong = |problem| Stop::Wrong(format!("--client-secret-stdin: {problem}"));
            let text = match Terminal::at_input() {
                // It must not stand on the screen.
                Some(terminal) => {
                    let help = "not shown; kept in a file for you alone";
                    let question = Question { ask: "Client secret:", help, proposal: None };
                    terminal.secret(question, &check)?
                }
                None => piped().map_err(wrong)?,
            };
            check(&text).map_err(wrong)?;
            return Ok(Some(self.kept(text)));
        }
        let Some(terminal) = self.terminal else {
            if is_needed {
                self.missing.push(
                    "--client-secret-env NAME, --client-secret-file FILE or --client-secret-stdin",
                );
            }
            return Ok(None);
        };
        let help = if is_needed {
            "not shown; kept in a file for you alone. Empty: it is elsewhere"
        } else {
            "not shown; kept in a file for you alone. Empty: the registration has none"
        };
        let question = Question { ask: "Client secret:", help, proposal: None };
        let typed = terminal
            .secret(question, &|text| if text.is_empty() { Ok(()) } else { check(text) })?;
        if !typed.is_empty() {
            return Ok(Some(self.kept(typed)));
        }
        if !is_needed {
            return Ok(None);
        }
        let question = Question {
            ask: "Where the client secret is:",
            help: "the path of a file, or $NAME for a variable of the environment",
            proposal: None,
        };
        let place = terminal.text(question, &|text| self.place(text).map(drop))?;
        let place = self.place(&place).map_err(Stop::Wrong)?;
        Ok(Some((place, None)))
    }

    /// `$NAME`, or the path of a file that is there.
    fn place(&self, text: &str) -> Result<Place, String> {
        match text.strip_prefix('$') {
            Some(name) => self.variable(name).map(Place::Variable),
            None => is_readable(Path::new(text)).map(Place::File),
        }
    }

    /// A variable that whoever runs `serve` can have.
    fn variable(&self, name: &str) -> Result<String, String> {
        let name = variable(name)?;
        self.service.map_or(Ok(()), Service::check_variable)?;
        Ok(name)
    }

    /// A secret that goes to a file beside the one that is written.
    fn kept(&self, secret: Zeroizing<String>) -> Secret {
        let stem = self.output.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = PathBuf::from(format!("{stem}.client-secret"));
        let path = self.output.with_file_name(&name);
        (Place::File(name), Some((path, secret)))
    }

    fn key_file(&mut self) -> Result<Option<PathBuf>, Stop> {
        if let Some(path) = &self.arguments.key_file {
            let wrong = |problem| Stop::Wrong(format!("--key-file: {problem}"));
            return key_file(path).map(Some).map_err(wrong);
        }
        let item = Item {
            given: None,
            flag: "--key-file FILE",
            question: Question {
                ask: "JSON file of the service account:",
                help: "as Google made it; docs/providers/google.md says how to get one",
                proposal: None,
            },
        };
        self.ask(&item, &|text| key_file(Path::new(text)))
    }
}

/// What a grant is for somebody who has to choose one.
fn described(grant: GrantKind) -> String {
    match grant {
        GrantKind::AuthorizationCode => "a person, who signs in at the provider once",
        GrantKind::DeviceCode => "a person, by a code on another device",
        GrantKind::ClientCredentials => {
            "an application with a permission of its own: nobody signs in"
        }
        GrantKind::ServiceAccount => "a service account of Google Workspace: nobody signs in",
        GrantKind::Password
        | GrantKind::WorkloadIdentity
        | GrantKind::ManagedIdentity
        | GrantKind::Command => grant.name(),
    }
    .to_owned()
}

/// The secret on standard input, which is no terminal.
fn piped() -> Result<Zeroizing<String>, String> {
    let line = line::read(std::io::stdin().lock(), SECRET_LEN_MAX)
        .map_err(|error| format!("standard input cannot be read ({error})"))?;
    if line.len() > SECRET_LEN_MAX {
        return Err("the line is longer than 65,536 bytes, which no client secret is".to_owned());
    }
    let text = std::str::from_utf8(&line);
    let text = text.map_err(|_| "the line is no UTF-8, so it is no client secret".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A service account's key that can sign, as `check` has it.
fn key_file(path: &Path) -> Result<PathBuf, String> {
    let path = is_readable(path)?;
    check_key_file(&path)?;
    Ok(path)
}

fn readable(flag: &str, path: &Path) -> Result<PathBuf, Stop> {
    is_readable(path).map_err(|problem| Stop::Wrong(format!("{flag}: {problem}")))
}

/// The file as it is found from anywhere: what the configuration names is relative to itself.
fn is_readable(path: &Path) -> Result<PathBuf, String> {
    if path.to_str().is_none() {
        return Err("enter a path in UTF-8: no other can stand in the configuration".to_owned());
    }
    let is_file = std::fs::File::open(path).and_then(|file| file.metadata());
    match is_file {
        Ok(metadata) if metadata.is_file() => {
            absolute(path).map_err(|error| format!("enter the path of a file ({error})"))
        }
        Ok(_) => Err("enter the path of a file, not of a directory".to_owned()),
        Err(error) => Err(format!("enter the path of a file that can be read ({error})")),
    }
}

/// Tells of a variable that the file names and that is not set here.
pub(in crate::cli::init) fn tell_of_variable(place: Option<&Place>) -> bool {
    match place {
        Some(Place::Variable(name)) if std::env::var_os(name).is_none() => {
            tell(format_args!("{name} is not set here: export it before `mailbearer serve`"));
            true
        }
        Some(Place::Variable(_) | Place::File(_)) | None => false,
    }
}
