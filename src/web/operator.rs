//! What whoever runs mailbearer asks of it: the functions that the control socket and the page share.
//! Those about consents, local passwords and what can be tried stand in files of their own.
//!
//! In a running relay it acts on what the relay uses. A command without one makes its own, of the
//! store that it has opened itself; that store ends with the command, so nothing may be left in
//! its memory alone.

mod consent;
mod error;
mod passwords;
mod trial;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::consent::Consent;
pub(super) use self::consent::expected;
pub use self::error::{Class, OperatorError};
pub use self::trial::Reachable;
use super::accounts::{self, AccountRow, MailError};
use super::consents::Consents;
use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::account::directory::{Account, Directory};
use crate::account::password::Passwords;
use crate::names::{AccountPattern, Username};
use crate::oauth::Tokens;
use crate::relay::online::Online;
use crate::relay::recent::{Closed, Recent};
use crate::relay::troubles::Troubles;
use crate::store::{Health, Store};

/// How like a name has to be to be offered in place of one that is not there (Jaro-Winkler; 1 is
/// the same).
const LIKENESS_MIN: f64 = 0.75;

/// How long a command without a relay waits before each further try to write what it has in memory
/// alone: long enough for somebody's rotation of logs to free a disk, short enough to sit through.
const SAVE_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

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
    /// The consents that people are giving.
    pub consents: Consents,
    /// The way to the providers' mail servers.
    pub online: Online,
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
    /// What went wrong last with each account.
    pub troubles: Arc<Troubles>,
    /// The sessions that ended last.
    pub recent: Arc<Recent>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// An order to read the configuration again. What comes of it: the warnings of the new one, or
/// why the old one stays, in the words of `check`.
pub type Reload = oneshot::Sender<Result<Vec<String>, String>>;

/// Something that was had, and what is wrong if a refresh token is in memory alone since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obtained<T> {
    /// What was asked for.
    pub it: T,
    /// What is wrong with the store and what to do.
    pub unsaved: Option<String>,
}

impl Operator {
    /// Every account of the file, in the order of their names.
    ///
    /// # Errors
    /// When the program ends.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, OperatorError> {
        let operator = self.clone();
        let rows = blocking(move || {
            let directory = Arc::clone(&operator.directory.borrow());
            let unsaved = operator.unsaved();
            let row = |account: &Arc<AccountSettings>| {
                let status = operator.tokens.status(&accounts::grant_of(account));
                let mail_error = operator.mail_error(&directory, &account.name);
                let devices = accounts::devices_of(account, &directory, &operator.passwords);
                let row = AccountRow::new(account, status, unsaved.clone(), mail_error);
                AccountRow { devices, ..row }
            };
            directory.accounts().iter().map(row).collect()
        });
        rows.await
    }

    /// The last trouble of those who have no other account of `directory` than that of `name`.
    fn mail_error(&self, directory: &Directory, name: &AccountPattern) -> Option<MailError> {
        let troubles = &self.serving.as_ref()?.troubles;
        let is_of_another = |user: &Username| {
            directory.find(user, None).is_none_or(|account| account.settings().name != *name)
        };
        let (user, trouble) = troubles.latest(name, is_of_another)?;
        Some(MailError::new(&user, trouble))
    }

    /// Has the configuration read again; gives the warnings of the new one.
    ///
    /// # Errors
    /// When no relay runs, or something is wrong with the new one, so that the old one stays.
    pub async fn reload(&self) -> Result<Vec<String>, OperatorError> {
        let serving = self.serving.as_ref().ok_or(OperatorError::NotServing)?;
        let (order, outcome) = oneshot::channel();
        serving.reload.send(order).await.map_err(|_| OperatorError::BrokenOff)?;
        outcome.await.map_err(|_| OperatorError::BrokenOff)?.map_err(OperatorError::Reload)
    }

    /// Why the relay is not ready, each in a sentence; nothing if it is.
    ///
    /// # Errors
    /// When no relay runs.
    pub fn health(&self) -> Result<Vec<String>, OperatorError> {
        let serving = self.serving.as_ref().ok_or(OperatorError::NotServing)?;
        Ok((serving.not_ready)())
    }

    /// The sessions that ended last, the last one first; none where no relay runs.
    pub fn recent(&self) -> Vec<Closed> {
        self.serving.as_ref().map(|serving| serving.recent.sessions()).unwrap_or_default()
    }

    /// The device of that name, if it is one.
    pub fn device(&self, name: &Username) -> Option<Arc<DeviceSettings>> {
        self.directory.borrow().devices().named(name).cloned()
    }

    fn account(&self, name: &Username) -> Result<Account, OperatorError> {
        let directory = Arc::clone(&self.directory.borrow());
        directory.find(name, None).ok_or_else(|| {
            if let Ok(AccountPattern::Domain(domain)) = AccountPattern::parse(name.as_str()) {
                return OperatorError::Pattern { domain };
            }
            let typed = name.folded();
            let devices = directory.devices();
            if let Some(device) = devices.named(name) {
                let (device, account) = (device.name.clone(), device.account.clone());
                return OperatorError::Device { device, account };
            }
            let names = directory.accounts().iter().map(|account| account.name.to_string());
            let names = names.chain(devices.all().iter().map(|device| device.name.to_string()));
            // Whoever types a device's user name means the device.
            let called = devices.called(name).map(|device| device.name.to_string());
            let near = called.or_else(|| {
                names
                    .map(|name| (strsim::jaro_winkler(typed.as_str(), &name), name))
                    .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
                    .max_by(|(one, _), (other, _)| one.total_cmp(other))
                    .map(|(_, name)| name)
            });
            OperatorError::NoSuchAccount { name: name.clone(), near }
        })
    }

    /// What is wrong if the store could not be written last.
    pub fn unsaved(&self) -> Option<String> {
        match self.store.health() {
            Health::Saved => None,
            Health::Unsaved { problem } => Some(problem),
        }
    }

    /// What is wrong if something is in memory alone. Without a relay, which would go on trying,
    /// it is tried for some seconds to write it.
    async fn settle(&self) -> Option<String> {
        let mut unsaved = self.unsaved();
        if self.serving.is_some() {
            return unsaved;
        }
        for pause in SAVE_PAUSES {
            unsaved.as_ref()?;
            tokio::time::sleep(pause).await;
            let store = self.store.clone();
            let _ = blocking(move || store.save()).await; // told by the store's health
            unsaved = self.unsaved();
        }
        unsaved
    }
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OperatorError> {
    tokio::task::spawn_blocking(run).await.map_err(|_| OperatorError::BrokenOff)
}
