//! Which file is the configuration.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file in each directory that is looked at.
const FILE_NAME: &str = "mailbearer.toml";

/// The environment variable that names the file.
const VARIABLE: &str = "MAILBEARER_CONFIG";

/// There is no configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no configuration file; looked for {}", list(looked_at))]
pub struct NotFound {
    /// Every place looked at, in order.
    pub looked_at: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

/// Finds the configuration file: `named` (by `-c`) or else `$MAILBEARER_CONFIG`, and where neither
/// is given the first that exists of `./mailbearer.toml`,
/// `$XDG_CONFIG_HOME/mailbearer/mailbearer.toml` and `/etc/mailbearer/mailbearer.toml`.
///
/// A file that was named and is missing is not replaced by another: serving somebody else's
/// configuration for a mistyped name would be worse than not to start.
///
/// # Errors
/// When the named file, or every file, is missing.
pub fn locate(named: Option<PathBuf>) -> Result<PathBuf, NotFound> {
    locate_with(named, &|name| env::var_os(name))
}

fn locate_with(
    named: Option<PathBuf>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, NotFound> {
    let env = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let looked_at = match named.or_else(|| env(VARIABLE)) {
        Some(named) => vec![named],
        None => {
            // XDG Base Directory Specification: a relative path there is to be ignored.
            let user = env("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
            let user = user.or_else(|| env("HOME").map(|home| home.join(".config")));
            let user = user.map(|dir| dir.join("mailbearer").join(FILE_NAME));
            let system = Path::new("/etc/mailbearer").join(FILE_NAME);
            [Some(PathBuf::from(FILE_NAME)), user, Some(system)].into_iter().flatten().collect()
        }
    };
    match looked_at.iter().find(|path| exists(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(NotFound { looked_at }),
    }
}

/// Whether there is something: a file that may not be looked at is one, and reading it will say
/// why it cannot be read.
fn exists(path: &Path) -> bool {
    let missing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    fs::metadata(path).map_or_else(|error| !missing.contains(&error.kind()), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate_among(
        named: Option<&Path>,
        variables: &[(&str, &Path)],
    ) -> Result<PathBuf, NotFound> {
        locate_with(named.map(Path::to_path_buf), &|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.as_os_str().to_owned())
        })
    }

    #[test]
    fn the_named_file_comes_first_and_the_variable_second() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for path in [&one, &other] {
            fs::write(path, "").unwrap();
        }
        let variables = [("MAILBEARER_CONFIG", &*other)];
        assert_eq!(locate_among(Some(&one), &variables).unwrap(), one);
        assert_eq!(locate_among(None, &variables).unwrap(), other);
    }

    #[test]
    fn a_named_file_that_is_missing_is_not_replaced_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, other) = (dir.path().join("missing"), dir.path().join("other"));
        fs::write(&other, "").unwrap();
        let error = locate_among(Some(&missing), &[("MAILBEARER_CONFIG", &other)]).unwrap_err();
        assert_eq!(error.looked_at, [missing]);
    }

    #[test]
    fn the_users_own_file_is_found_below_xdg_config_home_or_home() {
        let dir = tempfile::tempdir().unwrap();
        let (xdg, home) = (dir.path().join("xdg"), dir.path().join("home"));
        let files = [&xdg, &home.join(".config")].map(|dir| dir.join("mailbearer/mailbearer.toml"));
        for file in &files {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let empty = Path::new("");
        let variables = [("MAILBEARER_CONFIG", empty), ("XDG_CONFIG_HOME", &xdg), ("HOME", &home)];
        assert_eq!(locate_among(None, &variables).unwrap(), files[0]);
        let variables = [("XDG_CONFIG_HOME", Path::new("relative")), ("HOME", &home)];
        assert_eq!(locate_among(None, &variables).unwrap(), files[1]);
    }

    #[test]
    fn all_places_are_named_when_there_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = locate_among(None, &[("HOME", dir.path())]).unwrap_err();
        let user = dir.path().join(".config/mailbearer/mailbearer.toml");
        assert_eq!(
            error.to_string(),
            format!(
                "there is no configuration file; looked for mailbearer.toml, {}, \
                 /etc/mailbearer/mailbearer.toml",
                user.display()
            )
        );
    }
}
