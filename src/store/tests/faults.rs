//! A disk that fails on command: full, or read-only.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use rustix::io::Errno;

use super::*;
use crate::store::Health;
use crate::store::disk::{Backend, Disk, How, SystemDisk};

/// What goes wrong from now on.
#[derive(Debug, Default)]
struct Faults {
    /// Writes and syncs of the database fail with this, after as many that do not.
    error: Option<(usize, Errno)>,
    /// Files can be opened for writing.
    read_only: bool,
    /// Writes and syncs so far.
    count: usize,
}

#[derive(Debug, Default, Clone)]
struct FaultyDisk(Arc<Mutex<Faults>>);

impl FaultyDisk {
    fn open(&self, place: &Place) -> Store {
        Store::open_on(Arc::new(self.clone()), &place.settings(), &Purpose::Serve).unwrap()
    }

    fn fail(&self, after: usize, error: Errno) {
        let mut faults = self.0.lock().unwrap();
        faults.error = Some((after, error));
        faults.count = 0;
    }

    fn recover(&self) {
        *self.0.lock().unwrap() = Faults::default();
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<File> {
        if self.0.lock().unwrap().read_only && how != How::Read {
            return Err(Errno::ROFS.into());
        }
        SystemDisk.open(path, how)
    }

    fn backend(&self, file: File) -> io::Result<Backend> {
        let backend = FaultyBackend { inner: Backend::of(file)?, faults: self.clone() };
        Ok(Backend::new(backend))
    }
}

#[derive(Debug)]
struct FaultyBackend {
    inner: Backend,
    faults: FaultyDisk,
}

impl FaultyBackend {
    fn meet(&self) -> io::Result<()> {
        let mut faults = self.faults.0.lock().unwrap();
        faults.count += 1;
        match faults.error {
            Some((after, error)) if faults.count > after => Err(error.into()),
            Some(_) | None => Ok(()),
        }
    }
}

impl StorageBackend for FaultyBackend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.meet()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meet()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.meet()?;
        self.inner.write(offset, data)
    }
}

#[test]
fn full_disk_costs_nothing_that_is_saved_when_there_is_room_again() {
    for after in 0..12 {
        let place = Place::with_token("old");
        let disk = FaultyDisk::default();
        let store = disk.open(&place);
        store.commit(&alice(), &grant("first")).unwrap();

        disk.fail(after, Errno::NOSPC);
        let failed = (0..20).find_map(|turn| {
            store.commit(&alice(), &grant(&format!("turn-{turn}"))).err().map(|e| (turn, e))
        });
        let (turn, error) = failed.unwrap();
        assert!(error.to_string().contains("full: make room"), "{error}");
        let newest = format!("turn-{turn}");
        assert_eq!(token_in(&store, &alice()), Some(newest.clone()));
        assert_eq!(store.health(), Health::Unsaved { problem: error.to_string() });

        let leased = store.lease(&account("bob@example.com")).unwrap_err();
        assert!(leased.to_string().contains("make room"), "{leased}");
        let added = store.change_passwords(Some((TAG, password("alice", None))), &[]);
        assert!(added.is_err() && store.passwords().is_empty());
        assert!(store.save().is_err());

        disk.recover();
        store.save().unwrap();
        assert_eq!(store.health(), Health::Saved);
        // What is on the disk now is what a crash would leave.
        let copy = Place::new();
        std::fs::create_dir_all(&copy.state).unwrap();
        set_mode(&copy.state, 0o700);
        for (from, to) in [(place.store(), copy.store()), (place.key(), copy.key())] {
            std::fs::copy(from, to).unwrap();
        }
        let reopened = copy.open().unwrap();
        assert_eq!(token_in(&reopened, &alice()), Some(newest));
        assert!(!reopened.answer_was_lost(&account("bob@example.com")), "nothing was asked");
        assert!(reopened.passwords().is_empty());
    }
}

#[test]
fn refresh_token_is_unsaved_until_anything_is_written() {
    let (place, disk) = (Place::with_token("token"), FaultyDisk::default());
    let (store, bob) = (disk.open(&place), account("bob@example.com"));
    store.commit(&bob, &grant("token")).unwrap();
    disk.fail(0, Errno::NOSPC);
    store.commit(&alice(), &grant("next")).unwrap_err();
    store.lease(&bob).unwrap_err();
    assert!(store.is_unsaved(&alice()) && !store.is_unsaved(&bob));
    disk.recover();
    store.lease(&bob).unwrap();
    assert!(!store.is_unsaved(&alice()), "it was written along");
}

#[test]
fn new_store_on_a_full_disk_is_made_when_there_is_room() {
    for after in 0..12 {
        let place = Place::new();
        let disk = FaultyDisk::default();
        let store = disk.open(&place);
        disk.fail(after, Errno::DQUOT);
        let error = store.commit(&alice(), &grant("token"));
        if error.is_ok() {
            assert!(after > 5, "{after}");
            continue;
        }
        assert!(!place.store().exists(), "no half a store");
        assert_eq!(store.password_key(), None);
        disk.recover();
        store.save().unwrap();
        drop(store);
        assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
    }
}

#[test]
fn read_only_store_is_used_from_memory_and_told() {
    let place = Place::with_token("token");
    let before = place.bytes();
    let disk = FaultyDisk::default();
    disk.0.lock().unwrap().read_only = true;
    let store = disk.open(&place);
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
    assert!(store.warning().unwrap().contains("read-only"), "{:?}", store.warning());
    assert!(store.control_directory().unwrap_err().contains("read-only"));
    assert_eq!(store.health(), Health::Saved);

    let error = store.lease(&alice()).unwrap_err();
    assert!(error.to_string().contains("mount a writable one"), "{error}");
    assert_eq!(store.health(), Health::Unsaved { problem: error.to_string() });
    assert!(store.commit(&alice(), &grant("newer")).is_err());
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("newer"));
    assert_eq!(place.bytes(), before);

    disk.recover();
    store.save().unwrap();
    assert_eq!((store.health(), store.control_directory().is_ok()), (Health::Saved, true));
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("newer"));
}

#[test]
fn consent_that_was_given_back_on_a_full_disk_does_not_come_back() {
    let place = Place::with_token("token");
    let disk = FaultyDisk::default();
    let store = disk.open(&place);
    store.lease(&alice()).unwrap();
    disk.fail(0, Errno::IO);
    assert!(store.remove(&alice()).is_err());
    assert!(store.load(&alice()).is_none());
    disk.recover();
    store.save().unwrap();
    drop(store);
    assert!(place.open().unwrap().load(&alice()).is_none());
}
