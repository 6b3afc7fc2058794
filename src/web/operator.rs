//! What whoever runs mailbearer asks of it: the shared functions behind the control socket, and
//! later the page.
//!
//! In a running relay it acts on what the relay uses. A command without one makes its own, of the
//! store that it has opened itself.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::account::directory::Directory;
use crate::account::password::Passwords;
use crate::oauth::Tokens;
use crate::store::Store;

/// The parts that an operator acts on.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where tokens come from.
    pub tokens: Tokens,
    /// The local passwords.
    pub passwords: Arc<Passwords>,
    /// What both keep.
    pub store: Store,
    /// The accounts of the configuration, as it is now.
    pub directory: watch::Receiver<Arc<Directory>>,
    /// The relay, where one runs.
    pub serving: Option<Serving>,
}

/// A relay that runs.
#[derive(Clone)]
pub struct Serving {
    /// Takes orders to read the configuration again.
    pub reload: mpsc::Sender<Reload>,
    /// Why it is not ready, each in a sentence; nothing if it is.
    pub not_ready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// An order to read the configuration again. What comes of it: the warnings of the new one, or
/// why the old one stays, in the words of `check`.
pub type Reload = oneshot::Sender<Result<Vec<String>, String>>;
