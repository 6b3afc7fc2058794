//! `import emailproxy FILE`: the configuration of email-oauth2-proxy, as ours.
//!
//! Source: that program's documentation of its sample configuration, and which options its code
//! reads (version of 2026-04-21). Nothing is connected to, and its file is only read.

mod accounts;
mod client;
mod consent;
mod document;
mod ini;
mod known;
mod notes;
mod providers;
mod servers;
mod service_account;
mod translation;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use self::ini::Ini;
use self::translation::{Translation, translate};
use super::{Exit, finish, tell};
use crate::config::FILE_LEN_MAX;

/// What `import` is asked for.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Whose configuration it is.
    #[arg(value_name = "PROGRAM", value_parser = ["emailproxy"])]
    program: String,
    /// Its configuration file.
    file: PathBuf,
    /// Where to write ours, readable for you alone; left out, it is printed, with its secrets.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "output")]
    force: bool,
}

/// Translates the file. What has to be known goes to standard error.
pub(super) fn run(arguments: &ImportArgs) -> Exit {
    let ImportArgs { program: _, file, output, force } = arguments;
    if let Some(output) = output.as_deref().filter(|output| is_same(file, output)) {
        tell(ImportError::Itself { path: output.into() });
        return Exit::Usage;
    }
    let translation = match read(file) {
        Ok(translation) => translation(output.as_deref()),
        Err(error) => {
            tell(&error);
            return Exit::Failed;
        }
    };
    for note in &translation.notes {
        tell(format_args!("{}:{note}", file.display()));
    }
    for table in &translation.set_aside {
        tell(format_args!("set aside: {table}"));
    }
    let written = match output {
        Some(output) => match write(output, *force, &translation.text) {
            Ok(()) => finish(format_args!("written to {}", output.display())),
            Err(error) => {
                tell(&error);
                Exit::Failed
            }
        },
        None => finish(translation.text.trim_end()),
    };
    if !translation.problems.is_empty() {
        tell("nothing of it can serve yet:");
        for problem in &translation.problems {
            tell(format_args!("  {}; {}", problem.message, problem.help));
        }
        return Exit::Failed;
    }
    if !translation.steps.is_empty() {
        tell("before it serves:");
    }
    for step in &translation.steps {
        tell(format_args!("  {step}"));
    }
    written
}

/// Reads `file`; gives what is made of it for a file at a path, or for one in this directory.
fn read(file: &Path) -> Result<impl FnOnce(Option<&Path>) -> Translation, ImportError> {
    let unreadable = |source| ImportError::Unreadable { path: file.into(), source };
    let mut text = Zeroizing::new(String::new());
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(FILE_LEN_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if !u64::try_from(text.len()).is_ok_and(|len| len <= FILE_LEN_MAX) {
        return Err(ImportError::TooLong { path: file.into() });
    }
    let ini = Ini::parse(&text).map_err(|problems| {
        let line = |problem: &ini::IniProblem| {
            format!("{}:{}: {}", file.display(), problem.line, problem.message)
        };
        ImportError::NotRead(problems.iter().map(line).collect::<Vec<_>>().join("\n"))
    })?;
    let base = std::path::absolute(file).map_err(unreadable)?;
    let base = base.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(move |output: Option<&Path>| translate(&ini, &base, directory_of(output)))
}

/// Whether both are the same file, which is there.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some_and(|one| real(other) == Some(one))
}

/// Where a file at `output` lies; without one, here.
fn directory_of(output: Option<&Path>) -> &Path {
    let parent = output.and_then(Path::parent);
    parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes `text` to `output`, whole or not at all, for its owner alone.
fn write(output: &Path, force: bool, text: &str) -> Result<(), ImportError> {
    let unwritable = |source| ImportError::Unwritable { path: output.into(), source };
    // It is made with mode 0600.
    let mut file = NamedTempFile::new_in(directory_of(Some(output))).map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    file.as_file().sync_all().map_err(unwritable)?;
    let persisted = if force { file.persist(output) } else { file.persist_noclobber(output) };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(ImportError::Exists { path: output.into() })
        }
        Err(error) => Err(unwritable(error.error)),
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("{path:?} cannot be read ({source}): name the program's configuration file, in UTF-8")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path:?} is larger than 1 MiB: name the program's configuration file")]
    TooLong { path: PathBuf },
    #[error("{0}")]
    NotRead(String),
    #[error("{path:?} is what is translated, and would be lost: name another file")]
    Itself { path: PathBuf },
    #[error("{path:?} is there already: name another file, or write --force")]
    Exists { path: PathBuf },
    #[error("{path:?} cannot be written ({source}): name a file in a directory of yours")]
    Unwritable { path: PathBuf, source: io::Error },
}
