//! The file side of the store: when its file is made, opened, made again, and left alone.
//!
//! The file is opened for writing by the first write, so looking changes nothing. A write that
//! failed leaves open what is on the disk; the next one begins anew, with a file that is read and
//! checked again, and writes everything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;
use tracing::warn;
use zeroize::Zeroizing;

use super::contents::{Contents, Row};
use super::directory::StateDirectory;
use super::disk::{Disk, How, Identity, check_private, directory_of, is_absence, sync_name};
use super::embedded::{self, Found, Start};
use super::key::{self, Key};
use super::problem::{move_aside, not_read, not_written};
use super::seal::{Seal, random};
use super::{KeySource, Purpose, StoreError, StoreSettings};

/// A store's file, there or not.
#[derive(Debug)]
pub(super) struct StoreFile {
    path: PathBuf,
    key: KeySource,
    disk: Arc<dyn Disk>,
    directory: StateDirectory,
    /// What seals it, once it was there or had to be made.
    seal: Option<Seal>,
    /// Which file it is, once there is one.
    identity: Option<Identity>,
    /// The file, open for writing. `None` until the first write, and after one that failed.
    database: Option<Database>,
    /// With what the next write begins.
    start: Start,
    /// Why the file cannot be written to, if that was seen when it was opened.
    warning: Option<String>,
}

impl StoreFile {
    /// Reads what is there.
    pub(super) fn open(
        settings: &StoreSettings,
        purpose: &Purpose,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Contents), StoreError> {
        let StoreSettings { path, key } = settings.clone();
        let directory = directory_of(&path);
        let directory = StateDirectory::open(directory, purpose, Arc::clone(&disk))?;
        let mut file = Self {
            path,
            key,
            disk,
            directory,
            seal: None,
            identity: None,
            database: None,
            start: Start::Anew,
            warning: None,
        };
        let contents = file.read(purpose)?;
        Ok((file, contents))
    }

    /// Writes `rows`, after everything in `contents` if the file may hold something else. Makes the
    /// file if there is none and something to keep.
    pub(super) fn write(&mut self, rows: Vec<Row>, contents: &Contents) -> Result<(), StoreError> {
        let keeps = !contents.is_empty() || rows.iter().any(|row| row.value.is_some());
        let differs = self.start == Start::Anew || !rows.is_empty();
        if differs && (keeps || self.is_made()) { self.attempt(rows, contents) } else { Ok(()) }
    }

    /// Makes the file even if there is nothing to keep.
    pub(super) fn make(&mut self, contents: &Contents) -> Result<(), StoreError> {
        self.attempt(Vec::new(), contents)
    }

    fn attempt(&mut self, rows: Vec<Row>, contents: &Contents) -> Result<(), StoreError> {
        let written = self.try_write(rows, contents);
        if written.is_err() {
            self.database = None;
            self.start = Start::Anew;
        }
        written
    }

    /// Whether there is a file, or was one.
    pub(super) fn is_made(&self) -> bool {
        self.identity.is_some()
    }

    /// The key of the tags of local passwords, once there is a store.
    pub(super) fn password_key(&self) -> Result<Option<Zeroizing<[u8; 32]>>, StoreError> {
        let seal = self.seal.as_ref().filter(|_| self.is_made());
        seal.map(Seal::password_key).transpose()
    }

