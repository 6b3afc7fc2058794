//! Sealing: what is kept is unreadable, and cannot be moved elsewhere, without the key.
//!
//! A sealed record: 1 byte layout version, 32 bytes salt, the text as long as it is, 16 bytes tag.
//! Its key is HKDF-SHA256 (RFC 5869) of the store's key and the salt, drawn anew for each record, so
//! AES-256-GCM runs under each key once and needs no nonce that is ever counted. The associated data
//! are the table, the row and the store: a record opens nowhere else.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::StoreError;
use super::key::Key;

/// Seals and opens the records of one store.
#[derive(Debug)]
pub(super) struct Seal {
    key: Key,
    id: StoreId,
}

/// What tells one store from every other: random, and kept in clear.
pub(super) type StoreId = [u8; 16];

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The table's name.
    pub(super) table: &'a str,
    /// The row's key.
    pub(super) row: &'a [u8],
}

/// Why a record does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealError {
    /// Another key, another place, or altered.
    Broken,
    /// A later version of mailbearer sealed it.
    Newer,
}

impl Seal {
    /// Seals with `key` for the store `id`.
    pub(super) fn new(key: Key, id: StoreId) -> Self {
        Self { key, id }
    }

    /// Which store.
    pub(super) fn id(&self) -> &StoreId {
        &self.id
    }

    /// With which key.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Seals `text` for `place`.
    pub(super) fn seal(&self, place: Place<'_>, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut salt = [0; SALT_LEN];
        random(&mut salt)?;
        // Reserved at once, so that no copy of the text is left behind in memory.
        let mut sealed = Vec::with_capacity(HEAD_LEN + text.len() + TAG_LEN);
        sealed.push(LAYOUT);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(text);
        let (_, body) = sealed.split_at_mut(HEAD_LEN);
        let key = self.record_key(&salt).ok_or_else(no_crypto)?;
        let tag = key
            .seal_in_place_separate_tag(no_nonce(), self.bound_to(place), body)
            .map_err(|_| no_crypto())?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for `place`.
    pub(super) fn open(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&layout, rest) = sealed.split_first().ok_or(SealError::Broken)?;
        if layout != LAYOUT {
            return Err(SealError::Newer);
        }
        let (salt, body) = rest.split_first_chunk::<SALT_LEN>().ok_or(SealError::Broken)?;
        let key = self.record_key(salt).ok_or(SealError::Broken)?;
        let mut text = Zeroizing::new(body.to_vec());
        let len = key
            .open_in_place(no_nonce(), self.bound_to(place), &mut text)
            .map_err(|_| SealError::Broken)?
            .len();
        text.truncate(len);
        Ok(text)
    }

    /// The key of the tags of local passwords, which opens no record.
    pub(super) fn password_key(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        let derived = Salt::new(HKDF_SHA256, &self.id).extract(self.key.bytes());
        let derived = derived.expand(&[PASSWORD_INFO], Len32).map_err(|_| no_crypto())?;
        derived.fill(key.as_mut()).map_err(|_| no_crypto())?;
        Ok(key)
    }

    fn record_key(&self, salt: &[u8; SALT_LEN]) -> Option<LessSafeKey> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(self.key.bytes());
        let mut key = Zeroizing::new([0; 32]);
        derived.expand(&[RECORD_INFO], Len32).ok()?.fill(key.as_mut()).ok()?;
        Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?))
    }

    /// Each part behind its length, so that no two places read alike.
    fn bound_to(&self, place: Place<'_>) -> Aad<Vec<u8>> {
        let mut data = Vec::new();
        for part in [place.table.as_bytes(), place.row, &self.id] {
            data.extend_from_slice(&part.len().to_be_bytes());
            data.extend_from_slice(part);
        }
        Aad::from(data)
    }
}

/// Fills `bytes` with random ones.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    rand::fill(bytes).map_err(|_| no_crypto())
}

/// Every record has a key of its own, so the nonce need not tell records apart.
fn no_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn no_crypto() -> StoreError {
    let problem = "the system gives no random numbers or no memory: start mailbearer again";
    StoreError::Io { problem: problem.to_owned() }
}

/// 32 bytes, as HKDF is told.
struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

/// Version of the layout above.
const LAYOUT: u8 = 1;

/// Bytes of salt before each record: with 256 random bits no two are ever alike.
const SALT_LEN: usize = 32;

/// Bytes before the text.
const HEAD_LEN: usize = 1 + SALT_LEN;

/// Bytes of GCM's tag.
const TAG_LEN: usize = 16;

/// What separates the keys that are derived of the store's key.
const RECORD_INFO: &[u8] = b"mailbearer/record/v1";
const PASSWORD_INFO: &[u8] = b"mailbearer/local password/v1";

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { table: "grants", row: b"alice" };

    fn seal_of(key: &str, id: StoreId) -> Seal {
        Seal::new(Key::parse(key.to_owned().into()).unwrap(), id)
    }

    fn seal() -> Seal {
        seal_of("0123456789abcdef0123456789abcdef", [7; 16])
    }

    #[test]
    fn record_opens_in_its_place_alone() {
        for text in [&b""[..], b"x", &[0; 5000]] {
            let sealed = seal().seal(HERE, text).unwrap();
            assert_eq!(sealed.len(), HEAD_LEN + text.len() + TAG_LEN);
            assert_eq!(seal().open(HERE, &sealed).unwrap().as_slice(), text);
            for place in [
                Place { table: "grants", row: b"bob" },
                Place { table: "leases", row: b"alice" },
                Place { table: "grantsa", row: b"lice" },
            ] {
                assert_eq!(seal().open(place, &sealed).unwrap_err(), SealError::Broken);
            }
            let other_key = seal_of("0123456789abcdef0123456789abcdeX", [7; 16]);
            let other_store = seal_of("0123456789abcdef0123456789abcdef", [8; 16]);
            for other in [other_key, other_store] {
                assert_eq!(other.open(HERE, &sealed).unwrap_err(), SealError::Broken);
            }
        }
    }

    #[test]
    fn record_opens_no_more_when_any_byte_is_altered_or_missing() {
        let sealed = seal().seal(HERE, b"a refresh token").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            let expected = if at == 0 { SealError::Newer } else { SealError::Broken };
            assert_eq!(seal().open(HERE, &altered).unwrap_err(), expected, "byte {at}");
            assert_eq!(seal().open(HERE, &sealed[..at]).unwrap_err(), SealError::Broken);
        }
    }

    #[test]
    fn record_is_never_sealed_alike_twice() {
        let one = seal().seal(HERE, b"same").unwrap();
        let other = seal().seal(HERE, b"same").unwrap();
        assert_ne!(one[1..HEAD_LEN], other[1..HEAD_LEN]);
        assert_ne!(one[HEAD_LEN..], other[HEAD_LEN..]);
    }

    #[test]
    fn password_key_is_the_same_for_one_store_and_key_alone() {
        let key = seal().password_key().unwrap();
        assert_eq!(key, seal().password_key().unwrap());
        let other_store = seal_of("0123456789abcdef0123456789abcdef", [8; 16]);
        assert_ne!(key, other_store.password_key().unwrap());
        assert_ne!(
            key,
            seal_of("0123456789abcdef0123456789abcdeX", [7; 16]).password_key().unwrap()
        );
    }
}
