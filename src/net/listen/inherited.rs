//! Sockets that systemd has opened and passes to this process, by their names (sd_listen_fds(3)).
//!
//! They stay open as long as the process, whatever a reload makes of them: systemd holds them too,
//! and a client that connects in between waits in their queue.

use std::env;
use std::io;
use std::iter;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::net::UnixListener as StdUnixListener;

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use super::socket::{ListenSocket, TcpOptions};

/// What systemd calls a socket for which it names none (sd_listen_fds_with_names(3)).
const NAMELESS: &str = "unknown";

/// The sockets that were passed.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(String, Passed)>,
}

/// One of them.
#[derive(Debug)]
pub enum Passed {
    /// Of TCP.
    Tcp(StdTcpListener),
    /// A unix socket, whose file is systemd's.
    Unix(StdUnixListener),
    /// Nothing that connections could be accepted at.
    Unusable,
}

/// Why there is no socket of a name.
#[derive(Debug, thiserror::Error)]
pub enum InheritedError {
    /// None has that name.
    #[error(
        "no socket named {name:?} was passed ({}): write FileDescriptorName={name} in the .socket \
         unit, and start that instead of the service", passed(.others)
    )]
    Missing {
        /// The name.
        name: String,
        /// The names of those that were passed.
        others: Vec<String>,
    },
    /// Connections cannot be accepted at it.
    #[error(
        "the socket named {name:?} takes no connections: write ListenStream= and Accept=no in its \
         .socket unit"
    )]
    Unusable {
        /// The name.
        name: String,
    },
    /// The system refuses to use it.
    #[error("the socket named {name:?} cannot be listened on ({source}): restart its .socket unit")]
    Io {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Inherited {
    /// Takes what was passed to this process, so that no program that it starts inherits it. To be
    /// called once, before there are threads: it changes the environment.
    pub fn from_environment() -> Self {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let names = in_order(&names).map(str::to_owned);
        let sockets = (0..passed.len()).map(|nth| Passed::take(&mut passed, nth));
        Self { sockets: names.zip(sockets).collect() }
    }

    /// These, by their names.
    pub fn of(sockets: Vec<(String, Passed)>) -> Self {
        Self { sockets }
    }

    /// The sockets named `name`, to listen on. They can be had again afterwards.
    ///
    /// # Errors
    /// When there is none, or one of them takes no connections.
    pub fn bind(&self, name: &str) -> Result<Vec<ListenSocket>, InheritedError> {
        let named = self.sockets.iter().filter(|(own, _)| own == name);
        let sockets: Vec<_> =
            named.map(|(_, socket)| socket.listen(name)).collect::<Result<_, _>>()?;
        if sockets.is_empty() {
            let others = self.names().map(str::to_owned).collect();
            return Err(InheritedError::Missing { name: name.to_owned(), others });
        }
        Ok(sockets)
    }

    /// Their names, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let is_first = |nth: usize, name: &str| {
            !self.sockets.iter().take(nth).any(|(earlier, _)| earlier == name)
        };
        let all = self.sockets.iter().map(|(name, _)| name.as_str()).enumerate();
        all.filter(move |(nth, name)| is_first(*nth, name)).map(|(_, name)| name)
    }
}

impl Passed {
    fn take(passed: &mut ListenFd, nth: usize) -> Self {
        let socket = match passed.take_tcp_listener(nth) {
            Ok(Some(listener)) => Self::Tcp(listener),
            Ok(None) | Err(_) => match passed.take_unix_listener(nth) {
                Ok(Some(listener)) => Self::Unix(listener),
                Ok(None) | Err(_) => Self::Unusable,
            },
        };
        // With Accept=yes it is a client's connection, which has another end.
        let is_connected = match &socket {
            Self::Tcp(listener) => SockRef::from(listener).peer_addr().is_ok(),
            Self::Unix(listener) => SockRef::from(listener).peer_addr().is_ok(),
            Self::Unusable => false,
        };
        if is_connected { Self::Unusable } else { socket }
    }

