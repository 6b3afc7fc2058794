//! The store: refresh tokens and local passwords, sealed, in one file of one process.
//!
//! All of it is held in memory, and every change is written at once. What cannot be written is
//! still true in memory, is written later, and is told ([`Store::health`]): a full disk costs
//! nobody a sign-in.
//!
//! Writing blocks for as long as the disk takes; reading never waits for it.

mod contents;
mod directory;
mod disk;
mod embedded;
mod file;
mod key;
mod problem;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use zeroize::Zeroizing;

use self::contents::{Contents, Held, Row};
use self::disk::{Disk, SystemDisk};
use self::file::StoreFile;
pub use self::key::is_key;
pub use self::problem::{owner_name, shell_word};

use crate::names::Username;
use crate::provider::{GrantId, Protocol};
use crate::secret::{RefreshToken, SecretSource};

/// The `[store]` table.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The database file. The directory where it lies is the state directory.
    pub path: PathBuf,
    /// What seals it.
    pub key: KeySource,
}

/// Where the key comes from that seals what is kept.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file that is made together with a new store, for the owner alone.
    Made(PathBuf),
    /// A secret that the configuration names.
    Given(SecretSource),
}

/// What the store is opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The relay. The state directory is made if it is missing.
    Serve,
    /// A command. It writes for the relay, so it runs as the state directory's owner.
    Command {
        /// The command line, as it is to be repeated by `sudo -u`.
        line: String,
    },
}

/// A person's consent as it is kept.
#[derive(Debug, Clone)]
pub struct StoredGrant {
    /// The newest refresh token.
    pub refresh_token: RefreshToken,
    /// The client that it was given to. No other may use it.
    pub client_id: String,
    /// The token endpoint that gave it, or the issuer that told which one ([`Grant::source`]). It is
    /// shown to no other.
    ///
    /// [`Grant::source`]: crate::provider::Grant::source
    pub token_endpoint: String,
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// When the person consented, since 1970.
    pub consented_at: Duration,
    /// When the refresh token was last used, since 1970.
    pub refreshed_at: Duration,
    /// When the refresh token ends whatever happens, since 1970, if the provider told.
    pub ends_at: Option<Duration>,
    /// Why the provider refuses it, if it does.
    pub refused: Option<StoredRefusal>,
    /// What it lacks of what was asked for, if anything.
    pub shortfall: Option<StoredShortfall>,
}

/// What a consent lacks, as far as its provider has told so far. Scopes are in the file's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredShortfall {
    /// The scopes that were asked for and not granted; `None` where some are, and the provider does
    /// not tell which.
    pub missing: Option<BTreeSet<String>>,
    /// Scopes that the provider refuses when a refresh names them, and gives a token for when it
    /// names none.
    pub unnamed: BTreeSet<String>,
}

/// A definite refusal of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRefusal {
    /// When, since 1970.
    pub at: Duration,
    /// `error` of the answer: short and printable.
    pub error: String,
    /// Entra's code.
    pub aadsts: Option<u32>,
    /// Whether the answer to an earlier request had been lost. Then maybe that, and nobody at the
    /// provider, ended the consent.
    pub after_lost_answer: bool,
}

/// A local password as it is kept: everything but the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// Whose it is: the name that a client signs in by, folded.
    pub name: Username,
    /// What tells it from the others of that name; `None` is the one without a label.
    pub label: Option<String>,
    /// What it is good for.
    pub protocols: Vec<Protocol>,
    /// When it was made, since 1970.
    pub made_at: Duration,
}

/// HMAC-SHA256 of a name and its password under the store's own key.
pub type PasswordTag = [u8; 32];

/// Whether everything is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is, or there is nothing to write.
    Saved,
    /// The last write failed. What is in memory alone is lost if the program ends.
    Unsaved {
        /// What is wrong and what to do, in a sentence without a full stop.
        problem: String,
    },
}

/// Why the store cannot be opened or written. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "{path:?} is in use by another mailbearer: one `serve` runs on one store, and another file \
         needs a `path` of its own in its [store]"
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// It belongs to another user, whose commands these are.
    #[error("{path:?} belongs to {owner}: run `sudo -u {} {command}`", shell_word(owner))]
    NotOwner {
        /// The state directory.
        path: PathBuf,
        /// Its owner's name, or `#` and number.
        owner: String,
        /// The command line to repeat.
        command: String,
    },
    /// It cannot be used as it is; whoever runs the program has to look.
    #[error("{problem}")]
    Unusable {
        /// What is wrong and what to do, in a sentence without a full stop.
        problem: String,
    },
    /// It could not be written or read now.
    #[error("{problem}")]
    Io {
        /// What is wrong and what to do, in a sentence without a full stop.
        problem: String,
    },
}

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    /// What is true. Held for moments only, so that nobody who reads waits for the disk.
    state: RwLock<State>,
    /// Where it is written; `None` if nowhere. Whoever writes holds it, and takes `state` after it.
    file: Mutex<Option<StoreFile>>,
}

