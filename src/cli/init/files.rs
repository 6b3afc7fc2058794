//! The files that `init` writes: all of them or none.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

/// What others may do with a file that holds no secret: read it.
const OPEN_MODE: u32 = 0o644;

/// What others may do with a secret: nothing.
const SECRET_MODE: u32 = 0o600;

/// A file to write.
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) content: Zeroizing<String>,
    pub(super) holds: Holds,
}

/// What is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Secret,
    NoSecret,
}

/// Whether a file that is there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replace {
    Yes,
    No,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written ({source})", path.display())]
pub(super) struct Unwritable {
    path: PathBuf,
    source: io::Error,
}

/// Writes each of `files` whole, and takes back those that are new if one cannot be. Ctrl-C waits
/// that long.
pub(super) fn write(files: &[NewFile], replace: Replace) -> Result<(), Unwritable> {
    let _signals = held();
    // A file is complete beside its place first: what can fail mostly fails before any is there.
    let mut made = Vec::new();
    for file in files {
        made.push(prepare(file).map_err(|source| unwritable(file, source))?);
    }
    let mut new: Vec<&Path> = Vec::new();
    for (file, made) in files.iter().zip(made) {
        let is_new = fs::symlink_metadata(&file.path).is_err();
        let persisted = match replace {
            Replace::Yes => made.persist(&file.path),
            Replace::No => made.persist_noclobber(&file.path),
        };
        if let Err(error) = persisted {
            for path in new {
                // It is ours, and not one second old.
                let _ = fs::remove_file(path);
            }
            return Err(unwritable(file, error.error));
        }
        if is_new {
            new.push(&file.path);
        }
    }
    Ok(())
}

/// Receives the signals that would end the process in the middle, for as long as it is kept and
/// longer: the process no longer ends by them.
fn held() -> Option<(tokio::runtime::Runtime, Vec<Signal>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let signals = {
        let _within = runtime.enter();
        kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
    };
    Some((runtime, signals))
}

/// The content of `file` beside its place, with the permissions that it will have.
fn prepare(file: &NewFile) -> io::Result<NamedTempFile> {
    let parent = file.path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut made = NamedTempFile::new_in(parent)?;
    made.write_all(file.content.as_bytes())?;
    // Whoever could read the one that is replaced can read this one: the service is another user.
    if let Ok(before) = fs::metadata(&file.path) {
        let new = made.as_file().metadata()?;
        if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
            fchown(made.as_file(), Some(before.uid()), Some(before.gid()))?;
        }
    }
    let mode = match file.holds {
        Holds::Secret => SECRET_MODE,
        Holds::NoSecret => OPEN_MODE,
    };
    made.as_file().set_permissions(Permissions::from_mode(mode))?;
    made.as_file().sync_all()?;
    Ok(made)
}

fn unwritable(file: &NewFile, source: io::Error) -> Unwritable {
    Unwritable { path: file.path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf, holds: Holds) -> NewFile {
        NewFile { path, content: Zeroizing::new("new".to_owned()), holds }
    }

    #[test]
    fn files_are_written_whole_with_their_permissions_and_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let (open, secret) = (dir.path().join("sub/open"), dir.path().join("sub/secret"));
        let files = [file(secret.clone(), Holds::Secret), file(open.clone(), Holds::NoSecret)];
        write(&files, Replace::No).unwrap();
        for (path, mode) in [(&open, 0o644), (&secret, 0o600)] {
            assert_eq!(fs::read_to_string(path).unwrap(), "new");
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 2);
    }

    #[test]
    fn no_file_is_left_when_one_is_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        fs::write(&second, "old").unwrap();
        let files = [file(first.clone(), Holds::Secret), file(second.clone(), Holds::NoSecret)];
        assert!(write(&files, Replace::No).is_err());
        assert!(!first.exists());
        assert_eq!(fs::read_to_string(&second).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        write(&files, Replace::Yes).unwrap();
        assert_eq!(fs::read_to_string(&second).unwrap(), "new");
    }

    #[test]
    fn no_file_is_left_when_a_directory_cannot_be_made() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let first = dir.path().join("first");
        let files = [
            file(first.clone(), Holds::Secret),
            file(dir.path().join("file/below"), Holds::NoSecret),
        ];
        let error = write(&files, Replace::Yes).unwrap_err().to_string();
        assert!(error.contains("file/below cannot be written ("), "{error}");
        assert!(!first.exists());
    }
}
