//! Unix sockets to listen on: made for owner and group, and removed with the socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::BACKLOG;
use super::socket::ListenSocket;

/// Who may connect: the owner, and whom the administrator puts into the group.
const MODE: u32 = 0o660;

/// Why there is no socket at a path.
#[derive(Debug, thiserror::Error)]
pub enum UnixListenError {
    /// Another process listens there.
    #[error("unix:{} is served by another process: stop it or choose another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// What lies there is not ours to remove.
    #[error("{} is there, and is no socket: move it away or choose another path", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses it.
    #[error(
        "unix:{} cannot be listened on ({source}): let the directory exist, and this user write in it",
        path.display()
    )]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The file of a socket that this process has made. It goes when this does, unless another one has
/// taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

/// Whether the path of a unix socket may be as long as `path` is on this system.
pub fn fits(path: &Path) -> bool {
    SockAddr::unix(path).is_ok()
}

/// Listens at `path`, where what a dead process left behind is replaced.
///
/// # Errors
/// When somebody listens there, something else lies there, or the system refuses it.
pub fn bind(path: &Path) -> Result<ListenSocket, UnixListenError> {
    let failed = |source| UnixListenError::Io { path: path.into(), source };
    let address = SockAddr::unix(path).map_err(failed)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_dead(path, &address)?;
            socket.bind(&address).map_err(failed)?;
        }
        bound => bound.map_err(failed)?,
    }
    let file = SocketFile { path: path.into(), identity: identity(path) };
    // Nobody can connect before it listens, so at no time more may than the mode says.
    let listening = fs::set_permissions(path, Permissions::from_mode(MODE))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| UnixListener::from_std(socket.into()));
    Ok(ListenSocket::Unix(listening.map_err(failed)?, Some(file)))
}

/// Removes the socket at `path` if nobody listens there any more.
fn remove_dead(path: &Path, address: &SockAddr) -> Result<(), UnixListenError> {
    let failed = |source| UnixListenError::Io { path: path.into(), source };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(UnixListenError::NoSocket { path: path.into() });
    }
    let caller = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // One whose queue is full would have us wait, and is alive.
    caller.set_nonblocking(true).map_err(failed)?;
    match caller.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        Ok(()) | Err(_) => Err(UnixListenError::InUse { path: path.into() }),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // If it stays, the next start finds nobody behind it and replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_owner_and_group_and_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imap.sock");
        let socket = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_without_a_process_is_replaced_and_a_live_one_and_a_file_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imap.sock");
        // The standard library leaves the file behind, as a killed process does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = bind(&path).unwrap();
        let told = bind(&path).unwrap_err();
        assert!(matches!(told, UnixListenError::InUse { .. }), "{told}");
        UnixStream::connect(&path).unwrap();
        drop(socket);
        fs::write(&path, "mine").unwrap();
        let told = bind(&path).unwrap_err();
        assert!(matches!(told, UnixListenError::NoSocket { .. }), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_socket_whose_queue_is_full_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imap.sock");
        let address = SockAddr::unix(&path).unwrap();
        let full = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        full.bind(&address).unwrap();
        full.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert!(matches!(bind(&path).unwrap_err(), UnixListenError::InUse { .. }));
    }

    #[tokio::test]
    async fn a_file_that_took_the_place_of_the_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imap.sock");
        let socket = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(socket);
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    }

    #[test]
    fn a_path_fits_up_to_107_bytes() {
        // unix(7): 108 bytes with the zero at the end.
        assert!(fits(Path::new(&"p".repeat(107))));
        assert!(!fits(Path::new(&"p".repeat(108))));
    }
}