    /// Why the file cannot be written to, if that was seen when it was opened.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The state directory.
    pub(super) fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    fn read(&mut self, purpose: &Purpose) -> Result<Contents, StoreError> {
        let (opened, read_only) = match self.disk.open(&self.path, How::Write) {
            Err(error) if is_no_permission(&error) => {
                (self.disk.open(&self.path, How::Read), Some(error))
            }
            opened => (opened, None),
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) if is_absence(&error) => {
                // A key that cannot be used is told at once, not when the first consent comes.
                if let (Purpose::Serve, KeySource::Given(source)) = (purpose, &self.key) {
                    Key::given(source)?;
                }
                return Ok(Contents::default());
            }
            Err(error) => return Err(unopened(&self.path, &error)),
        };
        let metadata = file.metadata().map_err(|error| not_read(&self.path, &error))?;
        check_private(&self.path, &metadata)?;
        let problem = self.directory.problem();
        if let Some(problem @ StoreError::Unusable { .. }) = problem {
            return Err(problem.clone());
        }
        self.warning = read_only
            .map(|error| not_written(&self.path, &error))
            .or_else(|| problem.cloned())
            .map(|problem| problem.to_string());
        let Found { seal, contents } = embedded::read(&self.path, &file, self.stored_key()?)?;
        self.seal = Some(seal);
        self.identity = Some(Identity::of(&metadata));
        self.start = Start::AsItIs;
        Ok(contents)
    }

    /// The key of a store that is there.
    fn stored_key(&self) -> Result<Key, StoreError> {
        match &self.key {
            KeySource::Given(source) => Key::given(source),
            KeySource::Made(path) => {
                Key::made(self.disk.as_ref(), path)?.ok_or_else(|| key::missing(path, &self.path))
            }
        }
    }

    fn try_write(&mut self, mut rows: Vec<Row>, contents: &Contents) -> Result<(), StoreError> {
        self.directory.claim()?;
        let there = Identity::at(&self.path).map_err(|error| not_read(&self.path, &error))?;
        if there.is_some() && there != self.identity {
            return Err(replaced(&self.path));
        }
        if there.is_none() {
            self.database = None;
            self.start = Start::Anew;
        }
        if self.start == Start::Anew {
            let mut all = contents.rows()?;
            all.append(&mut rows);
            rows = all;
        }
        self.make_seal()?;
        match there {
            Some(_) => self.write_to_it(&rows),
            None => self.make_file(&rows),
        }
    }

    /// Writes to the file that is there.
    fn write_to_it(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let seal = self.seal.as_ref().ok_or_else(|| replaced(&self.path))?;
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let failed = |error: io::Error| not_written(&self.path, &error);
                let file = self.disk.open(&self.path, How::Write).map_err(failed)?;
                let metadata = file.metadata().map_err(failed)?;
                if Some(Identity::of(&metadata)) != self.identity {
                    return Err(replaced(&self.path));
                }
                check_private(&self.path, &metadata)?;
                embedded::read(&self.path, &file, seal.key().clone())
                    .map_err(|error| damaged_since(&self.path, error))?;
                embedded::open(&self.path, self.disk.backend(file).map_err(failed)?)?
            }
        };
        embedded::write(&self.path, &database, seal, self.start, rows)?;
        self.database = Some(database);
        self.start = Start::AsItIs;
        Ok(())
    }

    /// Makes the file under another name, and gives it its own when it is whole.
    fn make_file(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let seal = self.seal.as_ref().ok_or_else(|| replaced(&self.path))?;
        let failed = |error: io::Error| not_written(&self.path, &error);
        let new = key::new_path(&self.path);
        let made = (|| {
            let _ = std::fs::remove_file(&new);
            let file = self.disk.open(&new, How::Make).map_err(failed)?;
            let identity = Identity::of(&file.metadata().map_err(failed)?);
            let database = embedded::open(&self.path, self.disk.backend(file).map_err(failed)?)?;
            embedded::write(&self.path, &database, seal, Start::Anew, rows)?;
            std::fs::rename(&new, &self.path).map_err(failed)?;
            Ok((identity, database))
        })();
        let (identity, database) = made.inspect_err(|_| {
            let _ = std::fs::remove_file(&new);
        })?;
        if self.identity.replace(identity).is_some() {
            let file = self.path.display().to_string();
            warn!(file, hint = "find out who removes it", "store was gone and is made again");
        }
        self.database = Some(database);
        self.start = Start::AsItIs;
        sync_name(&self.path).map_err(|error| not_written(&self.path, &error))
    }

    /// Makes sure that there is a key, and that a made one is where the next start looks for it.
    fn make_seal(&mut self) -> Result<(), StoreError> {
        let key = match (&self.seal, &self.key) {
            (Some(seal), _) => seal.key().clone(),
            (None, KeySource::Given(source)) => Key::given(source)?,
            (None, KeySource::Made(path)) => {
                Key::made(self.disk.as_ref(), path)?.map_or_else(Key::draw, Ok)?
            }
        };
        if let KeySource::Made(path) = &self.key {
            let there = Identity::at(path).map_err(|error| not_read(path, &error))?;
            if there.is_none() {
                key.write(self.disk.as_ref(), path)?;
            }
        }
        if self.seal.is_none() {
            let mut id = [0; 16];
            random(&mut id)?;
            self.seal = Some(Seal::new(key, id));
        }
        Ok(())
    }
}

fn is_no_permission(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// There is a file at `path` that was not there when the program began.
fn replaced(path: &Path) -> StoreError {
    StoreError::Io {
        problem: format!(
            "{path:?} is another file than it was, and is left alone: start mailbearer again to \
             use it, or move it away to have this one written"
        ),
    }
}

/// The file at `path`, which this process has read before, does not read any more.
fn damaged_since(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unusable { .. } => StoreError::Io {
            problem: format!(
                "{path:?} was damaged while it was in use, and is left alone: run `{}`, and \
                 everything is written again",
                move_aside(path)
            ),
        },
        error
        @ (StoreError::Io { .. } | StoreError::InUse { .. } | StoreError::NotOwner { .. }) => error,
    }
}

fn unopened(path: &Path, error: &io::Error) -> StoreError {
    let problem = if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        format!("{path:?} is a symbolic link: name the file itself in `store.path`")
    } else {
        not_read(path, error).to_string()
    };
    StoreError::Unusable { problem }
}
