//! Whom a provider's mail servers are certified by: the platform's roots and a `ca_file`, which is read
//! again when it changes.
//!
//! Out:    the client configuration for each new connection. Those that run keep theirs.
//! Fails:  what cannot be used is told once, when it was found twice: it may have been half written.
//!         Until then, and from then on, the old one is in force.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::ClientConfig;
use tracing::{error, info};

use super::{TlsError, read_pem, trust};

/// Whom one provider's mail servers are certified by.
pub struct Trusted {
    ca_file: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    config: Arc<ClientConfig>,
    /// Of the file that it was made of.
    digest: Option<Vec<u8>>,
    /// Why the file is of no use, found by the last look.
    refused: Option<Refused>,
}

struct Refused {
    problem: String,
    is_told: bool,
}

impl Trusted {
    /// What the platform and `ca_file` certify. Blocks.
    ///
    /// # Errors
    /// As [`trust`].
    pub(super) fn read(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        // Before it is read: what is written in between is found by the next look.
        let digest = ca_file.and_then(digest_of);
        let state = Mutex::new(State { config: trust(ca_file)?, digest, refused: None });
        Ok(Self { ca_file: ca_file.map(Path::to_owned), state })
    }

    /// What the next connection begins with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.state().config)
    }

    /// Looks at the file and goes by what is in it, if that is new and good. Blocks.
    pub(super) fn look(&self) {
        let Some(ca_file) = &self.ca_file else { return };
        let digest = digest_of(ca_file);
        if digest.is_some() && digest == self.state().digest {
            self.state().refused = None;
            return;
        }
        // Before the state is taken, which a connection may be waiting for.
        let trusted = trust(Some(ca_file));
        let mut state = self.state();
        match trusted {
            Ok(config) => {
                *state = State { config, digest, refused: None };
                drop(state);
                info!(?ca_file, "ca_file read again");
            }
            Err(problem) => {
                let problem = problem.to_string();
                let before = state.refused.take().filter(|before| before.problem == problem);
                if before.as_ref().is_some_and(|before| !before.is_told) {
                    error!(?ca_file, problem, "ca_file not read again, the old one stays");
                }
                state.refused = Some(Refused { problem, is_told: before.is_some() });
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trusted").field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

fn digest_of(file: &Path) -> Option<Vec<u8>> {
    read_pem(file).ok().map(|pem| digest(&SHA256, &pem).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::io::duplex;

    use super::*;
    use crate::net::props::{Authority, HOST, Log, put};
    use crate::net::tls::certificates::Certificates;
    use crate::net::tls::connect;

    /// Whether a server with a certificate of `authority` is believed.
    async fn believes(trusted: &Trusted, authority: &Authority) -> bool {
        let (far, near) = duplex(65_536);
        let dir = tempfile::tempdir().unwrap();
        let files = put(dir.path(), &authority.issue(HOST));
        let server = Certificates::default().read(&files).unwrap();
        let accepting = server.acceptor().accept(far);
        let (connected, _) = tokio::join!(connect(trusted.config(), near, HOST), accepting);
        connected.is_ok()
    }

    #[tokio::test]
    async fn a_ca_file_behind_a_link_is_followed_when_the_link_turns() {
        let (old, new) = (Authority::new(), Authority::new());
        let dir = tempfile::tempdir().unwrap();
        for (name, authority) in [("one", &old), ("two", &new)] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("ca.pem"), authority.pem()).unwrap();
        }
        // As Kubernetes mounts a secret: ca.pem -> ..data/ca.pem, ..data -> one.
        symlink("one", dir.path().join("..data")).unwrap();
        symlink("..data/ca.pem", dir.path().join("ca.pem")).unwrap();
        let trusted = Trusted::read(Some(&dir.path().join("ca.pem"))).unwrap();
        assert!(believes(&trusted, &old).await && !believes(&trusted, &new).await);

        let (log, _collecting) = Log::collect();
        trusted.look();
        assert!(log.take().is_empty(), "nothing has changed");
        symlink("two", dir.path().join("..next")).unwrap();
        fs::rename(dir.path().join("..next"), dir.path().join("..data")).unwrap();
        trusted.look();
        assert!(log.take()[0].contains("ca_file read again"));
        assert!(believes(&trusted, &new).await && !believes(&trusted, &old).await);
    }

    #[tokio::test]
    async fn a_ca_file_that_is_of_no_use_leaves_the_old_one_and_is_told_once() {
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        fs::write(&path, authority.pem()).unwrap();
        let trusted = Trusted::read(Some(&path)).unwrap();
        let (log, _collecting) = Log::collect();
        fs::write(&path, "half").unwrap();
        trusted.look();
        assert!(log.take().is_empty(), "it may be half written");
        trusted.look();
        let told = log.take();
        assert!(told[0].contains("holds no certificate"), "{told:?}");
        trusted.look();
        assert!(log.take().is_empty(), "it was told");
        assert!(believes(&trusted, &authority).await);

        fs::remove_file(&path).unwrap();
        trusted.look();
        trusted.look();
        assert!(log.take()[0].contains("cannot be read"));
        assert!(believes(&trusted, &authority).await);
        fs::write(&path, authority.pem()).unwrap();
        trusted.look();
        assert!(log.take().is_empty(), "it is what is in force");
    }
}
