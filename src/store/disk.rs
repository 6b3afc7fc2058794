//! The disk: how the store's files are opened, and whether they are ours alone.
//!
//! A trait, because a full or failing disk cannot be had in a test otherwise.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use redb::StorageBackend;
use redb::backends::FileBackend;
use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;

use super::StoreError;
use super::problem::{owner_name, shell_word, shell_words};

/// What the store asks of the operating system.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file; a symbolic link is never followed.
    fn open(&self, path: &Path, how: How) -> io::Result<File>;

    /// What redb reads and writes through.
    fn backend(&self, file: File) -> io::Result<Backend>;
}

/// For what a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// To be read.
    Read,
    /// To be read and written. It is there.
    Write,
    /// To be made, for the owner alone. It is not there.
    Make,
    /// To be locked. It is made, for the owner alone, if it is not there.
    Lock,
}

/// The real one.
#[derive(Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<File> {
        let flags = match how {
            How::Read => OFlags::RDONLY,
            How::Write => OFlags::RDWR,
            How::Make => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            How::Lock => OFlags::RDWR | OFlags::CREATE,
        };
        // Opening a pipe would wait for its other end, maybe for ever; files do not know NONBLOCK.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
    }

    fn backend(&self, file: File) -> io::Result<Backend> {
        Backend::of(file)
    }
}

/// A [`StorageBackend`] of any kind. It has no locks: the state directory's own does for all files.
#[derive(Debug)]
pub(super) struct Backend(Box<dyn StorageBackend>);

impl Backend {
    /// Reads and writes `file`.
    pub(super) fn of(file: File) -> io::Result<Self> {
        FileBackend::new(file).map(Self::new).map_err(io::Error::other)
    }

    /// Does what `backend` does.
    pub(super) fn new(backend: impl StorageBackend) -> Self {
        Self(Box::new(backend))
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// Which file a path or a descriptor means, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file that `metadata` describes.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of what lies at `path`, if anything does; links are not followed.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match path.symlink_metadata() {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether `error` means that there is no such file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Refuses a file that is not a regular one, not this user's, or open to others.
pub(super) fn check_private(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let line = |words: &[&str]| shell_words(words, path);
    let problem = if !metadata.is_file() {
        format!("{path:?} is no regular file: move it away, or name another place in `store`")
    } else if metadata.uid() != geteuid().as_raw() {
        let (owner, own) = (owner_name(metadata.uid()), owner_name(geteuid().as_raw()));
        let chown = line(&["chown", &shell_word(&own)]);
        format!("{path:?} belongs to {owner}, but this is {own}: run it as {owner}, or `{chown}`")
    } else if metadata.mode() & OPEN_TO_OTHERS != 0 {
        let chmod = line(&["chmod", "600"]);
        format!("{path:?} is open to other users, and has to be its owner's alone: run `{chmod}`")
    } else {
        return Ok(());
    };
    Err(StoreError::Unusable { problem })
}

/// The directory where `path` lies.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Makes the name `path` survive a loss of power.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Permission bits of group and others.
const OPEN_TO_OTHERS: u32 = 0o077;
