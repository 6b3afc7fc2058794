//! Where a value is had from: files, programs and variables, which may be secrets in a wrong place.
//!
//! So what is named is shown if it is there, and as far as it is there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest path that is looked for, in bytes: Linux takes none that is longer.
const PATH_LEN_MAX: usize = 4096;

/// What values are compared with before they are shown.
pub struct Machine<'a> {
    /// Where the file lies: its paths are relative to this.
    pub directory: &'a Path,
    /// The variables of the environment.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
}

/// How much of what is named is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// What is there.
    Shown,
    /// Whether it is there.
    Hidden,
}

impl Machine<'_> {
    /// A path of the file.
    pub(super) fn path(&self, text: &str, places: Places) -> String {
        if self.is_there(text) {
            return shown(text, places);
        }
        let is_some_way = |ancestor: &&Path| {
            let is_place = ancestor.components().any(|part| part.as_os_str() != "/");
            is_place && self.is_there(&ancestor.to_string_lossy())
        };
        let is_path = text.len() <= PATH_LEN_MAX && places == Places::Shown;
        match Path::new(text).ancestors().skip(1).find(is_some_way).filter(|_| is_path) {
            Some(ancestor) => format!("{ancestor:?} and what is not there (not shown)"),
            None => "(not there, not shown)".to_owned(),
        }
    }

    /// A program: a path of the file, or a name that is looked for in `$PATH`.
    pub(super) fn program(&self, text: &str, places: Places) -> String {
        if text.contains('/') {
            return self.path(text, places);
        }
        let path = (self.env)("PATH").unwrap_or_default();
        let mut directories = std::env::split_paths(&path);
        if !text.is_empty() && directories.any(|directory| directory.join(text).is_file()) {
            shown(text, places)
        } else {
            "(not there, not shown)".to_owned()
        }
    }

    /// A variable: one that is set, or is named as variables are, in words and underscores. A secret
    /// may be letters and digits alone, but not that.
    pub(super) fn variable(&self, name: &str, places: Places) -> String {
        let is_word = |word: &str| {
            let letters = word.trim_end_matches(|digit: char| digit.is_ascii_digit());
            word.len() - letters.len() <= 2
                && !letters.is_empty()
                && letters.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        let is_set = is_variable(name) && (self.env)(name).is_some();
        match (is_set, places) {
            (true, Places::Hidden) => "(set here, not shown)".to_owned(),
            (false, Places::Hidden) => "(not set here, not shown)".to_owned(),
            (true, Places::Shown) => format!("{name:?}"),
            (false, Places::Shown) if name.contains('_') && name.split('_').all(is_word) => {
                format!("{name:?} (not set here)")
            }
            (false, Places::Shown) => "(not set here, not shown)".to_owned(),
        }
    }

    fn is_there(&self, text: &str) -> bool {
        let path: PathBuf = self.directory.join(text);
        !text.is_empty() && text.len() <= PATH_LEN_MAX && fs::symlink_metadata(path).is_ok()
    }
}

fn shown(text: &str, places: Places) -> String {
    match places {
        Places::Shown => format!("{text:?}"),
        Places::Hidden => "(there, not shown)".to_owned(),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(directory: &Path) -> Machine<'_> {
        Machine {
            directory,
            env: &|name| match name {
                "PATH" => Some("/nonexistent:/usr/bin:/bin".into()),
                "secret" => Some("x".into()),
                _ => None,
            },
        }
    }

    #[test]
    fn a_path_is_shown_as_far_as_something_is_there() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("keys")).unwrap();
        fs::write(directory.path().join("keys/a"), "").unwrap();
        let machine = machine(directory.path());
        let whole = directory.path().join("keys/a");
        let whole = whole.to_str().unwrap();
        for (text, shown) in [
            ("keys/a", "\"keys/a\""),
            (whole, &*format!("{whole:?}")),
            ("keys/b/c", "\"keys\" and what is not there (not shown)"),
            ("b", "(not there, not shown)"),
            ("/b/c", "(not there, not shown)"),
            ("", "(not there, not shown)"),
            ("b/../keys/a", "(not there, not shown)"),
            (&"keys/".repeat(1000), "(not there, not shown)"),
        ] {
            assert_eq!(machine.path(text, Places::Shown), shown);
        }
        assert_eq!(machine.path("keys/a", Places::Hidden), "(there, not shown)");
        assert_eq!(machine.path("keys/b", Places::Hidden), "(not there, not shown)");
    }

    #[test]
    fn a_program_is_shown_if_it_is_found() {
        let machine = machine(Path::new("/"));
        assert_eq!(machine.program("sh", Places::Shown), "\"sh\"");
        assert_eq!(machine.program("/bin/sh", Places::Shown), "\"/bin/sh\"");
        assert_eq!(machine.program("sh", Places::Hidden), "(there, not shown)");
        for none in ["", "hunter2", "sh -c hunter2"] {
            assert_eq!(machine.program(none, Places::Shown), "(not there, not shown)");
        }
        let line = machine.program("/bin/sh -c hunter2", Places::Shown);
        assert_eq!(line, "\"/bin\" and what is not there (not shown)");
    }

    #[test]
    fn a_variable_is_shown_if_it_is_set_or_named_as_variables_are() {
        let machine = machine(Path::new("/"));
        assert_eq!(machine.variable("secret", Places::Shown), "\"secret\"");
        let named = machine.variable("CONTOSO_OAUTH2_SECRET", Places::Shown);
        assert_eq!(named, "\"CONTOSO_OAUTH2_SECRET\" (not set here)");
        for odd in ["", "hunter2", "5f3a9c", "A_", "AKIA123", "A_B123", "a_b", "is no name"] {
            assert_eq!(machine.variable(odd, Places::Shown), "(not set here, not shown)", "{odd}");
        }
        let hidden = machine.variable("CONTOSO_SECRET", Places::Hidden);
        assert_eq!(hidden, "(not set here, not shown)");
        assert_eq!(machine.variable("secret", Places::Hidden), "(set here, not shown)");
    }
}
