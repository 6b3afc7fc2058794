//! Unix sockets to listen on: made for owner and group, and removed with the socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

use super::BACKLOG;
use super::socket::ListenSocket;

/// Who may connect: the owner, and whom the administrator puts into the group.
const MODE: u32 = 0o660;

/// Of a mode: every user may write there, in a directory, or connect, at a socket.
pub(super) const OTHERS_WRITE: u32 = 0o002;

/// Of a directory's mode: nobody but its owner removes or renames a file (inode(7), "sticky bit").
const STICKY: u32 = 0o1000;

/// Why there is no socket at a path.
#[derive(Debug, thiserror::Error)]
pub enum UnixListenError {
    /// Another process listens there.
    #[error("unix:{} is served by another process: stop it or choose another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// This process listens there, perhaps by another name of the path.
    #[error("unix:{} is served by this relay already: write each path once", path.display())]
    Own {
        /// The path.
        path: PathBuf,
    },
    /// What lies there is not ours to remove.
    #[error("{} is there, and is no socket: move it away or choose another path", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// There is no such directory.
    #[error(
        "unix:{} is in a directory that does not exist: make it, for this user to write in; a unit \
         of systemd makes /run/mailbearer by RuntimeDirectory=mailbearer",
        path.display()
    )]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// Everybody may write in the directory, and put another socket there.
    #[error(
        "unix:{} is in a directory in which every user can put a socket in place of this one, and \
         be shown passwords: take that right away (chmod o-w), or choose another directory",
        path.display()
    )]
    Open {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses it.
    #[error(
        "unix:{} cannot be listened on ({source}): let this user write in the directory; a unit of \
         systemd with ProtectSystem=strict lets it write in what RuntimeDirectory= makes",
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
/// When somebody listens there, something else lies there, others could put something there, or the
/// system refuses it.
pub fn bind(path: &Path) -> Result<ListenSocket, UnixListenError> {
    judge_directory(path)?;
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
    Ok(ListenSocket::Unix(Some(file), listening.map_err(failed)?))
}

/// Looks at who else may put a socket at `path`. In a directory with the sticky bit that is so while
/// nobody listens alone, as with any port above 1023; it is told, and done.
fn judge_directory(path: &Path) -> Result<(), UnixListenError> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let found = fs::metadata(directory.unwrap_or(Path::new(".")));
    let mode = match found {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnixListenError::NoDirectory { path: path.into() });
        }
        Err(source) => return Err(UnixListenError::Io { path: path.into(), source }),
    };
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    if mode & STICKY == 0 {
        return Err(UnixListenError::Open { path: path.into() });
    }
    warn!(
        address = format!("unix:{}", path.display()),
        hint = "choose a directory in which mailbearer alone may write: /run/mailbearer, say",
        "every user may put a socket there while this relay does not run, and be shown passwords"
    );
    Ok(())
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
        Ok(()) if is_own(caller) => Err(UnixListenError::Own { path: path.into() }),
        Ok(()) | Err(_) => Err(UnixListenError::InUse { path: path.into() }),
    }
}

/// Whether this process listens at the other end of `caller`.
fn is_own(caller: Socket) -> bool {
    let listening = UnixStream::from_std(caller.into()).and_then(|it| it.peer_cred());
    let listening = listening.ok().and_then(|it| it.pid());
    listening.is_some_and(|pid| u32::try_from(pid) == Ok(std::process::id()))
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
    use crate::net::props::Log;

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
        // By another name of the path, too.
        let other = dir.path().join("x/../imap.sock");
        fs::create_dir(dir.path().join("x")).unwrap();
        for path in [&path, &other] {
            let told = bind(path).unwrap_err();
            assert!(matches!(told, UnixListenError::Own { .. }), "{told}");
        }
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

    #[tokio::test]
    async fn a_directory_in_which_everybody_may_write_is_refused_or_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imap.sock");
        let (log, _collecting) = Log::collect();
        for mode in [0o700, 0o755, 0o2770] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            bind(&path).unwrap();
        }
        assert_eq!(log.take(), Vec::<String>::new());
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        let told = bind(&path).unwrap_err();
        assert!(matches!(told, UnixListenError::Open { .. }), "{told}");
        assert!(!path.exists());
        // As /tmp is.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        bind(&path).unwrap();
        let told = log.take();
        assert!(told.len() == 1 && told[0].contains("WARN every user may put"), "{told:?}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_told_with_what_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let told = bind(&dir.path().join("mailbearer/imap.sock")).unwrap_err().to_string();
        assert!(told.contains("does not exist"), "{told}");
        assert!(told.contains("RuntimeDirectory=mailbearer"), "{told}");
    }

    #[test]
    fn a_path_fits_up_to_107_bytes() {
        // unix(7): 108 bytes with the zero at the end.
        assert!(fits(Path::new(&"p".repeat(107))));
        assert!(!fits(Path::new(&"p".repeat(108))));
    }
}
