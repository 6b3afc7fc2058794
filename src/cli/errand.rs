//! An errand: a command that the running relay carries out, or this process if none runs.
//!
//! Several requests that belong together are a [`Visit`]: one relay, or one router of this process
//! and one lock on the store, answers all of them.
//!
//! The relay is asked through `control.sock` in the state directory. If nobody answers there, the
//! store is opened under its lock and the same router answers within this process.

mod door;

use std::fmt;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::door::Door;
use super::{Exit, check, tell};
use crate::account::AccountSettings;
use crate::config::{Config, Secrets};
use crate::relay::ListenerSettings;
use crate::store::StoreSettings;
use crate::web::control::{Ask, CheckHealth, FILE, Failure, SOCKET, Telling, Told, named};
use crate::web::operator::Class;

/// Whoever carries an errand out, for as long as it takes.
pub(super) struct Visit {
    door: Door,
    /// What tells a relay which file this is about.
    file: Option<HeaderValue>,
}

/// The way to whoever carries an errand out.
pub(super) struct Errand {
    path: PathBuf,
    store: StoreSettings,
    /// What this process needs to do it where no relay runs; nothing if it is about the relay.
    alone: Option<Config>,
}

impl Errand {
    /// An errand that this process can do alone. Reads the configuration file `named`, or the one
    /// that is found; tells what is wrong with it.
    ///
    /// # Errors
    /// The exit code, when there is no file or it has problems.
    pub(super) fn load(named: Option<PathBuf>) -> Result<Self, Exit> {
        let (path, config) = check::load(named, Secrets::Leave)?;
        Ok(Self { path, store: config.store.clone(), alone: Some(config) })
    }

    /// An errand to the running relay. Whatever else is wrong with the file, the relay runs with
    /// what it has read, so `[store]` alone is looked at.
    ///
    /// # Errors
    /// The exit code, when there is no file or that table has problems.
    pub(super) fn to_relay(named: Option<PathBuf>) -> Result<Self, Exit> {
        let (path, store) = check::load_store(named)?;
        Ok(Self { path, store, alone: None })
    }

    /// Whether a relay runs on the state directory of `store` that was started with another file than
    /// `path`, as far as this user can see.
    pub(super) fn is_of_another(path: &Path, store: &StoreSettings) -> bool {
        let errand = Self { path: path.to_owned(), store: store.clone(), alone: None };
        let health = errand.attempt(async |visit| visit.ask(&CheckHealth {}).await);
        // How a relay is has nothing to do with its configuration; that it is another's has.
        health.is_err_and(|failure| failure.exit == Class::Configuration)
    }

    /// Whether a relay listens at the control socket, as far as this user can see.
    pub(super) fn finds_relay(&self) -> bool {
        let socket = Self::state_directory(&self.store).join(SOCKET);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.is_ok_and(|runtime| runtime.block_on(door::is_open(&socket)))
    }

    /// The file, where it was read.
    pub(super) fn file(&self) -> Option<(&Path, &Config)> {
        Some((&self.path, self.alone.as_ref()?))
    }

    /// The listeners of the file, where it was read.
    pub(super) fn listeners(&self) -> &[ListenerSettings] {
        self.alone.as_ref().map_or(&[], |config| &config.listeners)
    }

    /// The accounts of the file, where it was read.
    pub(super) fn accounts(&self) -> &[AccountSettings] {
        self.alone.as_ref().map_or(&[], |config| &config.accounts)
    }

    /// Has `ask` carried out; tells why it was not.
    ///
    /// # Errors
    /// The exit code, when it was not.
    pub(super) fn carry_out<A: Ask>(&self, ask: &A) -> Result<A::Answer, Exit> {
        self.visit(async |visit| visit.ask(ask).await)
    }

