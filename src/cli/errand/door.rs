//! Who carries an errand out: the relay behind the control socket, or a router of this process.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response};
use hyper::body::{Body as _, Frame};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tower::ServiceExt as _;

use super::{Errand, failure};
use crate::account::directory::Directory;
use crate::account::password::Passwords;
use crate::cli::owner;
use crate::config::Config;
use crate::oauth::Tokens;
use crate::relay::online::Online;
use crate::store::{Purpose, Store, StoreError, StoreSettings};
use crate::web::consents::Consents;
use crate::web::control::{Failure, SOCKET, router};
use crate::web::operator::{Class, Operator, OperatorError};

/// How long a relay may take to answer. The longest it does is a walk of `check --online`, of some
/// 55 s at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a relay may take to tell all of something. It ends a connection after 90 s.
const TELLING_TIMEOUT: Duration = Duration::from_secs(95);

/// Longest answer, in bytes: the rows of some ten thousand accounts.
const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;

/// How long a store is waited for that another process has: a command is done in less, and a relay
/// that starts opens its socket in less.
const IN_USE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it is left alone between two tries.
const IN_USE_PAUSE: Duration = Duration::from_millis(100);

/// Who carries it out.
#[derive(Debug)]
pub(super) enum Door {
    /// The relay.
    Relay(Relay),
    /// This process.
    Here(Router),
}

/// The relay behind its socket, which serves one request on each connection.
#[derive(Debug)]
pub(super) struct Relay {
    socket: PathBuf,
    /// The connection that nothing was sent on yet.
    stream: Option<UnixStream>,
}

impl Door {
    /// Knocks at the socket in the state directory of the file `path`; opens the store where nobody
    /// answers and the errand can be done `alone`, with that configuration.
    pub(super) async fn find(
        path: &Path,
        store: &StoreSettings,
        alone: Option<&Config>,
    ) -> Result<Self, Failure> {
        let deadline = Instant::now() + IN_USE_TIMEOUT;
        let directory = Errand::state_directory(store);
        let socket = directory.join(SOCKET);
        loop {
            let is_busy = match knock(&socket).await {
                Ok(Some(stream)) => return Ok(Self::Relay(Relay { socket, stream: Some(stream) })),
                Ok(None) => {
                    let Some(config) = alone else { return Err(no_relay(directory)) };
                    match here(path, config) {
                        Err(OperatorError::Store(StoreError::InUse { .. })) => false,
                        Err(error) => return Err(Failure::new(&error)),
                        Ok(operator) => return Ok(Self::Here(router(operator))),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(not_permitted(path, directory));
                }
                Err(error) => {
                    let error = format!("{} cannot be used ({error})", socket.display());
                    return Err(failure(error));
                }
            };
            if Instant::now() >= deadline {
                return Err(in_use(directory, is_busy));
            }
            sleep(IN_USE_PAUSE).await;
        }
    }

    /// Has `request` answered; gives whether it was done, and the answer.
    ///
    /// This process takes the time it takes: whatever it does has its own bounds, and a refresh
    /// token that is on its way must be awaited.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<(bool, Bytes), Failure> {
        let deadline = self.deadline(ANSWER_TIMEOUT);
        let answer = async {
            let response = self.begin(request).await?;
            read(response).await.map_err(|error| unanswered(&error))
        };
        until(deadline, answer).await
    }

    /// Has `request` answered whose answer is told line by line, each of which `hears` as it comes.
    ///
    /// # Errors
    /// When it was not sent, or broke off. What it tells itself is no error here.
    pub(super) async fn listen(
        &mut self,
        request: Request<Body>,
        mut hears: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let deadline = self.deadline(TELLING_TIMEOUT);
        let telling = async {
            let mut body = self.begin(request).await?.into_body();
            let mut heard = Vec::new();
            while let Some(frame) = next_frame(&mut body).await {
                let frame = frame.map_err(|error| unanswered(&error))?;
                heard.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                if heard.len() > ANSWER_LEN_MAX {
                    return Err(unanswered(&"it is too long"));
                }
                while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
                    hears(heard.get(..end).unwrap_or_default());
                    heard.drain(..=end);
                }
            }
            // A refusal of the request itself is one object without an end.
            if !heard.is_empty() {
                hears(&heard);
            }
            Ok(())
        };
        until(deadline, telling).await
    }

    /// Until when the relay is waited for. This process has no such moment.
    fn deadline(&self, patience: Duration) -> Option<Instant> {
        matches!(self, Self::Relay(_)).then(|| Instant::now() + patience)
    }

    async fn begin(&mut self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let stream = match self {
            Self::Relay(relay) => relay.connected().await?,
            Self::Here(router) => {
                let answering = router.clone().oneshot(request);
                return answering.await.map_err(|never| match never {});
            }
        };
        let answer = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the answer, or with the runtime.
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        let response = answer.await.map_err(|error| unanswered(&error))?;
        Ok(response.map(Body::new))
    }
}

