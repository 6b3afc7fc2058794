//! `[store]`: where grants and local passwords are kept, and what seals them.
//!
//! The directory where the store lies is the state directory. Nothing is looked at here: whether
//! there is a store, and whether it can be had, is found out by whoever opens it.

use std::env::VarError;
use std::path::{self, Path, PathBuf};

use crate::secret::SecretSource;
use crate::store::{KeySource, StoreSettings, is_key};

use super::field::Field;
use super::file::{File, Reported};
use super::later;
use super::secrets::Secrets;
use super::table::Table;

/// Where the configuration of a system's service stands.
const SYSTEM_CONFIG: &str = "/etc/mailbearer";

/// Where its state lies, and that of whoever has no home: a container with an empty environment,
/// which keeps nothing, has no place to name.
const SYSTEM_STATE: &str = "/var/lib/mailbearer";

/// Names of the store and of its key, where the file names none.
const STORE_NAME: &str = "mailbearer.redb";
const KEY_NAME: &str = "store.key";

/// Names in the state directory that are not for the store.
const TAKEN_NAMES: [&str; 3] = [KEY_NAME, "control.sock", "lock"];

/// Reads `[store]`, a table of `file`'s `root`.
pub(super) fn read(file: &File<'_>, root: &mut Table<'_>) -> Result<StoreSettings, Reported> {
    let mut table = root.read("store", |field| field.table())?;
    let (path, key) = match &mut table {
        Some(table) => (
            table.read("path", |field| store_path(&field)),
            table.read("key", |field| store_key(&field)),
        ),
        None => (Ok(None), Ok(None)),
    };
    let finished = table.map_or(Ok(()), |table| table.finish(later::STORE));
    let path = match path? {
        Some(path) => path,
        None => state_dir(file).join(STORE_NAME),
    };
    finished?;
    let made = || KeySource::Made(path.with_file_name(KEY_NAME));
    let key = key?.map_or_else(made, KeySource::Given);
    Ok(StoreSettings { path, key })
}

/// What seals the store. A program is not run to see what it gives.
fn store_key(field: &Field<'_>) -> Result<SecretSource, Reported> {
    let source = field.secret()?;
    let is_looked_at =
        field.file().secrets() == Secrets::Verify && !matches!(source, SecretSource::Command(_));
    if is_looked_at && !is_key(&source) {
        return Err(field.problem(
            "has fewer than 32 characters, so that it could be guessed",
            "make one with `openssl rand -base64 32`",
        ));
    }
    Ok(source)
}

fn store_path(field: &Field<'_>) -> Result<PathBuf, Reported> {
    let path = field.path()?;
    let name = path.file_name().filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"));
    let Some(name) = name else {
        let help = "write the path of a file in a directory of its own: \
                    \"/var/lib/mailbearer/mailbearer.redb\"";
        return Err(field.problem(format!("is {}, which names no file", path.display()), help));
    };
    if TAKEN_NAMES.iter().any(|taken| name == *taken) {
        let problem = format!("is {}, a name for something else beside the store", path.display());
        return Err(field.problem(problem, "choose another name, as \"mailbearer.redb\""));
    }
    Ok(path)
}

/// The state directory where the file does not say it.
fn state_dir(file: &File<'_>) -> PathBuf {
    if is_same_dir(file.dir(), Path::new(SYSTEM_CONFIG)) {
        return SYSTEM_STATE.into();
    }
    // XDG Base Directory Specification: a relative path there is to be ignored.
    let dir =
        dir_in(file, "XDG_STATE_HOME").or_else(|| Some(dir_in(file, "HOME")?.join(".local/state")));
    dir.map_or_else(|| SYSTEM_STATE.into(), |dir| dir.join("mailbearer"))
}

/// Whether `dir`, which may be relative or empty, is `other`; links are not followed.
fn is_same_dir(dir: &Path, other: &Path) -> bool {
    path::absolute(Path::new(".").join(dir)).is_ok_and(|dir| dir == other)
}

fn dir_in(file: &File<'_>, variable: &str) -> Option<PathBuf> {
    let dir = match file.env(variable) {
        Ok(dir) => PathBuf::from(dir),
        Err(VarError::NotUnicode(dir)) => PathBuf::from(dir),
        Err(VarError::NotPresent) => return None,
    };
    dir.is_absolute().then_some(dir)
}