    /// Has what belongs together carried out; tells why it was not.
    ///
    /// # Errors
    /// The exit code, when it was not.
    pub(super) fn visit<T>(
        &self,
        asking: impl AsyncFnOnce(&mut Visit) -> Result<T, Failure>,
    ) -> Result<T, Exit> {
        self.attempt(asking).map_err(|failure| {
            tell(&failure);
            if !failure.fix.is_empty() {
                tell(format_args!("  {}", failure.fix));
            }
            match failure.exit {
                Class::Failed => Exit::Failed,
                Class::Usage => Exit::Usage,
                Class::TryLater => Exit::TryLater,
                Class::Configuration => Exit::Config,
            }
        })
    }

    fn attempt<T>(
        &self,
        asking: impl AsyncFnOnce(&mut Visit) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| failure(format!("no runtime can be started ({error})")))?;
        runtime.block_on(async {
            let door = Door::find(&self.path, &self.store, self.alone.as_ref()).await?;
            asking(&mut Visit { door, file: named(&self.path) }).await
        })
    }

    /// The directory where the store lies, and the control socket.
    fn state_directory(store: &StoreSettings) -> &Path {
        let parent = store.path.parent();
        parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl Visit {
    /// One of `router`, which stands for whoever carries errands out.
    #[cfg(test)]
    pub(super) fn to(router: axum::Router) -> Self {
        Self { door: Door::Here(router), file: None }
    }

    /// Has `ask` carried out.
    ///
    /// # Errors
    /// When it was not.
    pub(super) async fn ask<A: Ask>(&mut self, ask: &A) -> Result<A::Answer, Failure> {
        let request = request(A::PATH, ask, self.file.clone())?;
        let answered = self.door.send(request).await;
        let (is_done, body) =
            if A::IS_LOOK { answered.map_err(door::unanswered_look) } else { answered }?;
        if is_done { parse(&body) } else { Err(parse(&body)?) }
    }

    /// Has `ask` carried out; what it tells meanwhile `hears` as it happens.
    ///
    /// # Errors
    /// When it was not.
    pub(super) async fn listen<T: Telling>(
        &mut self,
        ask: &T,
        mut hears: impl FnMut(T::Line),
    ) -> Result<T::Answer, Failure> {
        let mut ended = None;
        let hears = |line: &[u8]| match parse(line) {
            Ok(Told::Line(line)) => hears(line),
            Ok(Told::Done(answer)) => ended = Some(Ok(answer)),
            Ok(Told::Failed(failure)) => ended = Some(Err(failure)),
            // A refusal of the request itself, or what this program does not know.
            Err(unknown) => ended = Some(Err(parse::<Failure>(line).unwrap_or(unknown))),
        };
        let request = request(T::PATH, ask, self.file.clone())?;
        self.door.listen(request, hears).await?;
        ended.unwrap_or_else(|| Err(broken_off()))
    }

    /// Whether a relay answers that runs.
    pub(super) fn is_at_relay(&self) -> bool {
        matches!(self.door, Door::Relay(_))
    }
}

/// The request to `path` that says `ask`, about `file`.
fn request(
    path: &str,
    ask: &impl Serialize,
    file: Option<HeaderValue>,
) -> Result<Request<Body>, Failure> {
    let unwritable =
        |error: &dyn fmt::Display| failure(format!("the request cannot be written ({error})"));
    let body = serde_json::to_vec(ask).map_err(|error| unwritable(&error))?;
    let mut request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|error| unwritable(&error))?;
    if let Some(file) = file {
        request.headers_mut().insert(FILE, file);
    }
    Ok(request)
}

fn broken_off() -> Failure {
    Failure {
        error: "the running relay broke off in the middle, so what it did is not known".to_owned(),
        fix: "see its log before repeating the command".to_owned(),
        exit: Class::Failed,
    }
}

/// Reads an answer, of which nothing is repeated: it may hold a secret.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure {
        error: "the running relay gives an answer that this program does not know".to_owned(),
        fix: "use the program of the same version, or start the relay again with this one"
            .to_owned(),
        exit: Class::Failed,
    })
}

fn failure(error: String) -> Failure {
    Failure { error, fix: String::new(), exit: Class::Failed }
}