impl Relay {
    /// A connection for the next request. Nothing of the visit is known to a relay that was started
    /// since, and nobody does it instead.
    async fn connected(&mut self) -> Result<UnixStream, Failure> {
        if let Some(stream) = self.stream.take() {
            return Ok(stream);
        }
        let gone = |why: &dyn fmt::Display| Failure {
            error: format!(
                "the running relay answers no more at {} ({why})",
                self.socket.display()
            ),
            fix: "see its log, and begin again".to_owned(),
            // Nothing of this request was sent.
            exit: Class::TryLater,
        };
        let stream = knock(&self.socket).await.map_err(|error| gone(&error))?;
        stream.ok_or_else(|| gone(&"nobody listens there"))
    }
}

/// Waits until `deadline`, if there is one.
async fn until<T>(
    deadline: Option<Instant>,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match deadline {
        Some(deadline) => timeout_at(deadline, answer).await.map_err(|late| unanswered(&late))?,
        None => answer.await,
    }
}

/// The next piece of `body`; none at its end.
async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

async fn read(response: Response<Body>) -> Result<(bool, Bytes), axum::Error> {
    let is_done = response.status().is_success();
    Ok((is_done, to_bytes(response.into_body(), ANSWER_LEN_MAX).await?))
}

/// The relay did not answer to the end.
fn unanswered(error: &dyn fmt::Display) -> Failure {
    Failure {
        error: format!("the running relay gave no answer ({error}), so what it did is not known"),
        fix: "see its log and `mailbearer accounts` before repeating the command".to_owned(),
        exit: Class::Failed,
    }
}

/// The same of a request that does nothing itself: a relay that ends may close its socket between
/// question and answer, and nothing is in doubt then.
pub(super) fn unanswered_look(failure: Failure) -> Failure {
    if matches!(failure.exit, Class::TryLater) {
        return failure;
    }
    Failure {
        error: "the running relay answers no more".to_owned(),
        fix: "see its log, and begin again".to_owned(),
        exit: Class::TryLater,
    }
}

/// Whether a relay listens at the socket, and this user may ask it. One that is busy counts.
pub(super) async fn is_open(socket: &Path) -> bool {
    match knock(socket).await {
        Ok(stream) => stream.is_some(),
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Connects to the socket; `None` where nobody listens.
async fn knock(socket: &Path) -> io::Result<Option<UnixStream>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => {
            let nobody = [
                io::ErrorKind::NotFound,
                io::ErrorKind::NotADirectory,
                // Left behind by a relay that was killed.
                io::ErrorKind::ConnectionRefused,
                // Its path is too long for a socket, so no relay has made one.
                io::ErrorKind::InvalidInput,
            ];
            return if nobody.contains(&error.kind()) { Ok(None) } else { Err(error) };
        }
    };
    // A password or a refresh token is not told to whomever happens to listen there.
    let (own, peer) = (geteuid().as_raw(), stream.peer_cred()?.uid());
    if own != 0 && peer != own && peer != 0 {
        return Err(io::Error::other("a process of another user listens there"));
    }
    Ok(Some(stream))
}

/// The parts that the errand needs, made in this process.
fn here(path: &Path, config: &Config) -> Result<Operator, OperatorError> {
    let store = open(path, config)?;
    let directory = Arc::new(Directory::new(config.accounts.clone(), config.devices.clone()));
    // Nobody changes the accounts of a command, so nobody keeps the sending half.
    let (_, directory) = watch::channel(directory);
    let tokens = Tokens::new(store.clone());
    let egress = Arc::new(config.egress.clone());
    tokens.leave_by(Arc::clone(&egress));
    Ok(Operator {
        online: Online::alone(tokens.clone(), egress),
        tokens,
        passwords: Arc::new(Passwords::new(store.clone())?),
        store,
        directory,
        consents: Consents::new(config.web.public_url.clone()),
        serving: None,
    })
}

/// Opens the store of `config` under its lock.
fn open(path: &Path, config: &Config) -> Result<Store, StoreError> {
    Store::open(&config.store, &Purpose::Command { line: owner::command_line(path) })
}

fn no_relay(directory: &Path) -> Failure {
    let directory = absolute(directory);
    let directory = directory.display();
    Failure {
        error: format!("no running relay answers at {directory}/{SOCKET}"),
        fix: format!(
            "start `mailbearer serve`; if it runs, it has another state directory (see \
             `store.path`), or no control socket because it cannot write {directory}: mount or \
             make that so that it can"
        ),
        exit: Class::Failed,
    }
}

fn not_permitted(path: &Path, directory: &Path) -> Failure {
    let fix = owner::sudo_line(directory, path).map_or_else(
        || format!("run `{}` as the user that mailbearer runs as", owner::command_line(path)),
        |line| format!("run `{line}`"),
    );
    let error = format!("{} is not open to this user", absolute(directory).display());
    Failure { error, fix, exit: Class::Failed }
}

fn in_use(directory: &Path, is_busy: bool) -> Failure {
    let directory = absolute(directory);
    let directory = directory.display();
    let (error, fix) = if is_busy {
        (format!("the relay at {directory}/{SOCKET} is busy"), "try again")
    } else {
        (
            format!("another mailbearer uses {directory} and does not answer at {SOCKET}"),
            "try again once it has ended or started",
        )
    };
    Failure { error, fix: fix.to_owned(), exit: Class::TryLater }
}

/// `directory` as it is told: `.` alone says little to whoever reads a log.
fn absolute(directory: &Path) -> PathBuf {
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}
