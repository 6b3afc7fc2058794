//! Made local passwords: drawn at random, kept by their tag alone, good for one name.
//!
//! A tag is HMAC-SHA256 of length of name, name in lower case and password, under the store's own
//! key. With 99 bits of chance in a password no slow hash is needed: a sign-in is one tag and one
//! lookup, however many passwords there are.
//!
//! Making and revoking block for as long as the disk takes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::clock::unix_time;
use crate::names::Username;
use crate::provider::Protocol;
use crate::secret::{ExposeSecret as _, SecretString};
use crate::store::{PasswordTag, Store, StoreError, StoredPassword};

/// What a password is made of: no letter or digit that is taken for another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Characters of a password: 99 bits of chance, as `log2(31)` is 4.95.
const PASSWORD_LEN: usize = 20;

/// What a device's password is good for: what has no mailbox to read only sends.
const OF_DEVICE: &[Protocol] = &[Protocol::Submission];

/// Longest label, in characters.
const LABEL_LEN_MAX: usize = 64;

/// Most passwords of one name: far more than anybody has devices, and a list that can be read.
const PER_NAME_MAX: usize = 100;

/// A password that was just made.
#[derive(Debug)]
pub struct Made {
    /// The password itself. It is kept nowhere else.
    pub password: SecretString,
    /// What it is good for.
    pub protocols: Vec<Protocol>,
    /// Whether there was one before, which is revoked now.
    pub replaced: bool,
}

/// A password that was made before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// All of it but the password itself.
    pub password: StoredPassword,
    /// When somebody signed in by it, since 1970, as far back as this process goes.
    pub last_used_at: Option<Duration>,
}

/// Why no password was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The label cannot be kept.
    #[error(
        "a label is 1 to 64 ASCII letters, digits, `-`, `_` and `.`, with blanks inside alone: \
         choose another"
    )]
    Label,
    /// The name has a password of this label.
    #[error("{name} has a password labelled {label:?} already: revoke it first, or choose another")]
    LabelTaken {
        /// Whose it would be.
        name: Username,
        /// The label as it is kept.
        label: String,
    },
    /// The name has as many as it may have.
    #[error("{name} has {PER_NAME_MAX} passwords already: revoke one first")]
    TooMany {
        /// Whose it would be.
        name: Username,
    },
    /// The system yields no random numbers.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The machine yields no random numbers, so nothing can be kept secret on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system yields no random numbers: let this process read /dev/urandom")]
pub struct RandomError;

/// The made passwords of a store.
pub(super) struct MadePasswords {
    store: Store,
    /// `None` while there is no store on disk, and so no password.
    key: RwLock<Option<hmac::Key>>,
    live: Mutex<HashMap<PasswordTag, Live>>,
    /// Held by whoever makes or revokes, over the writing. `live` is not: sign-ins go on.
    changing: Mutex<()>,
}

/// A password that is good.
struct Live {
    password: StoredPassword,
    revoked: CancellationToken,
    /// When somebody signed in by it, since 1970.
    last_used_at: Option<Duration>,
}

impl Live {
    fn new(password: StoredPassword) -> Self {
        Self { password, revoked: CancellationToken::new(), last_used_at: None }
    }
}

/// A password that somebody showed.
pub(super) struct Verified {
    /// Its tag.
    pub(super) tag: PasswordTag,
    /// Cancelled when it is good no more.
    pub(super) revoked: CancellationToken,
}

impl MadePasswords {
    /// Those that `store` keeps.
    pub(super) fn new(store: Store) -> Self {
        let live = store.passwords().into_iter().map(|(tag, mut password)| {
            // One without a label is for every protocol, also for those that a version which made
            // it did not have; but a device's.
            if password.label.is_none() && password.protocols != OF_DEVICE {
                password.protocols = Protocol::ALL.to_vec();
            }
            (tag, Live::new(password))
        });
        let live = Mutex::new(live.collect());
        let key = RwLock::new(store.password_key().map(|key| hmac_key(&key)));
        Self { store, key, live, changing: Mutex::default() }
    }

    /// Whether `password` is one of `name` that is good for `protocol`.
    pub(super) fn verify(
        &self,
        name: &Username,
        protocol: Protocol,
        password: &[u8],
    ) -> Option<Verified> {
        let tag = {
            let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
            tag(key.as_ref()?, name, password)
        };
        let live = self.live();
        let found = live.get(&tag)?;
        let is_good =
            found.password.name == name.folded() && found.password.protocols.contains(&protocol);
        is_good.then(|| Verified { tag, revoked: found.revoked.clone() })
    }

    /// Records that somebody signed in by the password with that tag.
    pub(super) fn used(&self, tag: &PasswordTag, now: Duration) {
        if let Some(used) = self.live().get_mut(tag) {
            used.last_used_at = Some(now);
        }
    }

    /// Makes a password of `name`, for `protocols`, or for submission where there are none. The one
    /// without a label is for every protocol and replaces the one before.
    pub(super) fn make(
        &self,
        name: &Username,
        label: Option<&str>,
        protocols: &[Protocol],
    ) -> Result<Made, MakeError> {
        let label = label.map(checked_label).transpose()?;
        let protocols = match (label, protocols) {
            (None, _) => &Protocol::ALL,
            (Some(_), []) => OF_DEVICE,
            (Some(_), protocols) => protocols,
        };
        self.make_one(name, label, protocols)
    }

