//! The files that `init` writes: all of them or none.
//!
//! Each is complete beside its place before the first is put there. What is replaced is kept until
//! the last one is in place, and put back where one is not.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};
use zeroize::Zeroizing;

/// Permissions of a new file that holds no secret: everybody may read it.
const OPEN_MODE: u32 = 0o644;

/// Permissions of a new file with a secret: nobody else may do anything with it.
const SECRET_MODE: u32 = 0o600;

/// What is kept of the permissions of a file that is replaced. The service that reads a secret may
/// do so by its group; nobody has to write what is a secret or be let in by the rest of the world.
const OPEN_MODE_MAX: u32 = 0o666;
const SECRET_MODE_MAX: u32 = 0o640;

/// A file to write.
pub(super) struct NewFile {
    pub(super) path: PathBuf,
    pub(super) content: Zeroizing<String>,
    pub(super) holds: Holds,
    pub(super) replace: Replace,
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

impl Unwritable {
    fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

/// Looks whether a file can be made at `path`, as far as that shows before it is.
///
/// # Errors
/// When it cannot.
pub(super) fn probe(path: &Path) -> Result<(), Unwritable> {
    let is_there = |it: &&Path| fs::symlink_metadata(it).is_ok();
    let directory = path.ancestors().skip(1).find(is_there).unwrap_or(Path::new("."));
    NamedTempFile::new_in(directory).map(drop).map_err(|source| Unwritable::new(path, source))
}

/// Writes each of `files` whole, or leaves everything as it was.
///
/// # Errors
/// When one cannot be written.
pub(super) fn write(files: &[NewFile]) -> Result<(), Unwritable> {
    let mut undo = Undo::default();
    let mut prepared = Vec::new();
    for file in files {
        let made = prepare(file, &mut undo);
        prepared.push(made.map_err(|source| Unwritable::new(&file.path, source))?);
    }
    for (file, made) in files.iter().zip(prepared) {
        let put = made.put(file.replace, &mut undo);
        put.map_err(|source| Unwritable::new(&file.path, source))?;
    }
    undo.forget();
    Ok(())
}

/// A file that is complete beside its place.
struct Prepared {
    made: NamedTempFile,
    place: PathBuf,
}

/// The content of `file` beside its place, with the permissions that it will have.
fn prepare(file: &NewFile, undo: &mut Undo) -> io::Result<Prepared> {
    let place = place(file)?;
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    undo.make_directories(parent)?;
    let before = fs::metadata(&place).ok();
    if before.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut made = NamedTempFile::new_in(parent)?;
    made.write_all(file.content.as_bytes())?;
    let (new_mode, mode_max) = match file.holds {
        Holds::Secret => (SECRET_MODE, SECRET_MODE_MAX),
        Holds::NoSecret => (OPEN_MODE, OPEN_MODE_MAX),
    };
    // Whoever could read the one that is replaced can read this one: the service is another user.
    if let Some(before) = &before {
        let new = made.as_file().metadata()?;
        if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
            fchown(made.as_file(), Some(before.uid()), Some(before.gid()))?;
        }
    }
    let mode = before.map_or(new_mode, |before| before.mode() & mode_max);
    made.as_file().set_permissions(Permissions::from_mode(mode))?;
    made.as_file().sync_all()?;
    Ok(Prepared { made, place })
}

/// Where `file` is put: a link to the one that is replaced stays, and leads to the new one.
fn place(file: &NewFile) -> io::Result<PathBuf> {
    let is_link = fs::symlink_metadata(&file.path).is_ok_and(|it| it.is_symlink());
    if is_link && file.replace == Replace::Yes {
        let nowhere = |_| io::Error::other("it is a symbolic link that leads nowhere");
        fs::canonicalize(&file.path).map_err(nowhere)
    } else {
        Ok(file.path.clone())
    }
}

impl Prepared {
    fn put(self, replace: Replace, undo: &mut Undo) -> io::Result<()> {
        let Self { made, place } = self;
        if replace == Replace::Yes && fs::symlink_metadata(&place).is_ok() {
            undo.set_aside(&place)?;
            made.persist(&place)?;
        } else {
            made.persist_noclobber(&place)?;
            undo.steps.push(Step::Remove(place));
        }
        Ok(())
    }
}

/// What takes back what was done so far, unless it is forgotten.
#[derive(Default)]
struct Undo {
    steps: Vec<Step>,
}

/// One thing that was done.
enum Step {
    /// A directory was made.
    Directory(PathBuf),
    /// A file was put where none was.
    Remove(PathBuf),
    /// A file was replaced, or is about to be, and is kept.
    PutBack { kept: TempPath, place: PathBuf },
}

impl Undo {
    fn make_directories(&mut self, directory: &Path) -> io::Result<()> {
        let is_missing = |it: &&Path| fs::symlink_metadata(it).is_err();
        let missing: Vec<&Path> = directory.ancestors().take_while(is_missing).collect();
        for directory in missing.into_iter().rev() {
            fs::create_dir(directory)?;
            self.steps.push(Step::Directory(directory.to_owned()));
        }
        Ok(())
    }

