//! Telling systemd how the relay is: sd_notify(3), and the watchdog of sd_watchdog_enabled(3).
//!
//! In:     `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of the environment.
//! Out:    one datagram for each thing that is told. Numbers only: nobody's name is in a status.
//! Fails:  never the relay. A manager that cannot be reached is told of once in the log, until it was
//!         reached again.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::future::pending;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::account::directory::Directory;
use crate::oauth::{TokenState, Tokens};
use crate::relay::{Relay, Shutdown};

/// The variable with the manager's socket.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// How long one datagram may wait for room in the manager's queue. It holds up the thread that takes
/// orders, and no session.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the status is looked at, and told if it is another one.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// What the end may take besides the sessions: the cut, and a token request whose answer may hold a
/// refresh token (15 s and its time to connect).
const END_MARGIN: Duration = Duration::from_secs(45);

/// Who supervises this process, if anybody does.
#[derive(Debug, Default)]
pub struct Supervisor {
    line: Option<Line>,
    /// How often it wants to hear that the process is alive.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names, or nobody.
    pub fn of_environment() -> Self {
        let Some(address) = std::env::var_os(NOTIFY_SOCKET) else { return Self::default() };
        match Self::at(&address, sd_notify::watchdog_enabled()) {
            Ok(supervisor) => supervisor,
            Err(error) => {
                let error = error.to_string();
                warn!(?address, error, "the service manager cannot be told how the relay is");
                Self::default()
            }
        }
    }

    /// The one that listens at `address`, and wants to hear of life that often.
    pub(super) fn at(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        Ok(Self { line: Some(Line::to(address)?), watchdog })
    }

    /// Everything is bound and clients are served.
    pub(super) fn ready(&self, vitals: &Vitals) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(&vitals.status())]);
    }

    /// A reload has begun. [`Self::ready`] ends it.
    pub(super) fn reloading(&self) {
        // systemd orders this by its own clock, so that it is not taken for an earlier reload.
        let now = NotifyState::monotonic_usec_now().ok();
        let states = [Some(NotifyState::Reloading), now];
        self.tell(&states.into_iter().flatten().collect::<Vec<_>>());
    }

    /// The end has begun, and may take the `grace` of the sessions. The unit's TimeoutStopSec= is
    /// extended to that where it is shorter, and never shortened.
    pub(super) fn stopping(&self, grace: Duration, vitals: &Vitals) {
        let lasts = grace.saturating_add(END_MARGIN).as_micros();
        let lasts = u32::try_from(lasts).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(lasts),
            NotifyState::Status(&vitals.status()),
        ]);
    }

    /// Tells, for as long as it is polled, that the process is alive, and its status.
    pub(super) async fn beat(&self, vitals: &Vitals) {
        if self.line.is_none() {
            return pending().await;
        }
        // At half of the time, as sd_watchdog_enabled(3) advises.
        let interval = self.watchdog.map_or(STATUS_INTERVAL, |it| STATUS_INTERVAL.min(it / 2));
        let mut told = String::new();
        loop {
            sleep(interval).await;
            // The threads that serve sessions have to run this: a beat of a stuck relay is a lie.
            if tokio::spawn(async {}).await.is_err() {
                continue;
            }
            let status = vitals.status();
            let beat = self.watchdog.map(|_| NotifyState::Watchdog);
            let news = (status != told).then_some(NotifyState::Status(&status));
            if self.tell(&beat.into_iter().chain(news).collect::<Vec<_>>()) {
                told = status;
            }
        }
    }

    /// Sends `states` in one datagram, one a line. Gives whether they were sent.
    fn tell(&self, states: &[NotifyState<'_>]) -> bool {
        let Some(line) = self.line.as_ref().filter(|_| !states.is_empty()) else { return false };
        let mut message = String::new();
        for state in states {
            // Writing into a text cannot fail.
            let _ = writeln!(message, "{state}");
        }
        line.send(message.as_bytes())
    }
}

/// The way to the manager.
#[derive(Debug)]
struct Line {
    /// Connected to nobody, so that a manager that listens anew is reached again.
    socket: UnixDatagram,
    manager: SocketAddr,
    /// Whether the last message was not sent.
    is_down: AtomicBool,
}

