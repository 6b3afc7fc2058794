//! The store's key: a line of text that seals all that is kept.
//!
//! A key that mailbearer makes is 32 random bytes in base64. Either kind is used as the text it is,
//! so a made key may later be named in the configuration, or given by the environment.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::StoreError;
use super::disk::{Disk, How, check_private, is_absence, sync_name};
use super::problem::{move_aside, not_read, not_written};
use super::seal::random;
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// The key itself. It never prints.
#[derive(Clone)]
pub(super) struct Key(SecretString);

/// Whether `source` gives a secret that is long enough to seal a store.
pub fn is_key(source: &SecretSource) -> bool {
    source.read().is_ok_and(|text| Key::parse(text).is_some())
}

impl Key {
    /// The shortest key, in bytes. 32 characters of hexadecimal digits are 128 bits.
    const LEN_MIN: usize = 32;

    /// Takes `text` if it is long enough.
    pub(super) fn parse(text: SecretString) -> Option<Self> {
        (text.expose_secret().len() >= Self::LEN_MIN).then_some(Self(text))
    }

    /// Reads the key that the configuration names.
    pub(super) fn given(source: &SecretSource) -> Result<Self, StoreError> {
        let unusable = |problem| StoreError::Unusable { problem };
        let text = source.read().map_err(|error| {
            unusable(format!("`store.key` cannot be used, {error}: {}", error.fix()))
        })?;
        Self::parse(text).ok_or_else(|| {
            unusable(
                "`store.key` has fewer than 32 characters, which could be guessed: make one with \
                 `openssl rand -base64 32`"
                    .to_owned(),
            )
        })
    }

    /// Reads the key that mailbearer made, if it is there.
    pub(super) fn made(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, StoreError> {
        read_file(disk, path)
    }

    /// Draws a key.
    pub(super) fn draw() -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut())?;
        let mut text = Zeroizing::new([0; 44]);
        let text = match STANDARD.encode_slice(bytes.as_ref(), text.as_mut()) {
            Ok(len) => text.get(..len).and_then(|text| std::str::from_utf8(text).ok()),
            Err(_) => None,
        };
        let key = text.map(SecretString::from).and_then(Self::parse);
        key.ok_or_else(|| StoreError::Io { problem: "no key could be made".to_owned() })
    }

    /// Writes the key where a made one lies, whole or not at all.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
        let new = new_path(path);
        let written = (|| {
            let _ = std::fs::remove_file(&new);
            let mut file = disk.open(&new, How::Make)?;
            file.write_all(self.bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&new, path)?;
            sync_name(path)
        })();
        written.map_err(|error| {
            let _ = std::fs::remove_file(&new);
            not_written(path, &error)
        })
    }

    /// What keys are derived of.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

/// There is a store at `store`, and no key at `key`.
pub(super) fn missing(key: &Path, store: &Path) -> StoreError {
    let aside = move_aside(store);
    StoreError::Unusable {
        problem: format!(
            "{key:?} is missing, the key that seals {store:?}: restore it from a backup, or run \
             `{aside}` and then `mailbearer authorize` for each account with a consent"
        ),
    }
}

/// Under which name a file is made before it gets its own.
pub(super) fn new_path(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

fn read_file(disk: &dyn Disk, path: &Path) -> Result<Option<Key>, StoreError> {
    let file = match disk.open(path, How::Read) {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    check_private(path, &file.metadata().map_err(|error| not_read(path, &error))?)?;
    // Reserved at once, so that no copy is left behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(FILE_RESERVED));
    file.take(FILE_LEN_MAX).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    match Key::parse(text.trim_end_matches(['\r', '\n']).into()) {
        Some(key) => Ok(Some(key)),
        None => Err(StoreError::Unusable {
            problem: format!(
                "{path:?} holds no key (a line of 32 characters or more): restore it from a \
                 backup; if there is no store beside it yet, remove it, and one is made"
            ),
        }),
    }
}

/// A key that cannot be read now is no reason to go on without what it opens.
fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        let problem = format!("{path:?} is a symbolic link: name the file itself in `store.key`");
        return StoreError::Unusable { problem };
    }
    StoreError::Unusable { problem: not_read(path, error).to_string() }
}

/// Longest key file, in bytes: what `secret` reads of any file.
const FILE_LEN_MAX: u64 = 65_536;

/// Room for a key file, in bytes, and for what reading asks besides.
const FILE_RESERVED: usize = 65_536 + 64;
