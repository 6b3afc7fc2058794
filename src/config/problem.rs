//! What is wrong with a configuration file, told so that it can be mended: where, which key, why,
//! and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// One thing in the file that must be mended, or (as a warning) that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// Dotted name of the key (`listeners.imap.address`); `None` where the file is no TOML, and where
    /// it stands for those that are not told.
    pub key: Option<String>,
    /// What is wrong, as the end of a sentence that begins with the key. Never holds a secret.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Problem {
    /// Renders the problem as two lines without an end, `path` being the file it stands in.
    pub fn in_file<'a>(&'a self, path: &'a Path) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            write!(f, "{}:{}: ", path.display(), self.line)?;
            if let Some(key) = &self.key {
                write!(f, "`{key}` ")?;
            }
            write!(f, "{}\n  {}", self.message, self.help)
        })
    }
}

/// Why a configuration file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "{}: cannot be read ({})\n  make it readable for the user mailbearer runs as, or name \
         another file with -c",
        path.display(),
        reason(source)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is larger than [`super::FILE_LEN_MAX`].
    #[error("{}: is larger than 16 MiB\n  name a configuration file with -c", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is no UTF-8, which TOML must be.
    #[error("{}:{line}: is not UTF-8 text\n  save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is none.
        line: usize,
    },
    /// The file was read, and this is what is wrong with it: all, or of very many the first.
    #[error("{}", in_lines(path, problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// At least one, by line.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// Whether another user could read the file.
    pub fn is_no_permission(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn in_lines(path: &Path, problems: &[Problem]) -> String {
    let rendered: Vec<String> =
        problems.iter().map(|problem| problem.in_file(path).to_string()).collect();
    rendered.join("\n")
}

/// What the operating system said, in two or three words.
pub(super) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "no such file".into()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "permission denied".into()
    } else if error.kind() == io::ErrorKind::IsADirectory {
        "it is a directory".into()
    } else {
        error.to_string()
    }
}