impl Line {
    fn to(address: &OsStr) -> io::Result<Self> {
        let (socket, manager) = (UnixDatagram::unbound()?, manager_at(address)?);
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self { socket, manager, is_down: AtomicBool::new(false) })
    }

    /// Gives whether it was sent; tells the first time that it was not.
    fn send(&self, message: &[u8]) -> bool {
        let sent = self.socket.send_to_addr(message, &self.manager);
        let was_down = self.is_down.swap(sent.is_err(), Ordering::Relaxed);
        match sent {
            Ok(_) if was_down => info!("the service manager is told again how the relay is"),
            Err(ref error) if !was_down => {
                let (manager, error) = (&self.manager, error.to_string());
                warn!(?manager, error, "the service manager cannot be told how the relay is");
            }
            Ok(_) | Err(_) => {}
        }
        sent.is_ok()
    }
}

/// The manager's socket: a path, or a name in the abstract namespace, which `@` stands before.
fn manager_at(address: &OsStr) -> io::Result<SocketAddr> {
    abstract_name(address).unwrap_or_else(|| SocketAddr::from_pathname(Path::new(address)))
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &OsStr) -> Option<io::Result<SocketAddr>> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;

    let [b'@', name @ ..] = address.as_bytes() else { return None };
    Some(SocketAddr::from_abstract_name(name))
}

/// There are no such names.
#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &OsStr) -> Option<io::Result<SocketAddr>> {
    None
}

/// What a status tells of.
#[derive(Clone)]
pub(super) struct Vitals {
    pub(super) relay: Arc<Relay>,
    pub(super) tokens: Tokens,
    pub(super) directory: watch::Receiver<Arc<Directory>>,
    pub(super) shutdown: Shutdown,
    /// Addresses that are listened at.
    pub(super) addresses: Arc<AtomicUsize>,
}

impl Vitals {
    /// How the relay is, in a line.
    fn status(&self) -> String {
        let sessions = self.relay.sessions().len();
        if self.shutdown.drain.is_cancelled() {
            return format!("draining; sessions: {sessions}");
        }
        let directory = Arc::clone(&self.directory.borrow());
        let lacking = directory
            .accounts()
            .iter()
            .filter(|account| self.tokens.state(&account.grant) == TokenState::ConsentNeeded);
        format!(
            "serving; addresses: {}, sessions: {sessions}, accounts that need consent: {}",
            self.addresses.load(Ordering::Relaxed),
            lacking.count()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_manager_is_found_by_its_path_and_by_its_abstract_name() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@mailbearer-test-{}", dir.path().display());
        let abstract_name = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        for (address, manager) in [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (OsStr::new(&name), UnixDatagram::bind_addr(&abstract_name).unwrap()),
        ] {
            manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let supervisor = Supervisor::at(address, None).unwrap();
            supervisor.tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
            let mut heard = [0; 64];
            let len = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..len], b"READY=1\nSTATUS=serving\n");
        }
    }

    #[test]
    fn a_manager_that_has_gone_is_told_of_once_and_reached_again_when_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(path.as_os_str(), None).unwrap();
        let alive = [NotifyState::Watchdog];
        let (told, written) = written_by(|| {
            let before = supervisor.tell(&alive);
            drop(manager);
            let gone = [supervisor.tell(&alive), supervisor.tell(&alive)];
            std::fs::remove_file(&path).unwrap();
            let removed = supervisor.tell(&alive);
            let manager = UnixDatagram::bind(&path).unwrap();
            manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let back = supervisor.tell(&alive);
            let mut heard = [0; 64];
            let len = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..len], b"WATCHDOG=1\n");
            (before, gone, removed, back)
        });
        assert_eq!(told, (true, [false, false], false, true));
        let lines: Vec<_> = written.lines().collect();
        assert_eq!(lines.len(), 2, "{written}");
        assert!(lines[0].contains("the service manager cannot be told"), "{written}");
        assert!(lines[1].contains("the service manager is told again"), "{written}");
    }

    /// What `doing` gives, and what it writes into the log.
    fn written_by<T>(doing: impl FnOnce() -> T) -> (T, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(std::sync::Mutex::new(file.reopen().unwrap()))
            .finish();
        let done = tracing::subscriber::with_default(subscriber, doing);
        (done, std::fs::read_to_string(file.path()).unwrap())
    }

    #[test]
    fn a_reload_is_told_with_the_time_that_systemd_compares() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Supervisor::at(path.as_os_str(), None).unwrap().reloading();
        let mut heard = [0; 64];
        let len = manager.recv(&mut heard).unwrap();
        let heard = std::str::from_utf8(&heard[..len]).unwrap();
        // systemd.service(5), Type=notify-reload: in microseconds of CLOCK_MONOTONIC.
        let usec = heard.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!(usec.parse::<u64>().is_ok_and(|usec| usec > 0), "{heard}");
    }
}
