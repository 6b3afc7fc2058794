//! Damaged files: refused and left as they are, or read whole. Never read in part.

use proptest::prelude::*;

use super::*;
use crate::store::embedded::{Fault, examine};
use crate::store::key::Key;

/// A store with a history: three commits, closed in good order or not.
struct Sample {
    key: String,
    bytes: Vec<u8>,
    expected: String,
}

impl Sample {
    fn new(closed: bool) -> Self {
        let place = Place::new();
        let store = place.open().unwrap();
        for turn in 0..3 {
            store.commit(&alice(), &grant(&format!("token-{turn}"))).unwrap();
            store.lease(&account("bob@example.com")).unwrap();
            store.commit(&account("bob@example.com"), &grant(&format!("bobs-{turn}"))).unwrap();
        }
        store.change_passwords(Some((TAG, password("alice", None))), &[]).unwrap();
        let expected =
            format!("{:?}", store.0.state.read().unwrap().contents.rows().unwrap().len())
                + &tokens(&store.list());
        let crashed = place.bytes();
        drop(store);
        let bytes = if closed { place.bytes() } else { crashed };
        Self { key: std::fs::read_to_string(place.key()).unwrap(), bytes, expected }
    }

    /// What is read of `bytes`, or that they are refused as damaged.
    fn read(&self, bytes: Vec<u8>) -> Option<String> {
        let key = Key::parse(self.key.trim_end().into()).unwrap();
        match examine(bytes, key) {
            Ok(found) => {
                let rows = found.contents.rows().unwrap().len();
                let grants: Vec<_> = found.contents.grants.into_iter().collect();
                Some(format!("{rows:?}") + &tokens(&grants))
            }
            Err(Fault::Damaged(_) | Fault::OtherKey | Fault::Newer) => None,
        }
    }

    fn assert_whole_or_refused(&self, bytes: Vec<u8>, what: &str) {
        if let Some(read) = self.read(bytes) {
            assert_eq!(read, self.expected, "{what}");
        }
    }

    /// Offsets of bytes that mean something: those of the header, and those that are not 0.
    fn meaningful(&self) -> Vec<usize> {
        let header = 0..320;
        let rest = 320..self.bytes.len();
        header.chain(rest.filter(|&at| self.bytes[at] != 0)).collect()
    }
}

fn tokens(grants: &[(GrantId, StoredGrant)]) -> String {
    grants.iter().map(|(_, grant)| format!(" {}", grant.refresh_token.expose_secret())).collect()
}

#[test]
fn store_is_read_whole_when_it_is_not_damaged() {
    for closed in [true, false] {
        let sample = Sample::new(closed);
        assert_eq!(sample.expected, "3 token-2 bobs-2");
        assert_eq!(sample.read(sample.bytes.clone()), Some(sample.expected.clone()));
    }
}

#[test]
fn altered_byte_never_costs_a_part_of_the_store() {
    let sample = Sample::new(true);
    assert_alterations_are_noticed(&sample, |_| true);
}

/// Byte 9 says which of the last two commits counts, and has no check sum. Behind a crash the older
/// may be the one, so a file that was not closed does not show that this byte was altered.
#[test]
fn altered_byte_never_costs_a_part_of_a_store_that_was_not_closed() {
    let sample = Sample::new(false);
    assert_alterations_are_noticed(&sample, |at| at != 9);
}

#[track_caller]
fn assert_alterations_are_noticed(sample: &Sample, altered: fn(usize) -> bool) {
    let (header, others): (Vec<_>, Vec<_>) =
        sample.meaningful().into_iter().partition(|&at| at < 320);
    let mut refused = 0;
    for at in header.into_iter().chain(others.into_iter().step_by(37)).filter(|&at| altered(at)) {
        for bit in [0x01, 0x80] {
            let mut bytes = sample.bytes.clone();
            bytes[at] ^= bit;
            refused += usize::from(sample.read(bytes.clone()).is_none());
            sample.assert_whole_or_refused(bytes, &format!("byte {at}, bit {bit:#x}"));
        }
    }
    assert!(refused > 50, "{refused}");
}

#[test]
fn truncated_store_is_refused() {
    let sample = Sample::new(true);
    let len = sample.bytes.len();
    let pages = (0..len).step_by(4096).flat_map(|at| [at, at + 1]);
    for at in [1, 8, 9, 63, 319, 320, len - 1].into_iter().chain(pages.step_by(7)) {
        let at = at.min(len - 1);
        assert_eq!(sample.read(sample.bytes[..at].to_vec()), None, "{at} of {len} bytes");
    }
}

#[test]
fn longer_store_is_whole_or_refused() {
    let sample = Sample::new(true);
    for more in [1, 511, 4096, 65_536] {
        let mut bytes = sample.bytes.clone();
        bytes.resize(bytes.len() + more, 0xa5);
        sample.assert_whole_or_refused(bytes, &format!("{more} bytes more"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn several_altered_bytes_never_cost_a_part_of_the_store(
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        thread_local! { static SAMPLE: (Sample, Vec<usize>) = {
            let sample = Sample::new(true);
            let meaningful = sample.meaningful();
            (sample, meaningful)
        } }
        SAMPLE.with(|(sample, meaningful)| {
            let mut bytes = sample.bytes.clone();
            for (at, byte) in &at {
                bytes[*at.get(meaningful)] = *byte;
            }
            sample.assert_whole_or_refused(bytes, &format!("{at:?}"));
        });
    }
}

#[test]
fn file_that_is_no_store_is_refused_and_left_as_it_is() {
    let place = Place::with_token("token");
    let whole = place.bytes();
    let foreign = {
        let path = place.state.join("foreign");
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::TableDefinition::<u64, u64>::new("store");
        transaction.open_table(table).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
        drop(database);
        std::fs::read(path).unwrap()
    };
    for bytes in [Vec::new(), b"a line of text\n".to_vec(), foreign, whole[..5000].to_vec()] {
        std::fs::write(place.store(), &bytes).unwrap();
        let error = place.open().unwrap_err();
        assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
        for told in ["left as it is", "mv ", ".damaged", "mailbearer authorize", "backup"] {
            assert!(error.to_string().contains(told), "{error}");
        }
        assert_eq!(place.bytes(), bytes);
    }
    std::fs::write(place.store(), &whole).unwrap();
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn store_is_not_changed_by_looking() {
    let place = Place::with_token("token");
    let before = place.bytes();
    for open in [Place::open, Place::command] {
        let store = open(&place).unwrap();
        assert_eq!(store.list().len(), 1);
        drop(store);
        assert_eq!(place.bytes(), before);
    }
}

#[test]
fn store_that_is_damaged_while_in_use_is_told_and_written_again() {
    let place = Place::with_token("token");
    let store = place.open().unwrap();
    let mut bytes = place.bytes();
    bytes.truncate(9000);
    std::fs::write(place.store(), &bytes).unwrap();
    let error = store.commit(&alice(), &grant("newer")).unwrap_err();
    assert!(error.to_string().contains("damaged while it was in use"), "{error}");
    assert_eq!(place.bytes(), bytes);
    std::fs::rename(place.store(), place.state.join("mailbearer.redb.damaged")).unwrap();
    store.save().unwrap();
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("newer"));
}
