//! What a reload cannot change.

use crate::store::KeySource;

use super::Config;

impl Config {
    /// What differs in `new` and takes effect by a restart alone, each as what to do. Empty where a
    /// running relay may go on with `new`.
    pub fn unreloadable_changes(&self, new: &Self) -> Vec<String> {
        let changes = [
            ("store.path", self.store.path != new.store.path),
            ("store.key", !is_same_key(&self.store.key, &new.store.key)),
            ("web.address", self.web.addresses() != new.web.addresses()),
            ("web.probes", self.web.probes != new.web.probes),
            ("log.format", self.log.format != new.log.format),
        ];
        let changed = changes.iter().filter(|(_, is_changed)| *is_changed);
        changed.map(|(key, _)| format!("restart to change `{key}`")).collect()
    }
}

fn is_same_key(one: &KeySource, other: &KeySource) -> bool {
    match (one, other) {
        // It lies beside the store, whose path was compared.
        (KeySource::Made(_), KeySource::Made(_)) => true,
        (KeySource::Given(one), KeySource::Given(other)) => one.is_same_as(other),
        (KeySource::Made(_), KeySource::Given(_)) | (KeySource::Given(_), KeySource::Made(_)) => {
            false
        }
    }
}
