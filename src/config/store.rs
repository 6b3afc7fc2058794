//! `[store]`: where grants and local passwords are kept, and what seals them.
//!
//! The directory where the store lies is the state directory. Nothing is looked at here: whether
//! there is a store, and whether it can be had, is found out by whoever opens it.

use std::env::VarError;
use std::path::{self, Path, PathBuf};

use crate::store::{KeySource, StoreSettings};

use super::field::Field;
use super::file::{File, Reported};
use super::later;
use super::table::Table;

/// Where the configuration of a system's service stands, and where its state then lies.
const SYSTEM: [&str; 2] = ["/etc/mailbearer", "/var/lib/mailbearer"];

/// Names of the store and of its key, where the file names none.
const STORE_NAME: &str = "mailbearer.redb";
const KEY_NAME: &str = "store.key";

/// Names in the state directory that are not for the store.
const TAKEN_NAMES: [&str; 2] = [KEY_NAME, "control.sock"];

/// Reads `[store]`, a table of `root`, which `field` is.
pub(super) fn read(field: &Field<'_>, root: &mut Table<'_>) -> Result<StoreSettings, Reported> {
    let mut table = root.read("store", |field| field.table())?;
    let (path, key) = match &mut table {
        Some(table) => (
            table.read("path", |field| store_path(&field)),
            table.read("key", |field| field.secret()),
        ),
        None => (Ok(None), Ok(None)),
    };
    let finished = table.map_or(Ok(()), |table| table.finish(later::STORE));
    let path = match path? {
        Some(path) => path,
        None => state_dir(field)?.join(STORE_NAME),
    };
    finished?;
    let made = || KeySource::Made(path.with_file_name(KEY_NAME));
    let key = key?.map_or_else(made, KeySource::Given);
    Ok(StoreSettings { path, key })
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
fn state_dir(field: &Field<'_>) -> Result<PathBuf, Reported> {
    let file = field.file();
    let [config, state] = SYSTEM.map(Path::new);
    if is_same_dir(file.dir(), config) {
        return Ok(state.to_owned());
    }
    // XDG Base Directory Specification: a relative path there is to be ignored.
    let dir =
        dir_in(file, "XDG_STATE_HOME").or_else(|| Some(dir_in(file, "HOME")?.join(".local/state")));
    dir.map(|dir| dir.join("mailbearer")).ok_or_else(|| {
        field.problem(
            "has no place for its store: neither $XDG_STATE_HOME nor $HOME is set",
            "write a [store] with path = \"/var/lib/mailbearer/mailbearer.redb\", or set one of them",
        )
    })
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
