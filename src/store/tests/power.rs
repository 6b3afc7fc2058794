//! A machine that loses power at any moment, and what its disk holds then.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::*;
use crate::store::disk::{Backend, Disk, How, SystemDisk};

/// A disk: what was written and not synced when the power went arrives in part.
#[derive(Debug, Default)]
struct Medium {
    /// What is safe.
    synced: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// Operations until the power goes; those after it reach nothing.
    left: Option<usize>,
    /// Writes since the last sync, by their place.
    pending: BTreeMap<u64, Vec<u8>>,
}

#[derive(Debug, Clone)]
struct PowerlessDisk {
    medium: Arc<Mutex<Medium>>,
}

impl Medium {
    fn is_on(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

#[derive(Debug)]
struct PowerlessBackend(Arc<Mutex<Medium>>);

impl StorageBackend for PowerlessBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len().try_into().unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let medium = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&medium.seen[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        let len = usize::try_from(len).unwrap();
        medium.seen.resize(len, 0);
        if medium.is_on() {
            medium.synced.resize(len, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        if medium.is_on() {
            for (offset, data) in std::mem::take(&mut medium.pending) {
                let offset = usize::try_from(offset).unwrap();
                medium.synced[offset..offset + data.len()].copy_from_slice(&data);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        medium.seen[at..at + data.len()].copy_from_slice(data);
        if medium.is_on() {
            medium.pending.insert(offset, data.to_vec());
        }
        Ok(())
    }
}

impl Disk for PowerlessDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<File> {
        SystemDisk.open(path, how)
    }

    fn backend(&self, _file: File) -> io::Result<Backend> {
        Ok(Backend::new(PowerlessBackend(Arc::clone(&self.medium))))
    }
}

/// What may be on the disk after the power went: of the writes since the last sync none, all, or
/// every other one.
fn remains(medium: &Medium) -> Vec<Vec<u8>> {
    [|_| false, |_| true, |at: usize| at.is_multiple_of(2), |at: usize| !at.is_multiple_of(2)]
        .into_iter()
        .map(|arrives: fn(usize) -> bool| {
            let mut bytes = medium.synced.clone();
            let pending = medium.pending.iter().enumerate();
            for (_, (offset, data)) in pending.filter(|(at, _)| arrives(*at)) {
                let offset = usize::try_from(*offset).unwrap();
                bytes[offset..offset + data.len()].copy_from_slice(data);
            }
            bytes
        })
        .collect()
}

#[test]
fn store_holds_the_previous_or_the_newest_token_whole_whenever_the_power_goes() {
    let original = Place::with_token("token-0");
    let before = original.bytes();
    for left in 0.. {
        let place = Place::new();
        std::fs::create_dir_all(&place.state).unwrap();
        set_mode(&place.state, 0o700);
        std::fs::copy(original.key(), place.key()).unwrap();
        std::fs::copy(original.store(), place.store()).unwrap();
        let medium = Medium {
            synced: before.clone(),
            seen: before.clone(),
            left: Some(left),
            ..Medium::default()
        };
        let medium = Arc::new(Mutex::new(medium));
        let disk = PowerlessDisk { medium: Arc::clone(&medium) };
        let store = Store::open_on(Arc::new(disk), &place.settings(), &Purpose::Serve).unwrap();
        let (mut kept, mut begun) = (0, 0);
        for turn in 1..=3 {
            begun = turn;
            store.lease(&alice()).unwrap();
            store.commit(&alice(), &grant(&format!("token-{turn}"))).unwrap();
            if medium.lock().unwrap().left == Some(0) {
                break;
            }
            kept = turn;
        }
        let ended = medium.lock().unwrap().left != Some(0);
        let remains = remains(&medium.lock().unwrap());
        drop(store);
        for bytes in remains {
            std::fs::write(place.store(), bytes).unwrap();
            let store = place.open().unwrap_or_else(|error| panic!("{left}: {error}"));
            let token = token_in(&store, &alice()).unwrap();
            let allowed = [format!("token-{kept}"), format!("token-{begun}")];
            assert!(allowed.contains(&token), "{left}: {token}, not of {allowed:?}");
        }
        if ended {
            assert!(left > 20, "{left} operations are too few for three turns");
            break;
        }
    }
}