    /// Keeps the file at `place` under another name beside it.
    fn set_aside(&mut self, place: &Path) -> io::Result<()> {
        let parent = place.parent().unwrap_or(Path::new("."));
        let kept = Builder::new().prefix(".mailbearer-").make_in(parent, |name| {
            match fs::hard_link(place, name) {
                // Somebody else's file may have no second name, nor any on some file systems.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    fs::rename(place, name)
                }
                linked => linked,
            }
        })?;
        self.steps.push(Step::PutBack { kept: kept.into_temp_path(), place: place.to_owned() });
        Ok(())
    }

    /// All is done. What was replaced goes with its second name.
    fn forget(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // What cannot be taken back stays: the error that is told names the file that began it.
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Directory(path) => drop(fs::remove_dir(path)),
                Step::Remove(path) => drop(fs::remove_file(path)),
                // Two names of the same file are no error, and the second one goes all the same.
                Step::PutBack { kept, place } => drop(fs::rename(&kept, place)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path, holds: Holds, replace: Replace) -> NewFile {
        NewFile { path: path.to_owned(), content: Zeroizing::new("new".to_owned()), holds, replace }
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn files_are_written_whole_with_their_permissions_and_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let (open, secret) = (dir.path().join("sub/open"), dir.path().join("sub/secret"));
        let files =
            [file(&secret, Holds::Secret, Replace::No), file(&open, Holds::NoSecret, Replace::No)];
        write(&files).unwrap();
        for (path, expected) in [(&open, 0o644), (&secret, 0o600)] {
            assert_eq!((read(path).as_str(), mode(path)), ("new", expected));
        }
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 2);
    }

    #[test]
    fn everything_is_as_it_was_when_one_file_is_there_already() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, third] = ["sub/first", "second", "third"].map(|it| dir.path().join(it));
        fs::write(&second, "old").unwrap();
        fs::write(&third, "old").unwrap();
        // One that may be replaced is put back when another may not.
        let files = [
            file(&first, Holds::Secret, Replace::No),
            file(&second, Holds::NoSecret, Replace::Yes),
            file(&third, Holds::NoSecret, Replace::No),
        ];
        assert!(write(&files).is_err());
        assert!(!first.exists() && !dir.path().join("sub").exists());
        assert_eq!((read(&second), read(&third)), ("old".to_owned(), "old".to_owned()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn what_was_replaced_is_put_back_when_a_later_file_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, below) = (dir.path().join("secret"), dir.path().join("file/below"));
        let directory = dir.path().join("directory");
        fs::create_dir(&directory).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for wrong in [&below, &directory] {
            fs::write(&secret, "old").unwrap();
            let files = [
                file(&secret, Holds::Secret, Replace::Yes),
                file(wrong, Holds::NoSecret, Replace::Yes),
            ];
            let error = write(&files).unwrap_err().to_string();
            let told = format!("{} cannot be written (", wrong.display());
            assert!(error.starts_with(&told), "{error}");
            assert_eq!(read(&secret), "old");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        }
    }

    #[test]
    fn replaced_file_keeps_its_link_and_who_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let [real, link, secret] = ["real", "link", "secret"].map(|it| dir.path().join(it));
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for (path, before) in [(&real, 0o660), (&secret, 0o646)] {
            fs::write(path, "old").unwrap();
            fs::set_permissions(path, Permissions::from_mode(before)).unwrap();
        }
        let files = [
            file(&link, Holds::NoSecret, Replace::Yes),
            file(&secret, Holds::Secret, Replace::Yes),
        ];
        write(&files).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((read(&real).as_str(), mode(&real)), ("new", 0o660));
        assert_eq!((read(&secret).as_str(), mode(&secret)), ("new", 0o640));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);

        fs::remove_file(&real).unwrap();
        let error = write(&files).unwrap_err().to_string();
        assert!(error.contains("leads nowhere"), "{error}");
        assert!(!real.exists());
    }

    #[test]
    fn place_is_probed_before_there_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        probe(&dir.path().join("a/b/c")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = probe(&dir.path().join("file/below")).unwrap_err().to_string();
        assert!(error.contains("file/below cannot be written ("), "{error}");
    }
}
