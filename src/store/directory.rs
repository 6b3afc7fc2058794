//! The state directory: where the store lies, and which one process works there.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::disk::{Disk, How, Identity, check_private, sync_name};
use super::problem::{not_written, owner_name, shell_word, shell_words};
use super::{Purpose, StoreError};

/// The state directory, claimed or not.
#[derive(Debug)]
pub(super) struct StateDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    claim: Result<Lock, StoreError>,
}

/// The lock on `lock`: held until it is dropped, or the process ends.
#[derive(Debug)]
struct Lock {
    identity: Identity,
    _file: File,
}

impl StateDirectory {
    /// Claims the directory `path`, which is made if it is missing. For a command it is not: the
    /// first write does that.
    ///
    /// A directory that cannot be claimed is no error yet, for there may be nothing to keep.
    ///
    /// # Errors
    /// When another process has it, or when it belongs to another user than a command's.
    pub(super) fn open(
        path: &Path,
        purpose: &Purpose,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StoreError> {
        if let Purpose::Command { line } = purpose {
            check_commands_owner(path, line)?;
        }
        let unclaimed = StoreError::Io { problem: format!("{path:?} does not exist yet") };
        let mut directory = Self { path: path.to_owned(), disk, claim: Err(unclaimed) };
        let for_writing = match purpose {
            Purpose::Serve => true,
            Purpose::Command { .. } => path.exists(),
        };
        if for_writing {
            // Any other problem is kept, and told when the directory is needed.
            if let Err(error @ StoreError::InUse { .. }) = directory.claim() {
                return Err(error);
            }
        }
        Ok(directory)
    }

    /// Makes sure that the directory is there, is safe, and is this process's alone.
    ///
    /// # Errors
    /// When it is not, and cannot be made so.
    pub(super) fn claim(&mut self) -> Result<(), StoreError> {
        let lock_path = self.path.join(LOCK);
        if let Ok(lock) = &self.claim
            && matches!(Identity::at(&lock_path), Ok(Some(there)) if there == lock.identity)
        {
            return Ok(());
        }
        self.claim = self.locked(&lock_path);
        self.claim.as_ref().map(|_| ()).map_err(StoreError::clone)
    }

    /// Why it is not claimed, if it is not.
    pub(super) fn problem(&self) -> Option<&StoreError> {
        self.claim.as_ref().err()
    }

    /// Where the directory is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn locked(&self, lock_path: &Path) -> Result<Lock, StoreError> {
        let path = &self.path;
        let failed = |error: io::Error| not_written(path, &error);
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            sync_name(path).map_err(failed)?;
        }
        self.check_safe()?;
        let failed = |error: io::Error| not_written(lock_path, &error);
        let file = self.disk.open(lock_path, How::Lock).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        check_private(lock_path, &metadata)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { path: lock_path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The lock file may have been there before the directory became read-only.
        access(path, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| not_written(path, &error.into()))?;
        Ok(Lock { identity: Identity::of(&metadata), _file: file })
    }

    /// Others who can write to the directory could replace every file in it.
    fn check_safe(&self) -> Result<(), StoreError> {
        let path = &self.path;
        let metadata = path.metadata().map_err(|error| not_written(path, &error))?;
        let own = geteuid();
        let problem = if !metadata.is_dir() {
            format!("{path:?} is no directory: name another place in `store.path`")
        } else if own.is_root() && metadata.uid() != own.as_raw() {
            let owner = owner_name(metadata.uid());
            let sudo = shell_word(&owner);
            let chown = shell_words(&["chown", "root"], path);
            format!(
                "{path:?} belongs to {owner}, who could not read what root writes there: run it \
                 by `sudo -u {sudo}`, or `{chown}`"
            )
        } else if metadata.mode() & WRITABLE_FOR_OTHERS != 0 {
            let chmod = shell_words(&["chmod", "go-w"], path);
            format!(
                "other users can write to {path:?}, and so replace what opens mailboxes: run \
                 `{chmod}`, or name a directory below it in `store.path`, which is made"
            )
        } else {
            return Ok(());
        };
        Err(StoreError::Unusable { problem })
    }
}

/// A command writes files that `serve` has to read, so it runs as the directory's owner. Root is no
/// exception.
fn check_commands_owner(path: &Path, line: &str) -> Result<(), StoreError> {
    match path.metadata() {
        Ok(metadata) if metadata.uid() != geteuid().as_raw() => Err(StoreError::NotOwner {
            path: path.to_owned(),
            owner: owner_name(metadata.uid()),
            command: line.to_owned(),
        }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The name of the lock file.
const LOCK: &str = "lock";

/// Permission bits.
const WRITABLE_FOR_OTHERS: u32 = 0o022;
