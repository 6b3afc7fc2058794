//! Where a secret of the configuration comes from, and reading it.
//!
//! In:     what the file names: a text, a variable, a file, a program.
//! Out:    1 to [`LEN_MAX`] bytes of UTF-8, or a sentence that says why not and holds none of it.
//! Limits: one read of a file, or [`SecretCommand`]'s time.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{ExposeSecret as _, SecretCommand, SecretString};

/// Longest secret, in bytes. An RSA key in PEM is under 4 KiB; this leaves room.
const LEN_MAX: usize = 65_536;

/// Most bytes of which a secret can be made: the longest one and a line end.
pub(super) const RAW_LEN_MAX: usize = LEN_MAX + 2;

/// Where a secret of the configuration comes from.
#[derive(Clone)]
pub enum SecretSource {
    /// Written in the configuration.
    Value(SecretString),
    /// A variable of the environment as it was when the configuration was read.
    Env {
        /// The variable.
        name: String,
        /// What it held, or the end of a sentence that begins with the variable.
        value: Result<SecretString, &'static str>,
    },
    /// A file, read at each use, so that a rotated secret needs no restart.
    File(PathBuf),
    /// A program, run at each use.
    Command(SecretCommand),
}

impl SecretSource {
    /// The variable `name`, of which `found` was found in the environment.
    pub fn env(name: &str, found: Result<String, std::env::VarError>) -> Self {
        let found = found.map(Zeroizing::new);
        let value = match &found {
            Ok(text) if text.is_empty() => Err("is empty"),
            Ok(text) if text.len() > LEN_MAX => Err("is longer than 64 KiB"),
            Ok(text) => Ok(SecretString::from(text.as_str())),
            Err(std::env::VarError::NotPresent) => Err("is not set"),
            Err(std::env::VarError::NotUnicode(_)) => Err("is not UTF-8 text"),
        };
        Self::Env { name: name.to_owned(), value }
    }

    /// The secret itself; of a file and of a program's output one trailing line end is removed.
    ///
    /// May block (see [`Self::blocks`]): for one small file read, or for 10 s while a program runs.
    ///
    /// # Errors
    /// When the variable, the file or the program's output cannot be had, is empty, is longer than
    /// 64 KiB or is not UTF-8. The next use may succeed where it is a file or a program.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::Env { name, value } => value
                .clone()
                .map_err(|problem| SecretError::Variable { name: name.clone(), problem }),
            Self::File(path) => Ok(read_file(path)?),
            Self::Command(command) => {
                let failed = |problem: String| SecretError::Command {
                    program: command.program().to_owned(),
                    problem,
                };
                let output = command.output().map_err(failed)?;
                secret_in(&output)
                    .map_err(|problem| failed(format!("printed a secret that {problem}")))
            }
        }
    }

    /// Whether [`Self::read`] may block, so that it has to be called where that holds up nobody.
    pub fn blocks(&self) -> bool {
        match self {
            Self::Value(_) | Self::Env { .. } => false,
            Self::File(_) | Self::Command(_) => true,
        }
    }

    /// Whether both are written alike: the same text, variable, file or command. Two variables that
    /// hold the same secret are not.
    ///
    /// Takes longer the longer two texts agree, so it is for the configuration alone.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose_secret() == other.expose_secret(),
            (Self::Env { name: one, .. }, Self::Env { name: other, .. }) => one == other,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Command(one), Self::Command(other)) => one == other,
            (Self::Value(_) | Self::Env { .. } | Self::File(_) | Self::Command(_), _) => false,
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value([REDACTED])"),
            Self::Env { name, .. } => write!(f, "Env({name:?})"),
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Command(command) => command.fmt(f),
        }
    }
}

/// Why a secret could not be had. [`Self::fix`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment did not hold it when the configuration was read.
    #[error("the secret's variable {name} {problem}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file does not hold it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The program does not give it.
    #[error("the secret's command {program:?} {problem}")]
    Command {
        /// The program alone: an argument may be secret.
        program: PathBuf,
        /// What is wrong with it. Holds nothing that the program printed.
        problem: String,
    },
}

impl SecretError {
    /// What to do, in a clause.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Variable { .. } => "set it for this process and start it again",
            Self::File(SecretFileError::Unreadable { .. }) => {
                "make it readable for the user that mailbearer runs as"
            }
            Self::File(SecretFileError::Unusable { .. }) => "write the secret into it",
            Self::Command { .. } => "run it by hand as the user that mailbearer runs as",
        }
    }
}