    /// Makes the password of the device `name`, in place of the one before.
    pub(super) fn make_for_device(&self, name: &Username) -> Result<Made, MakeError> {
        self.make_one(name, None, OF_DEVICE)
    }

    fn make_one(
        &self,
        name: &Username,
        label: Option<&str>,
        protocols: &[Protocol],
    ) -> Result<Made, MakeError> {
        let name = name.folded();
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.tags(&name, label);
        if let (Some(label), false) = (label, before.is_empty()) {
            return Err(MakeError::LabelTaken { name, label: label.to_owned() });
        }
        if before.is_empty() && self.list(&name).len() >= PER_NAME_MAX {
            return Err(MakeError::TooMany { name });
        }

        let password = draw()?;
        let key = hmac_key(&*self.store.make_password_key()?);
        let tag = tag(&key, &name, password.expose_secret().as_bytes());
        let stored = StoredPassword {
            name,
            label: label.map(str::to_owned),
            protocols: protocols.to_vec(),
            made_at: unix_time(),
        };
        self.store.change_passwords(Some((tag, stored.clone())), &before)?;

        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
        let mut live = self.live();
        live.insert(tag, Live::new(stored));
        forget(&mut live, &before);
        Ok(Made { password, protocols: protocols.to_vec(), replaced: !before.is_empty() })
    }

    /// The passwords of `name`: the one without a label first, then by label.
    pub(super) fn list(&self, name: &Username) -> Vec<Listed> {
        let name = name.folded();
        let live = self.live();
        let of_name = live.values().filter(|it| it.password.name == name);
        let mut list: Vec<_> = of_name
            .map(|it| Listed { password: it.password.clone(), last_used_at: it.last_used_at })
            .collect();
        list.sort_by(|one, other| one.password.label.cmp(&other.password.label));
        list
    }

    /// Revokes a password of `name`; gives whether there was one. Its sessions end.
    pub(super) fn revoke(&self, name: &Username, label: Option<&str>) -> Result<bool, StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let revoked = self.tags(&name.folded(), label);
        if revoked.is_empty() {
            return Ok(false);
        }
        self.store.change_passwords(None, &revoked)?;
        forget(&mut self.live(), &revoked);
        Ok(true)
    }

    /// Whose there are, each name once.
    pub(super) fn names(&self) -> HashSet<Username> {
        self.live().values().map(|it| it.password.name.clone()).collect()
    }

    /// The tags of the passwords with that name, folded, and label; one at most.
    fn tags(&self, name: &Username, label: Option<&str>) -> Vec<PasswordTag> {
        let is_meant = |password: &StoredPassword| {
            password.name == *name
                && match (password.label.as_deref(), label) {
                    (None, None) => true,
                    (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
                    (None, Some(_)) | (Some(_), None) => false,
                }
        };
        let live = self.live();
        live.iter().filter(|(_, it)| is_meant(&it.password)).map(|(tag, _)| *tag).collect()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<PasswordTag, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MadePasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadePasswords").finish_non_exhaustive()
    }
}

fn forget(live: &mut HashMap<PasswordTag, Live>, tags: &[PasswordTag]) {
    for tag in tags {
        if let Some(gone) = live.remove(tag) {
            gone.revoked.cancel();
        }
    }
}

fn hmac_key(bytes: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn tag(key: &hmac::Key, name: &Username, password: &[u8]) -> PasswordTag {
    let name = name.folded();
    let name = name.as_str().as_bytes();
    let mut context = hmac::Context::with_key(key);
    // No name and password are the bytes of another name and password. `usize` has 64 bits at most.
    context.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(name);
    context.update(password);
    let mut tag = PasswordTag::default();
    for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    tag
}

/// A label as it may be kept. It is printed, typed in a shell and compared, so it is plain.
fn checked_label(label: &str) -> Result<&str, MakeError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    let fits = (1..=LABEL_LEN_MAX).contains(&label.len()) && label.bytes().all(is_plain);
    if fits && label.trim() == label { Ok(label) } else { Err(MakeError::Label) }
}

/// Draws a password: each character is each of the alphabet with the same chance.
fn draw() -> Result<SecretString, RandomError> {
    let mut drawn = Zeroizing::new([0; 2 * PASSWORD_LEN]);
    let mut password = String::with_capacity(PASSWORD_LEN);
    while password.len() < PASSWORD_LEN {
        rand::fill(drawn.as_mut_slice()).map_err(|_| RandomError)?;
        let letters = drawn.iter().filter_map(|&byte| letter(byte));
        password.extend(letters.take(PASSWORD_LEN - password.len()));
    }
    Ok(SecretString::from(password))
}

/// The character that a random byte gives. The last few bytes would make some characters more
/// likely than others, so they give none.
fn letter(byte: u8) -> Option<char> {
    let byte = usize::from(byte);
    let usable = 256 - 256 % ALPHABET.len();
    let letter = ALPHABET.get(byte % ALPHABET.len()).filter(|_| byte < usable)?;
    Some(char::from(*letter))
}

#[cfg(test)]
mod tests;