    fn listen(&self, name: &str) -> Result<ListenSocket, InheritedError> {
        let listening = match self {
            Self::Tcp(listener) => listener.try_clone().and_then(|own| {
                own.set_nonblocking(true)?;
                // Whoever was connected before the start, which the first client causes, waits there
                // without the options that the listener may be given now.
                Ok(ListenSocket::Tcp(TcpListener::from_std(own)?, TcpOptions::AtAccept))
            }),
            Self::Unix(listener) => listener.try_clone().and_then(|own| {
                own.set_nonblocking(true)?;
                Ok(ListenSocket::Unix(None, UnixListener::from_std(own)?))
            }),
            Self::Unusable => return Err(InheritedError::Unusable { name: name.to_owned() }),
        };
        listening.map_err(|source| InheritedError::Io { name: name.to_owned(), source })
    }
}

/// The names of all sockets that may have been passed, as `LISTEN_FDNAMES` has them: those that it
/// leaves out or empty have none of their own.
fn in_order(names: &str) -> impl Iterator<Item = &str> {
    let named = names.split(':').map(|name| if name.is_empty() { NAMELESS } else { name });
    named.chain(iter::repeat(NAMELESS))
}

/// What was passed, in a clause.
fn passed(names: &[String]) -> String {
    if names.is_empty() {
        "none was passed at all".to_owned()
    } else {
        format!("those that were are named {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdTcpStream;

    use super::*;
    use crate::net::listen::socket::ClientSocket;

    fn tcp() -> Passed {
        Passed::Tcp(StdTcpListener::bind("127.0.0.1:0").unwrap())
    }

    #[tokio::test]
    async fn all_sockets_of_a_name_are_had_each_time_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let unix = StdUnixListener::bind(dir.path().join("socket")).unwrap();
        let passed = Inherited::of(vec![
            ("imap".to_owned(), tcp()),
            ("smtp".to_owned(), tcp()),
            ("imap".to_owned(), Passed::Unix(unix)),
        ]);
        for _ in 0..2 {
            let sockets = passed.bind("imap").unwrap();
            let addresses: Vec<_> = sockets.iter().map(|it| it.address().unwrap()).collect();
            assert!(addresses.len() == 2 && addresses[0].tcp().is_some(), "{addresses:?}");
            assert!(addresses[1].to_string().ends_with("/socket"), "{addresses:?}");
        }
        assert_eq!(passed.names().collect::<Vec<_>>(), ["imap", "smtp"]);
    }

    #[tokio::test]
    async fn a_client_that_waited_for_the_start_is_served_like_those_that_come_later() {
        let socket = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let _first = StdTcpStream::connect(address).unwrap();
        let passed = Inherited::of(vec![("imap".to_owned(), Passed::Tcp(socket))]);
        let listening = passed.bind("imap").unwrap().remove(0);
        let _later = StdTcpStream::connect(address).unwrap();
        for who in ["first", "later"] {
            let (accepted, _) = listening.accept().await.unwrap();
            let ClientSocket::Tcp(stream) = accepted else { panic!("TCP was passed") };
            assert!(stream.nodelay().unwrap(), "{who}");
            assert!(SockRef::from(&stream).keepalive().unwrap(), "{who}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_missing_is_told_with_what_the_unit_lacks() {
        let passed = Inherited::of(vec![("imap".to_owned(), tcp())]);
        let told = passed.bind("smtp").unwrap_err().to_string();
        assert!(told.contains("FileDescriptorName=smtp") && told.contains("named imap"), "{told}");
        let told = Inherited::default().bind("smtp").unwrap_err().to_string();
        assert!(told.contains("none was passed at all"), "{told}");
        let passed = Inherited::of(vec![("smtp".to_owned(), Passed::Unusable)]);
        let told = passed.bind("smtp").unwrap_err().to_string();
        assert!(told.contains("Accept=no"), "{told}");
    }

    #[test]
    fn a_socket_without_a_name_leaves_the_others_theirs() {
        for (variable, names) in [
            ("", [NAMELESS, NAMELESS, NAMELESS]),
            ("imap:smtp", ["imap", "smtp", NAMELESS]),
            (":imap", [NAMELESS, "imap", NAMELESS]),
            ("imap::smtp", ["imap", NAMELESS, "smtp"]),
        ] {
            assert_eq!(in_order(variable).take(3).collect::<Vec<_>>(), names, "{variable:?}");
        }
    }
}
