//! Certificates that are read again: what those who connect are shown, whenever that was issued, and
//! whom providers' servers are certified by ([`Trusted`]).
//!
//! In:     the pairs of files of one configuration, each read once however many listeners name it.
//! Out:    an acceptor for each handshake. Connections that run keep the certificate they began with.
//! Waits:  the files are looked at every `LOOK_INTERVAL`, by their content: a symbolic link that
//!         turns to another directory, as Kubernetes does it, counts, and a new time alone does not.
//! Fails:  what cannot be used is told once and the old one stays. A pair of which one file is
//!         written and the other not yet is looked at once more before it is told.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use super::TlsError;
use super::server::{CertificateError, CertificateFiles, Contents, Shown};
use super::trusted::Trusted;
use super::validity::Standing;
use crate::clock::unix_time;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// How often it is told of a certificate that is not good, or not for long.
const TELL_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// Every certificate of one configuration. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    shown: HashMap<CertificateFiles, Arc<Certificate>>,
    /// Those with a `ca_file`.
    trusted: Vec<Arc<Trusted>>,
}

impl Certificates {
    /// The certificate in `files`, which are read if they were not yet. Blocks.
    ///
    /// # Errors
    /// When they do not yield a certificate and its key.
    pub fn read(&mut self, files: &CertificateFiles) -> Result<Arc<Certificate>, CertificateError> {
        if let Some(known) = self.shown.get(files) {
            return Ok(Arc::clone(known));
        }
        let certificate = Arc::new(Certificate::read(files)?);
        self.shown.insert(files.clone(), Arc::clone(&certificate));
        Ok(certificate)
    }

    /// Whom the servers of a provider with that `ca_file` are certified by. Blocks.
    ///
    /// # Errors
    /// As [`super::trust`].
    pub fn trust(&mut self, ca_file: Option<&Path>) -> Result<Arc<Trusted>, TlsError> {
        let trusted = Arc::new(Trusted::read(ca_file)?);
        if ca_file.is_some() {
            self.trusted.push(Arc::clone(&trusted));
        }
        Ok(trusted)
    }

    /// Looks at all files and shows what changed. Blocks.
    fn look(&self) {
        for certificate in self.shown.values() {
            certificate.look();
        }
        for trusted in &self.trusted {
            trusted.look();
        }
    }

    /// Tells which certificates are not good, or not for long.
    fn tell_of_validity(&self) {
        for certificate in self.shown.values() {
            certificate.tell_of_validity(unix_time());
        }
    }
}

/// Keeps the certificates of the configuration in force up to date, and tells of their ends, until
/// `current` has no sender.
pub async fn keep(mut current: watch::Receiver<Certificates>) {
    loop {
        let certificates = current.borrow_and_update().clone();
        certificates.tell_of_validity();
        let mut told_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                changed = current.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = sleep(LOOK_INTERVAL) => {}
            }
            let looking = certificates.clone();
            // It fails when the program ends, and then nobody needs it.
            let _ = tokio::task::spawn_blocking(move || looking.look()).await;
            if told_at.elapsed() >= TELL_INTERVAL {
                certificates.tell_of_validity();
                told_at = Instant::now();
            }
        }
    }
}

/// A certificate and its key.
pub struct Certificate {
    files: CertificateFiles,
    state: Mutex<State>,
}

struct State {
    shown: Shown,
    /// Of the contents that are shown.
    digest: Vec<u8>,
    /// What the last look found that cannot be used.
    refused: Option<Refused>,
}

/// Contents that cannot be used.
struct Refused {
    /// Of the contents; none where they cannot even be read.
    digest: Option<Vec<u8>>,
    problem: String,
    /// Whether that was found twice, and told.
    is_told: bool,
}

impl Refused {
    /// Whether the files hold the same as when `other` was found.
    fn is_as(&self, other: &Self) -> bool {
        self.digest == other.digest && self.problem == other.problem
    }
}

impl Certificate {
    fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let contents = Contents::read(files)?;
        let (shown, digest) = (contents.shown()?, contents.digest());
        let state = Mutex::new(State { shown, digest, refused: None });
        Ok(Self { files: files.clone(), state })
    }

    /// What the next handshake begins with.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.state().shown.acceptor()
    }

    /// Looks at the files and shows what is in them, if that is new and good.
    fn look(&self) {
        let contents = Contents::read(&self.files);
        let digest = contents.as_ref().ok().map(Contents::digest);
        if digest.as_ref() == Some(&self.state().digest) {
            self.state().refused = None;
            return;
        }
        // Before the state is taken, which a handshake may be waiting for.
        let shown = contents.and_then(|contents| contents.shown());
        let mut state = self.state();
        match (shown, digest) {
            (Ok(shown), Some(digest)) => {
                *state = State { shown, digest, refused: None };
                drop(state);
                info!(certificate = ?self.files.certificate, "certificate read again");
                self.tell_of_validity(unix_time());
            }
            (Ok(_), None) => {}
            (Err(problem), digest) => {
                let found = Refused { digest, problem: problem.to_string(), is_told: false };
                self.refuse(&mut state, found);
            }
        }
    }

    /// Keeps what is shown. What is `found` for the first time may be half written.
    fn refuse(&self, state: &mut State, mut found: Refused) {
        if let Some(before) = state.refused.take().filter(|before| before.is_as(&found)) {
            if !before.is_told {
                error!(
                    certificate = ?self.files.certificate,
                    problem = found.problem,
                    "certificate not read again, the old one stays"
                );
            }
            found.is_told = true;
        }
        state.refused = Some(found);
    }

    /// Tells, at `now` since 1970, if it is not good, or not for long.
    fn tell_of_validity(&self, now: Duration) {
        let Some(validity) = self.state().shown.validity() else { return };
        let certificate = &self.files.certificate;
        let rfc3339 = |at| humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string();
        match validity.standing(now) {
            Standing::Good => {}
            Standing::Early => warn!(
                ?certificate,
                begins = rfc3339(validity.begins_at),
                "the certificate is not good yet, so clients refuse it: look at this machine's clock"
            ),
            Standing::EndsSoon => warn!(
                ?certificate,
                ends = rfc3339(validity.ends_at),
                "the certificate ends soon: renew it"
            ),
            Standing::Ended => warn!(
                ?certificate,
                ended = rfc3339(validity.ends_at),
                "the certificate has ended, so clients refuse it: put a new one in its place"
            ),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
