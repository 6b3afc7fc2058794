//! The store as token requests use it: away from the threads that serve sessions, because a disk
//! takes its time.

use std::fmt;
use std::sync::Arc;

use crate::provider::GrantId;
use crate::store::{Health, Store, StoreError, StoredGrant};

/// What token requests need of a store: see [`Store`].
pub(super) trait GrantStore: Send + Sync + fmt::Debug {
    fn load(&self, grant: &GrantId) -> Option<StoredGrant>;
    fn list(&self) -> Vec<StoredGrant>;
    fn lease(&self, grant: &GrantId) -> Result<(), StoreError>;
    fn release(&self, grant: &GrantId);
    fn lose_answer(&self, grant: &GrantId);
    fn answer_was_lost(&self, grant: &GrantId) -> bool;
    fn commit(&self, grant: &GrantId, stored: &StoredGrant) -> Result<(), StoreError>;
    fn remove(&self, grant: &GrantId) -> Result<(), StoreError>;
    fn is_unsaved(&self, grant: &GrantId) -> bool;
    fn health(&self) -> Health;
    fn save(&self) -> Result<(), StoreError>;
}

impl GrantStore for Store {
    fn load(&self, grant: &GrantId) -> Option<StoredGrant> {
        Self::load(self, grant)
    }

    fn list(&self) -> Vec<StoredGrant> {
        Self::list(self).into_iter().map(|(_, stored)| stored).collect()
    }

    fn lease(&self, grant: &GrantId) -> Result<(), StoreError> {
        Self::lease(self, grant)
    }

    fn release(&self, grant: &GrantId) {
        Self::release(self, grant);
    }

    fn lose_answer(&self, grant: &GrantId) {
        Self::lose_answer(self, grant);
    }

    fn answer_was_lost(&self, grant: &GrantId) -> bool {
        Self::answer_was_lost(self, grant)
    }

    fn commit(&self, grant: &GrantId, stored: &StoredGrant) -> Result<(), StoreError> {
        Self::commit(self, grant, stored)
    }

    fn remove(&self, grant: &GrantId) -> Result<(), StoreError> {
        Self::remove(self, grant)
    }

    fn is_unsaved(&self, grant: &GrantId) -> bool {
        Self::is_unsaved(self, grant)
    }

    fn health(&self) -> Health {
        Self::health(self)
    }

    fn save(&self) -> Result<(), StoreError> {
        Self::save(self)
    }
}

/// What the store holds of a grant before a request.
#[derive(Debug)]
pub(super) struct Entry {
    /// The refresh token and all that is known of it.
    pub(super) stored: StoredGrant,
    /// Whether the answer to an earlier request for it is unknown.
    pub(super) answer_was_lost: bool,
}

/// A store, asked without blocking.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    store: Arc<dyn GrantStore>,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn GrantStore>) -> Self {
        Self { store }
    }

    /// The store itself, which blocks.
    pub(super) fn store(&self) -> &dyn GrantStore {
        &*self.store
    }

    /// What is kept of `grant`.
    ///
    /// # Errors
    /// When the program ends.
    pub(super) async fn load(&self, grant: &GrantId) -> Result<Option<Entry>, StoreError> {
        let grant = grant.clone();
        self.call(move |store| {
            Ok(store.load(&grant).map(|stored| {
                let answer_was_lost = store.answer_was_lost(&grant);
                Entry { stored, answer_was_lost }
            }))
        })
        .await
    }

    /// All that is kept, whether the configuration names it or not.
    ///
    /// # Errors
    /// When the program ends.
    pub(super) async fn list(&self) -> Result<Vec<StoredGrant>, StoreError> {
        self.call(|store| Ok(store.list())).await
    }

    /// As [`Store::lease`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn lease(&self, grant: &GrantId) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.call(move |store| store.lease(&grant)).await
    }

    /// As [`Store::release`].
    pub(super) async fn release(&self, grant: &GrantId) {
        self.end(grant, |store, grant| store.release(grant)).await;
    }

    /// As [`Store::lose_answer`].
    pub(super) async fn lose_answer(&self, grant: &GrantId) {
        self.end(grant, |store, grant| store.lose_answer(grant)).await;
    }

    async fn end(
        &self,
        grant: &GrantId,
        end: impl FnOnce(&dyn GrantStore, &GrantId) + Send + 'static,
    ) {
        let grant = grant.clone();
        // It can fail only when the program ends, and then the lease stays, which is true.
        let _ = self
            .call(move |store| {
                end(store, &grant);
                Ok(())
            })
            .await;
    }

    /// As [`Store::commit`].
    ///
    /// # Errors
    /// When it is in memory alone for now.
    pub(super) async fn commit(
        &self,
        grant: &GrantId,
        stored: StoredGrant,
    ) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.call(move |store| store.commit(&grant, &stored)).await
    }

    /// As [`Store::remove`].
    ///
    /// # Errors
    /// When it is forgotten in memory alone for now.
    pub(super) async fn remove(&self, grant: &GrantId) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.call(move |store| store.remove(&grant)).await
    }

    /// Writes what is in memory alone, if there is anything.
    ///
    /// # Errors
    /// When it still cannot be written.
    pub(super) async fn save(&self) -> Result<Saved, StoreError> {
        self.call(|store| match store.health() {
            Health::Saved => Ok(Saved::Already),
            Health::Unsaved { .. } => store.save().map(|()| Saved::Now),
        })
        .await
    }

    async fn call<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn GrantStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || ask(&*store)).await.unwrap_or_else(|_| {
            let problem = "the program is ending: start it again".to_owned();
            Err(StoreError::Io { problem })
        })
    }
}

/// What came of [`Ledger::save`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    /// There was nothing to write.
    Already,
    /// It is written now.
    Now,
}