#[derive(Default)]
struct State {
    contents: Contents,
    password_key: Option<Zeroizing<[u8; 32]>>,
    /// Why the last write failed.
    problem: Option<String>,
}

/// What becomes of a change that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    /// It is true all the same.
    IsTrue,
    /// It did not happen.
    DidNotHappen,
}

impl Store {
    /// A store that ends with the program: for the demo and for tests.
    pub fn in_memory() -> Self {
        // The tags are never written, so anybody who reads them reads the passwords as well.
        let state = State { password_key: Some(Zeroizing::new([0; 32])), ..State::default() };
        Self(Arc::new(Shared { state: RwLock::new(state), file: Mutex::new(None) }))
    }

    /// Opens the store that `settings` name, and claims the directory where it lies until the last
    /// clone is dropped. Nothing is written: if there is no store, the first thing to keep makes it.
    ///
    /// # Errors
    /// When another process has it, when it belongs to another user than a command's, and when it
    /// is there and cannot be used. Then nothing of it was touched.
    pub fn open(settings: &StoreSettings, purpose: &Purpose) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(SystemDisk), settings, purpose)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        settings: &StoreSettings,
        purpose: &Purpose,
    ) -> Result<Self, StoreError> {
        let (file, contents) = StoreFile::open(settings, purpose, disk)?;
        let state = State { contents, password_key: file.password_key()?, problem: None };
        Ok(Self(Arc::new(Shared { state: RwLock::new(state), file: Mutex::new(Some(file)) })))
    }

    /// The state directory, where this process is alone and may make its control socket.
    ///
    /// # Errors
    /// When there is none: why, and what to do, in a sentence without a full stop.
    pub fn control_directory(&self) -> Result<PathBuf, String> {
        match &*self.file() {
            None => Err("there is no state directory: this store is in memory alone".to_owned()),
            Some(file) => match file.directory().problem() {
                None => Ok(file.directory().path().to_owned()),
                Some(problem) => Err(problem.to_string()),
            },
        }
    }

    /// What should be known before anything is written: the store is there, and cannot be written
    /// to. A sentence without a full stop.
    pub fn warning(&self) -> Option<String> {
        self.file().as_ref().and_then(|file| file.warning()).map(str::to_owned)
    }

    /// The refresh token of `grant` and all that is known of it.
    pub fn load(&self, grant: &GrantId) -> Option<StoredGrant> {
        self.state().contents.grants.get(grant).cloned()
    }

    /// Every grant.
    pub fn list(&self) -> Vec<(GrantId, StoredGrant)> {
        let state = self.state();
        state.contents.grants.iter().map(|(id, grant)| (id.clone(), grant.clone())).collect()
    }

    /// Writes down that a token request for `grant` begins. On success the disk takes writes, so
    /// the answer will most likely be kept; and if the program ends before [`Store::commit`],
    /// [`Store::answer_was_lost`] says so.
    ///
    /// # Errors
    /// When it cannot be written. The grant is as it was.
    pub fn lease(&self, grant: &GrantId) -> Result<(), StoreError> {
        let rows = vec![Row::lease(grant, Held::Yes)?];
        self.write(rows, Unwritten::DidNotHappen, |contents| {
            contents.leases.insert(grant.clone());
        })
    }

    /// Takes the lease back: no answer came that says anything of the refresh token.
    pub fn release(&self, grant: &GrantId) {
        let (leased, lost) = {
            let contents = &self.state().contents;
            (contents.leases.contains(grant), contents.lost.contains(grant))
        };
        // What an earlier run left stays until an answer is kept.
        let rows = match (leased, lost) {
            (false, _) => return,
            (true, true) => Vec::new(),
            (true, false) => Row::lease(grant, Held::No).into_iter().collect(),
        };
        // `health` tells what cannot be written, and `save` tries again.
        let _ = self.write(rows, Unwritten::IsTrue, |contents| {
            contents.leases.remove(grant);
        });
    }

    /// Ends the lease of a request whose answer nobody knows. What the next start would make of the
    /// lease that was left is known at once: [`Store::answer_was_lost`].
    pub fn lose_answer(&self, grant: &GrantId) {
        // A lease that is written says so already.
        let rows = match self.state().contents.leases.contains(grant) {
            true => Vec::new(),
            false => Row::lease(grant, Held::Yes).into_iter().collect(),
        };
        // `health` tells what cannot be written, and `save` tries again.
        let _ = self.write(rows, Unwritten::IsTrue, |contents| {
            contents.leases.remove(grant);
            contents.lost.insert(grant.clone());
        });
    }

    /// Whether the answer to an earlier request was lost, by [`Store::lose_answer`] or because the
    /// program ended between [`Store::lease`] and [`Store::commit`]; a newer refresh token may have
    /// been lost with it. What is committed ends that.
    pub fn answer_was_lost(&self, grant: &GrantId) -> bool {
        self.state().contents.lost.contains(grant)
    }

    /// Replaces what is kept of `grant`, and ends its lease. It is true from now on, whatever
    /// comes of writing it.
    ///
    /// # Errors
    /// When it is in memory alone for now.
    pub fn commit(&self, grant: &GrantId, stored: &StoredGrant) -> Result<(), StoreError> {
        let rows = vec![Row::grant(grant, Some(stored))?, Row::lease(grant, Held::No)?];
        self.write(rows, Unwritten::IsTrue, |contents| {
            contents.grants.insert(grant.clone(), stored.clone());
            contents.end_request(grant);
            // What the disk holds beside a refusal is the same refresh token.
            if stored.refused.is_none() {
                contents.unsaved.insert(grant.clone());
            }
        })
    }

    /// Whether the newest refresh token of `grant` is in memory alone.
    pub fn is_unsaved(&self, grant: &GrantId) -> bool {
        self.state().contents.unsaved.contains(grant)
    }

    /// Forgets `grant`: the person gave the consent back.
    ///
    /// # Errors
    /// When it is forgotten in memory alone for now.
    pub fn remove(&self, grant: &GrantId) -> Result<(), StoreError> {
        let rows = vec![Row::grant(grant, None)?, Row::lease(grant, Held::No)?];
        self.write(rows, Unwritten::IsTrue, |contents| {
            contents.grants.remove(grant);
            contents.unsaved.remove(grant);
            contents.end_request(grant);
        })
    }

    /// The key of the tags of local passwords: 32 bytes, derived of the store's key.
    /// `None` while there is no store, and so no password.
    pub fn password_key(&self) -> Option<Zeroizing<[u8; 32]>> {
        self.state().password_key.clone()
    }

    /// The same, and makes the store if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_password_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        if self.password_key().is_none() {
            self.write_by(StoreFile::make, Unwritten::DidNotHappen, |_| {})?;
        }
        self.password_key().ok_or_else(|| StoreError::Io {
            problem: "the store has no key for local passwords: start mailbearer again".to_owned(),
        })
    }

    /// Every local password.
    pub fn passwords(&self) -> Vec<(PasswordTag, StoredPassword)> {
        let state = self.state();
        state.contents.passwords.iter().map(|(tag, kept)| (*tag, kept.clone())).collect()
    }

    /// Adds a local password and removes others, at once.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub fn change_passwords(
        &self,
        add: Option<(PasswordTag, StoredPassword)>,
        remove: &[PasswordTag],
    ) -> Result<(), StoreError> {
        let mut rows: Vec<_> = remove.iter().copied().map(Row::no_password).collect();
        if let Some((tag, password)) = &add {
            rows.push(Row::password(*tag, password)?);
        }
        self.write(rows, Unwritten::DidNotHappen, |contents| {
            for tag in remove {
                contents.passwords.remove(tag);
            }
            contents.passwords.extend(add);
        })
    }

    /// Whether everything is written.
    pub fn health(&self) -> Health {
        match &self.state().problem {
            None => Health::Saved,
            Some(problem) => Health::Unsaved { problem: problem.clone() },
        }
    }

    /// Tries again to write what is in memory alone.
    ///
    /// # Errors
    /// When it still cannot be written.
    pub fn save(&self) -> Result<(), StoreError> {
        match self.health() {
            Health::Saved => Ok(()),
            Health::Unsaved { .. } => self.write(Vec::new(), Unwritten::IsTrue, |_| {}),
        }
    }

    /// Writes `rows`, then lets `change` make the same of what is true.
    fn write(
        &self,
        rows: Vec<Row>,
        unwritten: Unwritten,
        change: impl FnOnce(&mut Contents),
    ) -> Result<(), StoreError> {
        self.write_by(|file, contents| file.write(rows, contents), unwritten, change)
    }

    fn write_by(
        &self,
        write: impl FnOnce(&mut StoreFile, &Contents) -> Result<(), StoreError>,
        unwritten: Unwritten,
        change: impl FnOnce(&mut Contents),
    ) -> Result<(), StoreError> {
        let mut file = self.file();
        let written = match &mut *file {
            None => Ok(()),
            // Nobody changes the state without the file's lock, so readers alone share it now.
            Some(file) => write(file, &self.state().contents),
        };
        let key = file.as_ref().and_then(|file| file.password_key().ok().flatten());
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        if written.is_ok() || unwritten == Unwritten::IsTrue {
            change(&mut state.contents);
        }
        if written.is_ok() {
            // A write that follows one that failed writes everything.
            state.contents.unsaved.clear();
        }
        if state.password_key.is_none() {
            state.password_key = key;
        }
        state.problem = written.as_ref().err().map(StoreError::to_string);
        written
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<StoreFile>> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}
