//! The database file: redb, each value sealed, one transaction for each change.
//!
//! Layout: the table `store` holds `format` and `id` in clear and `check`, a fixed text sealed; then
//! one table for each [`Subject`].
//! Commits are two-phase: what redb calls the primary was synced before it became that, so redb
//! never falls back to the one before it, which may hold a refresh token that was used up.

use std::fs::File;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, StorageError,
    TableDefinition, TableError,
};

use super::StoreError;
use super::contents::{Contents, Row, Subject};
use super::disk::Backend;
use super::key::Key;
use super::problem::{damaged, move_aside, not_read, not_written};
use super::seal::{Place, Seal, SealError, StoreId};

/// Every table: bytes to bytes.
type Table<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// What is in a store's file.
#[derive(Debug)]
pub(super) struct Found {
    /// What seals it.
    pub(super) seal: Seal,
    /// All rows.
    pub(super) contents: Contents,
}

/// Reads all of `file`, the store at `path`, and changes nothing: redb works on a copy in memory,
/// repairs included.
pub(super) fn read(path: &Path, file: &File, key: Key) -> Result<Found, StoreError> {
    let mut bytes = Vec::new();
    let read = file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes);
    let len = read.map_err(|error| not_read(path, &error))?;
    if u64::try_from(len).is_ok_and(|len| len > FILE_LEN_MAX) {
        return Err(damaged(path, "it is longer than 1 GiB"));
    }
    examine(bytes, key).map_err(|fault| fault.told_of(path))
}

/// Reads the bytes of a store.
pub(super) fn examine(bytes: Vec<u8>, key: Key) -> Result<Found, Fault> {
    if bytes.is_empty() {
        return Err(Fault::Damaged("it is empty".to_owned()));
    }
    // redb may panic on what it did not write.
    catch_unwind(AssertUnwindSafe(|| {
        let backend = InMemoryBackend::new();
        let len = u64::try_from(bytes.len()).map_err(Fault::damaged)?;
        backend.set_len(len).map_err(Fault::damaged)?;
        backend.write(0, &bytes).map_err(Fault::damaged)?;
        drop(bytes);
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_LEN).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend).map_err(Fault::damaged)?;
        found_in(&database, key)
    }))
    .unwrap_or_else(|_| Err(Fault::Damaged("its structure is broken".to_owned())))
}

/// Opens a database to write to it. A new one if the backend is empty.
pub(super) fn open(path: &Path, backend: Backend) -> Result<Database, StoreError> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        let opened = builder.set_cache_size(CACHE_LEN).create_with_backend(backend);
        opened.map_err(|error| written_of(path, error.into()))
    }))
    .unwrap_or_else(|_| Err(panicked(path)))
}

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With what is in the file.
    AsItIs,
    /// With an empty file, whatever is in it.
    Anew,
}

/// Writes `rows`, all or none, and waits until they are on the disk.
pub(super) fn write(
    path: &Path,
    database: &Database,
    seal: &Seal,
    start: Start,
    rows: &[Row],
) -> Result<(), StoreError> {
    let failed = |error| written_of(path, error);
    catch_unwind(AssertUnwindSafe(|| {
        let mut transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        transaction.set_two_phase_commit(true);
        if start == Start::Anew {
            for name in [HEAD].into_iter().chain(Subject::ALL.map(Subject::table)) {
                let deleted = transaction.delete_table(Table::new(name));
                deleted.map_err(|error| failed(error.into()))?;
            }
            let check = seal.seal(CHECK_PLACE, CHECK_TEXT)?;
            let head = [(FORMAT_ROW, &[FORMAT][..]), (ID_ROW, seal.id()), (CHECK_ROW, &check)];
            let mut table =
                transaction.open_table(Table::new(HEAD)).map_err(|error| failed(error.into()))?;
            for (key, value) in head {
                table.insert(key, value).map_err(|error| failed(error.into()))?;
            }
        }
        for row in rows {
            let table = row.subject.table();
            let mut rows =
                transaction.open_table(Table::new(table)).map_err(|error| failed(error.into()))?;
            let key = row.key.as_slice();
            let done = match &row.value {
                Some(text) => {
                    let sealed = seal.seal(Place { table, row: key }, text.bytes())?;
                    rows.insert(key, sealed.as_slice()).map(drop)
                }
                None => rows.remove(key).map(drop),
            };
            done.map_err(|error| failed(error.into()))?;
        }
        transaction.commit().map_err(|error| failed(error.into()))
    }))
    .unwrap_or_else(|_| Err(panicked(path)))
}

