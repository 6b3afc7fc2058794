//! What a relay stands on besides its configuration: what outlives the process, and the file.

use std::fmt;
use std::path::PathBuf;

use super::Supervisor;
use crate::net::listen::inherited::Inherited;
use crate::store::Store;

/// What an [`App`](super::App) stands on besides its configuration.
pub struct Backing {
    /// What outlives the process.
    pub store: Store,
    /// The state directory, where the control socket comes; none without it.
    pub state_directory: Option<PathBuf>,
    /// The configuration file, to be read again by a reload.
    pub file: Option<PathBuf>,
    /// The sockets that systemd has passed.
    pub inherited: Inherited,
    /// Called with `log.level` of each configuration that a reload puts in force.
    pub set_log_level: Box<dyn Fn(tracing::Level) + Send + Sync>,
    /// Who is told how the relay is.
    pub supervisor: Supervisor,
}

impl Backing {
    /// Nothing that outlives the process, and no way to reload.
    pub fn in_memory() -> Self {
        Self {
            store: Store::in_memory(),
            state_directory: None,
            file: None,
            inherited: Inherited::default(),
            set_log_level: Box::new(|_| {}),
            supervisor: Supervisor::default(),
        }
    }
}

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backing").field("file", &self.file).finish_non_exhaustive()
    }
}
