//! What stands between client and upstream: mailbearer, or one of those it is measured against.

mod dovecot;
mod emailproxy;
mod haproxy;
mod mailbearer;
mod stunnel;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::{Door, SignIn, Steps};
use super::ideal;
use super::process::Child;
use super::scene::{Scene, Way};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Nothing: the client speaks TLS and XOAUTH2 itself.
    Direct,
    /// tokio-rustls and `copy_bidirectional`.
    Ideal,
    /// haproxy as a TCP to TLS tunnel.
    Haproxy,
    /// stunnel as a TCP to TLS tunnel.
    Stunnel,
    /// Dovecot 2.3 as a login proxy.
    Dovecot,
    /// email-oauth2-proxy.
    Emailproxy,
    /// mailbearer.
    Mailbearer,
}

/// Whether mailbearer keeps connections ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Warm {
    /// As it comes.
    Default,
    /// None.
    Off,
}

/// A running peer.
pub struct Proxy {
    /// Its process, unless there is none.
    pub child: Option<Child>,
    /// Where its clients go.
    pub door: Door,
    /// How IMAP signs in there.
    pub steps: Steps,
}

/// What a proxy needs to know to be started.
struct Place<'a> {
    scene: &'a Scene,
    way: Way,
    /// For its own files.
    dir: PathBuf,
}

impl Peer {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::Ideal,
        Self::Haproxy,
        Self::Stunnel,
        Self::Dovecot,
        Self::Emailproxy,
        Self::Mailbearer,
    ];

    /// The name in arguments and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ideal => "ideal",
            Self::Haproxy => "haproxy",
            Self::Stunnel => "stunnel",
            Self::Dovecot => "dovecot",
            Self::Emailproxy => "emailproxy",
            Self::Mailbearer => "mailbearer",
        }
    }

    /// Whether it rewrites a password into XOAUTH2; before the others the client shows XOAUTH2.
    pub fn rewrites(self) -> bool {
        matches!(self, Self::Dovecot | Self::Emailproxy | Self::Mailbearer)
    }

    /// Whether it dials only when its client has signed in; email-oauth2-proxy does at the connect.
    pub fn dials_last(self) -> bool {
        matches!(self, Self::Dovecot | Self::Mailbearer)
    }

    /// By what the loads are divided, for none should take minutes.
    pub fn slowness(self) -> usize {
        // A sign-in costs it a third of a second of key derivation, one at a time.
        if self == Self::Emailproxy { 100 } else { 1 }
    }

    /// Whether it is asked to hold the crowd of idle sessions: the others would take minutes, or the
    /// memory of the machine.
    pub fn holds_crowds(self) -> bool {
        matches!(self, Self::Direct | Self::Ideal | Self::Haproxy | Self::Mailbearer)
    }

    /// Whether it keeps connections ready, so that warm sign-ins can be measured.
    pub fn keeps_connections(self) -> bool {
        self == Self::Mailbearer
    }

    /// Its name and version, as it tells itself; that of mailbearer is asked of `program`.
    pub fn version(self, program: &Path) -> String {
        match self {
            Self::Direct | Self::Ideal => rustls_version(),
            Self::Haproxy => haproxy::version(),
            Self::Stunnel => stunnel::version(),
            Self::Dovecot => dovecot::version(),
            Self::Emailproxy => emailproxy::version(),
            Self::Mailbearer => told(program, "--version", "mailbearer"),
        }
    }

    /// Starts it before `way`, with files of its own; gives nothing where it cannot go that way.
    pub fn start(self, scene: &Scene, way: Way, warm: Warm) -> Option<Proxy> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = scene.dir().join(format!("{}-{number}", self.name()));
        std::fs::create_dir(&dir).unwrap();
        let upstream = scene.upstream(way);
        let place = Place { scene, way, dir };
        let is_tunnel = matches!(self, Self::Ideal | Self::Haproxy | Self::Stunnel);
        if is_tunnel && upstream.starttls {
            return None;
        }
        let (child, imap, submission) = match self {
            Self::Direct => (None, upstream.imap, upstream.submission),
            Self::Ideal => {
                let ports = [upstream.imap, upstream.submission];
                let (child, [imap, submission]) = Child::role("ideal", scene.dir(), &ports);
                (Some(child), imap, submission)
            }
            Self::Haproxy => haproxy::start(&place),
            Self::Stunnel => stunnel::start(&place),
            Self::Dovecot => dovecot::start(&place),
            Self::Emailproxy => emailproxy::start(&place),
            Self::Mailbearer => mailbearer::start(&place, warm),
        };
        let sign_in = if self.rewrites() { SignIn::Password } else { SignIn::Xoauth2 };
        let tls = (self == Self::Direct).then(|| ideal::connector(scene.dir()));
        let starttls = upstream.starttls && tls.is_some();
        let steps = if way == Way::Near { Steps::One } else { Steps::Two };
        Some(Proxy { child, door: Door { imap, submission, sign_in, tls, starttls }, steps })
    }
}

impl Place<'_> {
    /// Writes one of its files.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The authority that signed the upstream's certificate.
    fn ca_file(&self) -> PathBuf {
        self.scene.dir().join("ca.pem")
    }

    /// Starts a program that was told the two ports it listens on.
    fn listening(&self, command: &mut Command, ports: [u16; 2]) -> (Option<Child>, u16, u16) {
        let child = Child::listening(command, &self.dir.join("log"), &ports);
        (Some(child), ports[0], ports[1])
    }
}

/// The first line that `program` prints about itself and that holds `word`, from there on.
fn told(program: impl AsRef<Path>, argument: &str, word: &str) -> String {
    let program = program.as_ref();
    let output = Command::new(program).arg(argument).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}: benches/compare/install installs it", program.display())
    });
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| line.contains(word)).unwrap_or_default();
    let words = line.split_whitespace().skip_while(|part| !part.contains(word));
    words.take(2).collect::<Vec<_>>().join(" ")
}

/// The version of rustls in the lock file.
fn rustls_version() -> String {
    let lock = include_str!("../../Cargo.lock");
    let version = lock.split("name = \"rustls\"\nversion = \"").nth(1);
    let version = version.and_then(|rest| rest.split('"').next()).unwrap_or("?");
    format!("rustls {version}")
}
