//! The directory that the certificates lie in.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::CertificatesError;
use super::authority::{Authority, Flaw, names_in};
use super::names::Name;
use crate::store::shell_word;

/// What others may do with a certificate: read it.
const CERTIFICATE_MODE: u32 = 0o644;

/// What others may do with a key: nothing.
const KEY_MODE: u32 = 0o600;

/// What a group may do with a server's key, if it could before: read it.
const READABLE_FOR_GROUP: u32 = 0o040;

/// Permission bits of group and others.
const OPEN_TO_OTHERS: u32 = 0o077;

/// The directory, which exists.
pub(super) struct Directory(PathBuf);

/// Whether a file that is there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    Yes,
    No,
}

impl Directory {
    /// The directory at `path`, which is made if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, CertificatesError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        fs::create_dir_all(&path)
            .map_err(|source| CertificatesError::Unwritable { path: path.clone(), source })?;
        Ok(Self(path))
    }

    /// The authority's certificate: what devices trust.
    pub(super) fn ca_pem(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The authority's key.
    pub(super) fn ca_key(&self) -> PathBuf {
        self.0.join("ca.key")
    }

    /// The relay's certificate.
    pub(super) fn server_pem(&self) -> PathBuf {
        self.0.join("server.pem")
    }

    /// The relay's key.
    pub(super) fn server_key(&self) -> PathBuf {
        self.0.join("server.key")
    }

    /// The authority that was kept, if one was.
    pub(super) fn authority(&self, now: Duration) -> Result<Option<Authority>, CertificatesError> {
        let (pem, key) = (read(&self.ca_pem())?, read(&self.ca_key())?);
        let (pem, key) = match (pem, key) {
            (None, None) => return Ok(None),
            (Some(pem), Some(key)) => (pem, key),
            (Some(_), None) => return Err(half(self.ca_pem(), self.ca_key())),
            (None, Some(_)) => return Err(half(self.ca_key(), self.ca_pem())),
        };
        check_private(&self.ca_key())?;
        let authority = Authority::read(&pem, &key, now).map_err(|flaw| match flaw {
            Flaw::Certificate(problem) => {
                CertificatesError::Unusable { path: self.ca_pem(), problem }
            }
            Flaw::Key(problem) => CertificatesError::Unusable { path: self.ca_key(), problem },
        })?;
        Ok(Some(authority))
    }

    /// The names of the server's certificate that was kept: a relay goes on being called so.
    pub(super) fn names(&self) -> Result<Vec<Name>, CertificatesError> {
        // One that nobody can read is made anew all the same.
        let kept = read(&self.server_pem())?;
        Ok(kept.and_then(|pem| names_in(&pem).ok()).unwrap_or_default())
    }

    /// Keeps a new authority; one that is there by now stays.
    pub(super) fn keep_authority(&self, authority: &Authority) -> Result<(), CertificatesError> {
        let key = self.ca_key();
        self.write(&key, authority.key_pem().as_bytes(), KEY_MODE, Replace::No)?;
        let kept =
            self.write(&self.ca_pem(), authority.pem().as_bytes(), CERTIFICATE_MODE, Replace::No);
        if kept.is_err() {
            // Half of an authority would be in the way of the next try.
            let _ = fs::remove_file(key);
        }
        kept
    }

    /// Keeps the server's certificate and its key (PEM) in place of those that are there. Between the
    /// two a relay that reads them finds a pair that does not match: it goes on with what it has, and
    /// looks again. If this breaks off there, one that starts refuses the pair, and the next run of
    /// the command mends it.
    /// They stay the same user's and group's: root renews them, and the relay is another user.
    pub(super) fn keep_server(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<(), CertificatesError> {
        self.write(&self.server_key(), key.as_bytes(), KEY_MODE, Replace::Yes)?;
        self.write(&self.server_pem(), certificate.as_bytes(), CERTIFICATE_MODE, Replace::Yes)
    }

    /// Writes a file whole or not at all. It is never open to others than it should be.
    fn write(
        &self,
        path: &Path,
        content: &[u8],
        mode: u32,
        replace: Replace,
    ) -> Result<(), CertificatesError> {
        let write = || -> io::Result<()> {
            let mut file = NamedTempFile::new_in(&self.0)?;
            file.write_all(content)?;
            let mut mode = mode;
            if replace == Replace::Yes {
                mode |= take_over(path, file.as_file())?;
            }
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            match replace {
                Replace::Yes => file.persist(path)?,
                Replace::No => file.persist_noclobber(path)?,
            };
            Ok(())
        };
        write().map_err(|source| CertificatesError::Unwritable { path: path.to_owned(), source })
    }
}

/// Gives `file` to the owner and the group of the one at `path`, if there is one. Says whether the
/// group could read that.
fn take_over(path: &Path, file: &File) -> io::Result<u32> {
    let before = match fs::metadata(path) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    Ok(before.mode() & READABLE_FOR_GROUP)
}

/// Refuses a key at `path` that others could have read, or put there.
fn check_private(path: &Path) -> Result<(), CertificatesError> {
    let metadata = fs::metadata(path)
        .map_err(|source| CertificatesError::Unreadable { path: path.to_owned(), source })?;
    if metadata.mode() & OPEN_TO_OTHERS == 0 {
        return Ok(());
    }
    let word = shell_word(&path.to_string_lossy());
    Err(CertificatesError::Open { path: path.to_owned(), word })
}

fn half(present: PathBuf, missing: PathBuf) -> CertificatesError {
    CertificatesError::Half { present, missing }
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, CertificatesError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertificatesError::Unreadable { path: path.to_owned(), source }),
    }
}