/// Why a file holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It cannot be read.
    #[error("the secret file {path:?} cannot be read ({source})")]
    Unreadable {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is no regular one, empty, too long or no UTF-8 text.
    #[error("the secret file {path:?} {problem}")]
    Unusable {
        /// The file as the configuration names it.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads the secret in the file at `path`, one trailing line end removed.
///
/// # Errors
/// When it is no regular file, cannot be read, is empty, is longer than 64 KiB or is not UTF-8.
pub fn read_file(path: &Path) -> Result<SecretString, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable { path: path.into(), source };
    let unusable = |problem| SecretFileError::Unusable { path: path.into(), problem };
    // Opening a pipe would wait for somebody to write into it, maybe for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unusable("is no regular file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    // With room for all of it from the start, no copy is left behind where it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(RAW_LEN_MAX + 1));
    let limit = u64::try_from(RAW_LEN_MAX + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    secret_in(&bytes).map_err(unusable)
}

/// The secret in what was read; the error is the end of a sentence that begins with the place.
fn secret_in(bytes: &[u8]) -> Result<SecretString, &'static str> {
    let secret = match bytes {
        // More than was read may follow, so a line end here may not be the last one.
        too_many if too_many.len() > RAW_LEN_MAX => too_many,
        [secret @ .., b'\r', b'\n'] | [secret @ .., b'\n'] => secret,
        secret => secret,
    };
    match secret.len() {
        0 => Err("is empty"),
        1..=LEN_MAX => std::str::from_utf8(secret)
            .map(SecretString::from)
            .map_err(|_not_utf8| "is not UTF-8 text"),
        _ => Err("is longer than 64 KiB"),
    }
}

#[cfg(test)]
mod tests {
    use std::env::VarError;

    use super::*;

    fn command(script: &str) -> SecretSource {
        let arguments = ["-c", script].map(str::to_owned).to_vec();
        SecretSource::Command(SecretCommand::new("sh".into(), arguments))
    }

    fn read(source: &SecretSource) -> Result<String, String> {
        let secret = source.read().map_err(|error| error.to_string())?;
        Ok(secret.expose_secret().to_owned())
    }

    #[test]
    fn a_source_never_prints_what_may_be_secret() {
        let value = SecretSource::Value(SecretString::from("tell-nobody"));
        let variable = SecretSource::env("NAME", Ok("tell-nobody".to_owned()));
        let command = command("echo tell-nobody");
        assert_eq!(
            format!("{value:?} {variable:?} {command:?}"),
            "Value([REDACTED]) Env(\"NAME\") Command(\"sh\", 2 arguments)"
        );
    }

    #[test]
    fn a_file_and_an_output_lose_one_line_end_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let cases =
            [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), (" s \n\n", " s \n"), ("s\r", "s\r")];
        for (text, secret) in cases {
            fs::write(&path, text).unwrap();
            let cat = command(&format!("cat '{}'", path.display()));
            for source in [SecretSource::File(path.clone()), cat] {
                assert_eq!(read(&source).unwrap(), secret, "{source:?}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_wherever_it_comes_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let longest = "x".repeat(LEN_MAX);
        let hidden = format!("{longest}\nmore");
        let too_long = format!("{longest}x");
        let cases: [(&[u8], _); 6] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"\r\n", "is empty"),
            (b"tell-nobody\xff", "is not UTF-8 text"),
            (too_long.as_bytes(), "is longer than 64 KiB"),
            (hidden.as_bytes(), "is longer than 64 KiB"),
        ];
        for (bytes, problem) in cases {
            fs::write(&path, bytes).unwrap();
            let told = read(&SecretSource::File(path.clone())).unwrap_err();
            assert_eq!(told, format!("the secret file {path:?} {problem}"));
            let told = read(&command(&format!("cat '{}'", path.display()))).unwrap_err();
            let told = told.strip_prefix("the secret's command \"sh\" printed a secret that ");
            assert_eq!(told, Some(problem));
        }
        fs::write(&path, format!("{longest}\r\n")).unwrap();
        assert_eq!(read(&SecretSource::File(path)).unwrap(), longest);
    }

    #[test]
    fn a_variable_is_kept_as_it_was_found_and_missed_when_it_is_used() {
        assert_eq!(read(&SecretSource::env("NAME", Ok("s\n".to_owned()))).unwrap(), "s\n");
        for (found, problem) in [
            (Err(VarError::NotPresent), "is not set"),
            (Err(VarError::NotUnicode("?".into())), "is not UTF-8 text"),
            (Ok(String::new()), "is empty"),
            (Ok("x".repeat(LEN_MAX + 1)), "is longer than 64 KiB"),
        ] {
            let told = read(&SecretSource::env("NAME", found)).unwrap_err();
            assert_eq!(told, format!("the secret's variable NAME {problem}"));
        }
    }

    #[test]
    fn sources_are_the_same_when_they_are_written_alike() {
        let variable = |name| SecretSource::env(name, Ok("s".to_owned()));
        let file = |path: &str| SecretSource::File(path.into());
        let value = |text: &str| SecretSource::Value(SecretString::from(text));
        let sources = [
            value("s"),
            value("t"),
            variable("ONE"),
            variable("TWO"),
            file("s"),
            file("t"),
            command("s"),
            command("t"),
        ];
        for (at, one) in sources.iter().enumerate() {
            for (other_at, other) in sources.iter().enumerate() {
                assert_eq!(one.is_same_as(other), at == other_at, "{one:?} {other:?}");
            }
        }
        let unset = SecretSource::env("ONE", Err(VarError::NotPresent));
        assert!(unset.is_same_as(&variable("ONE")), "whatever it holds");
    }
}
