//! Tests of the store as a whole.

mod damage;
mod faults;
mod life;
mod opening;
mod power;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{
    KeySource, PasswordTag, Purpose, Store, StoreError, StoreSettings, StoredGrant, StoredPassword,
};
use crate::names::Username;
use crate::provider::{GrantId, Protocol};
use crate::secret::{ExposeSecret as _, RefreshToken};

/// A state directory that is not made yet, with its store and key.
struct Place {
    root: TempDir,
    state: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { state: root.path().join("var/mailbearer"), root }
    }

    fn store(&self) -> PathBuf {
        self.state.join("mailbearer.redb")
    }

    fn key(&self) -> PathBuf {
        self.state.join("store.key")
    }

    fn settings(&self) -> StoreSettings {
        StoreSettings { path: self.store(), key: KeySource::Made(self.key()) }
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.settings(), &Purpose::Serve)
    }

    fn command(&self) -> Result<Store, StoreError> {
        let line = "mailbearer accounts".to_owned();
        Store::open(&self.settings(), &Purpose::Command { line })
    }

    /// The store's bytes.
    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.store()).unwrap()
    }

    /// Makes a store that holds the token, and closes it.
    fn with_token(token: &str) -> Self {
        let place = Self::new();
        place.open().unwrap().commit(&alice(), &grant(token)).unwrap();
        place
    }
}

fn account(name: &str) -> GrantId {
    GrantId::Account(Username::parse(name).unwrap())
}

fn alice() -> GrantId {
    account("alice@example.com")
}

fn grant(token: &str) -> StoredGrant {
    StoredGrant {
        refresh_token: RefreshToken::parse(token).unwrap(),
        client_id: "client".to_owned(),
        token_endpoint: "https://login.example/token".to_owned(),
        user: None,
        consented_at: Duration::from_secs(1_700_000_000),
        refreshed_at: Duration::from_millis(1_700_000_000_001),
        ends_at: None,
        refused: None,
        shortfall: None,
    }
}

fn password(name: &str, label: Option<&str>) -> StoredPassword {
    StoredPassword {
        name: Username::parse(name).unwrap(),
        label: label.map(str::to_owned),
        protocols: vec![Protocol::Submission, Protocol::Imap],
        made_at: Duration::from_secs(5),
    }
}

const TAG: PasswordTag = [9; 32];

#[track_caller]
fn token_in(store: &Store, grant: &GrantId) -> Option<String> {
    store.load(grant).map(|grant| grant.refresh_token.expose_secret().to_owned())
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
