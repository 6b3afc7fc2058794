//! The socket itself: who may connect, how many at once, and for how long.
//!
//! Limits: [`CONNECTIONS_MAX`] at once, further ones wait in the system's queue; one request each;
//!         its header within [`HEADER_TIMEOUT`], all of it within [`CONNECTION_TIMEOUT`].

#[cfg(test)]
mod tests;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{SOCKET, about, router};
use crate::web::consents::QUESTIONS_MAX;
use crate::web::http::answer;
use crate::web::operator::Operator;

/// How many connections are served at once: some scripts' worth. An idle one ends soon.
const CONNECTIONS_MAX: usize = 32;

const _: () =
    assert!(QUESTIONS_MAX * 2 <= CONNECTIONS_MAX, "questions that wait leave half of them");

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// How long a request's header may take to come. It comes from this machine, in one write.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last: a command waits for 60 s for its answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(90);

/// How long requests may go on once the relay has stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long nothing is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound socket. Its file goes when this does.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The configuration file of the relay, where it has one.
    file: Option<Arc<PathBuf>>,
    /// Whether a process of this user may ask.
    admits: fn(u32) -> bool,
}

/// Binds `control.sock` in `directory`, readable and writable for the owner alone.
///
/// A socket that an earlier process left behind is replaced: the caller holds the lock of the
/// store that lies there, so nobody else serves. Anything else of that name stays.
///
/// # Errors
/// When it cannot be made; the error names the path.
pub fn bind(directory: &Path) -> io::Result<ControlSocket> {
    let path = directory.join(SOCKET);
    let listener = bind_at(&path).map_err(|error| {
        io::Error::new(error.kind(), format!("{} cannot be made ({error})", path.display()))
    })?;
    Ok(ControlSocket { listener, path, file: None, admits: is_owner_or_root })
}

impl ControlSocket {
    /// The same for a relay that was started with `file`: requests about another one are refused.
    #[must_use]
    pub fn about(mut self, file: Option<PathBuf>) -> Self {
        self.file = file.map(Arc::new);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers by `operator` until `stop`, then lets the requests that run end. The file is gone
    /// when this returns.
    pub async fn serve(self, operator: Operator, stop: CancellationToken) {
        let mut router = router(operator);
        if let Some(file) = &self.file {
            router = router.layer(from_fn_with_state(Arc::clone(file), about::check));
        }
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        while let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
            while connections.try_join_next().is_some() {}
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else {
                break;
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(error = error.to_string(), "control socket accepts nobody");
                    stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
                    continue;
                }
            };
            if self.admits(&stream) {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, router, stop).await;
                    drop(place);
                });
            }
        }
        drop(self);
        let _ =
            timeout(STOP_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await; // whoever is late is cut off
    }

    /// Whether the process at the other end may ask. One that may not is cut off: it could not
    /// even connect if the permissions of the socket and its directory were as they were made.
    fn admits(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if (self.admits)(peer.uid()) => true,
            Ok(peer) => {
                warn!(uid = peer.uid(), "control socket refused a process of another user");
                false
            }
            Err(error) => {
                warn!(error = error.to_string(), "control socket refused a nameless process");
                false
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What cannot be removed is replaced at the next start.
        let _ = remove_socket(&self.path);
    }
}

/// Serves one request.
async fn converse(stream: UnixStream, router: Router, stop: CancellationToken) {
    match timeout(CONNECTION_TIMEOUT, answer(stream, router, HEADER_TIMEOUT, stop)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(error, "control socket lost a connection"),
        Err(_) => debug!("control socket cut off a connection that lasted too long"),
    }
}

fn is_owner_or_root(uid: u32) -> bool {
    uid == geteuid().as_raw() || uid == 0
}

fn bind_at(path: &Path) -> io::Result<UnixListener> {
    let address = SockAddr::unix(path).map_err(|_| {
        let problem = "a socket's path has at most 107 bytes: choose a shorter `store.path`";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !remove_socket(path)? {
                let problem = "another file has that name: move it away";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
            }
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // Nobody can connect before it listens, so nobody does with wider permissions.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(
        socket,
    )))
}

/// Removes the file at `path` if it is a socket; gives whether nothing is there now.
fn remove_socket(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => fs::remove_file(path).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