fn found_in(database: &Database, key: Key) -> Result<Found, Fault> {
    let transaction = database.begin_read().map_err(Fault::damaged)?;
    let head = match transaction.open_table(Table::new(HEAD)) {
        Ok(head) => head,
        Err(TableError::Storage(error)) => return Err(Fault::damaged(error)),
        Err(_) => return Err(Fault::Damaged("another program made it".to_owned())),
    };
    let head_row = |row| match head.get(row) {
        Ok(Some(value)) => Ok(value.value().to_vec()),
        Ok(None) => Err(Fault::Damaged("another program made it".to_owned())),
        Err(error) => Err(Fault::damaged(error)),
    };
    if head_row(FORMAT_ROW)? != [FORMAT] {
        return Err(Fault::Newer);
    }
    let id: StoreId = head_row(ID_ROW)?.try_into().map_err(|_| Fault::unreadable(HEAD))?;
    let seal = Seal::new(key, id);
    let check = seal.open(CHECK_PLACE, &head_row(CHECK_ROW)?).map_err(|error| match error {
        SealError::Newer => Fault::Newer,
        SealError::Broken => Fault::OtherKey,
    })?;
    if check.as_slice() != CHECK_TEXT {
        return Err(Fault::unreadable(HEAD));
    }
    let mut contents = Contents::default();
    for subject in Subject::ALL {
        let name = subject.table();
        let table = match transaction.open_table(Table::new(name)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(Fault::damaged(error)),
        };
        for row in table.iter().map_err(Fault::damaged)? {
            let (key, value) = row.map_err(Fault::damaged)?;
            let key = key.value();
            let text =
                seal.open(Place { table: name, row: key }, value.value()).map_err(|e| match e {
                    SealError::Newer => Fault::Newer,
                    SealError::Broken => Fault::unreadable(name),
                })?;
            contents.take(subject, key, &text).map_err(|_| Fault::unreadable(name))?;
        }
    }
    Ok(Found { seal, contents })
}

/// Why the bytes of a file are no store that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is whole, and another key's.
    OtherKey,
    /// A later version of mailbearer wrote it.
    Newer,
    /// It is not whole, or nothing of ours.
    Damaged(String),
}

impl Fault {
    #[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
    fn damaged(error: impl ToString) -> Self {
        Self::Damaged(error.to_string())
    }

    fn unreadable(table: &str) -> Self {
        Self::Damaged(format!("a row of {table:?} does not open"))
    }

    fn told_of(&self, path: &Path) -> StoreError {
        let problem = match self {
            Self::Damaged(why) => return damaged(path, why),
            Self::OtherKey => format!(
                "{path:?} is sealed with another key than `store.key` gives, and was left as it \
                 is: give it its own key back, or run `{}` and then `mailbearer authorize` for \
                 each account with a consent",
                move_aside(path)
            ),
            Self::Newer => format!(
                "{path:?} was written by a later version of mailbearer, and was left as it is: \
                 run that version"
            ),
        };
        StoreError::Unusable { problem }
    }
}

/// What redb said when it should have written.
fn written_of(path: &Path, error: redb::Error) -> StoreError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "redb's, and growing")]
    match error {
        redb::Error::Io(error) => not_written(path, &error),
        error => StoreError::Io {
            problem: format!(
                "{path:?} cannot be written ({error}): look at the disk that it is on"
            ),
        },
    }
}

fn panicked(path: &Path) -> StoreError {
    written_of(path, StorageError::Corrupted("its structure is broken".to_owned()).into())
}

/// Longest file that is read, in bytes: that of more than 100,000 consents, whose refresh tokens have
/// 2 KB each. While it is read, memory holds it twice.
const FILE_LEN_MAX: u64 = 1024 * 1024 * 1024;

/// Memory that redb may hold pages in, in bytes. Everything is in ours already.
const CACHE_LEN: usize = 4 * 1024 * 1024;

/// Table and rows of what is known of the store itself.
const HEAD: &str = "store";
const FORMAT_ROW: &[u8] = b"format";
const ID_ROW: &[u8] = b"id";
const CHECK_ROW: &[u8] = b"check";

/// Version of the layout above.
const FORMAT: u8 = 1;

/// What `check` says when it is opened with the right key.
const CHECK_TEXT: &[u8] = b"mailbearer";
const CHECK_PLACE: Place<'_> = Place { table: HEAD, row: CHECK_ROW };

#[cfg(test)]
mod tests {
    use super::super::StoredGrant;
    use super::super::contents::Held;
    use super::*;
    use crate::names::Username;
    use crate::provider::GrantId;
    use crate::secret::RefreshToken;
    use std::time::Duration;

    #[test]
    fn store_of_a_hundred_thousand_consents_is_no_longer_than_is_read() {
        let (count, wanted) = (2_000, 100_000);
        let stored = StoredGrant {
            refresh_token: RefreshToken::parse(&"t".repeat(2_000)).unwrap(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            token_endpoint: "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"
                .to_owned(),
            user: None,
            consented_at: Duration::ZERO,
            refreshed_at: Duration::ZERO,
            ends_at: None,
            refused: None,
            shortfall: None,
        };
        let id = |number| {
            GrantId::Account(Username::parse(&format!("user-{number}@x.example")).unwrap())
        };
        let rows: Vec<_> = (0..count)
            .flat_map(|number| {
                let id = id(number);
                [Row::grant(&id, Some(&stored)), Row::lease(&id, Held::Yes)].map(Result::unwrap)
            })
            .collect();
        let seal = Seal::new(Key::draw().unwrap(), [7; 16]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = open(file.path(), Backend::of(file.reopen().unwrap()).unwrap()).unwrap();
        write(file.path(), &database, &seal, Start::Anew, &rows).unwrap();
        let len = file.as_file().metadata().unwrap().len();
        assert!(len / count * wanted <= FILE_LEN_MAX, "{} bytes each", len / count);
        // What is read again is all that was written.
        drop(database);
        let found = examine(std::fs::read(file.path()).unwrap(), seal.key().clone()).unwrap();
        assert_eq!(found.contents.grants.len(), usize::try_from(count).unwrap());
    }
}
