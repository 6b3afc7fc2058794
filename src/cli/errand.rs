//! An errand: a command that the running relay carries out, or this process if none runs.
//!
//! The relay is asked through `control.sock` in the state directory. If nobody answers there, the
//! store is opened under its lock and the same router answers within this process.

mod door;

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::{Request, header};
use serde::de::DeserializeOwned;

use self::door::Door;
use super::{Exit, check, tell};
use crate::config::{Config, Secrets};
use crate::web::control::{Ask, Failure};
use crate::web::operator::Class;

/// What this process can do where no relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// Open the store and do it.
    DoIt,
    /// Nothing: it is about the relay.
    Fail,
}

/// The configuration by which an errand finds its way.
pub(super) struct Errand {
    path: PathBuf,
    config: Config,
}

impl Errand {
    /// Reads the configuration file `named`, or the one that is found; tells what is wrong with it.
    ///
    /// # Errors
    /// The exit code, when there is no file or it has problems.
    pub(super) fn load(named: Option<PathBuf>) -> Result<Self, Exit> {
        let (path, config) = check::load(named, Secrets::Leave)?;
        Ok(Self { path, config })
    }

    /// What the file says.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Has `ask` carried out; tells why it was not.
    ///
    /// # Errors
    /// The exit code, when it was not.
    pub(super) fn carry_out<A: Ask>(&self, ask: &A, alone: Alone) -> Result<A::Answer, Exit> {
        let outcome = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failure(format!("no runtime can be started ({error})")))
            .and_then(|runtime| runtime.block_on(self.ask(ask, alone)));
        outcome.map_err(|failure| {
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

    async fn ask<A: Ask>(&self, ask: &A, alone: Alone) -> Result<A::Answer, Failure> {
        let unreadable = |error| failure(format!("the request cannot be written ({error})"));
        let body = serde_json::to_vec(ask).map_err(unreadable)?;
        let request = Request::post(A::PATH)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| failure(format!("the request cannot be written ({error})")))?;
        let door = Door::find(&self.path, &self.config, alone).await?;
        let (is_done, body) = door.send(request).await?;
        if is_done { parse(&body) } else { Err(parse(&body)?) }
    }

    /// The directory where the store lies, and the control socket.
    fn state_directory(config: &Config) -> &Path {
        let parent = config.store.path.parent();
        parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
