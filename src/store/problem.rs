//! Problems as sentences: what is wrong with a file, and the line to type.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::StoreError;

/// `path` could not be written.
pub(super) fn not_written(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { problem: sentence("written", path, error) }
}

/// `path` could not be read.
pub(super) fn not_read(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { problem: sentence("read", path, error) }
}

/// What to do about `error`.
fn sentence(done: &str, path: &Path, error: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's, and growing")]
    let (what, fix) = match error.kind() {
        ErrorKind::StorageFull => ("the file system is full", "make room there"),
        ErrorKind::QuotaExceeded => {
            ("the disk quota of this user is used up", "make room, or raise it")
        }
        ErrorKind::FileTooLarge => {
            ("the limit for the size of files is reached", "raise it (`ulimit -f`)")
        }
        ErrorKind::ReadOnlyFilesystem => {
            ("the file system is read-only", "mount a writable one at the state directory")
        }
        ErrorKind::PermissionDenied => (
            "permission denied",
            "give the state directory to the user that mailbearer runs as (`chown`)",
        ),
        ErrorKind::NotADirectory => {
            ("a part of the path is no directory", "name another place in `store.path`")
        }
        ErrorKind::NotFound => ("it is gone", "put it back, or start mailbearer again"),
        _ => {
            return format!("{path:?} cannot be {done} ({error}): look at the disk that it is on");
        }
    };
    format!("{path:?} cannot be {done}, {what}: {fix}")
}

/// Why a file is no store, or not ours, and what becomes of it.
pub(super) fn damaged(path: &Path, why: &str) -> StoreError {
    let aside = move_aside(path);
    StoreError::Unusable {
        problem: format!(
            "{path:?} is damaged ({why}) and was left as it is: restore it from a backup, or run \
             `{aside}` and then `mailbearer authorize` for each account with a consent"
        ),
    }
}

/// The line that moves `path` aside.
pub(super) fn move_aside(path: &Path) -> String {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    format!("{} {}", shell_words(&["mv"], path), shell_word(&aside.to_string_lossy()))
}

/// A command line: `words`, which are used as they are, then `path`.
pub(super) fn shell_words(words: &[&str], path: &Path) -> String {
    let mut line = words.join(" ");
    let _ = write!(line, " {}", shell_word(&path.to_string_lossy()));
    line
}

/// `text` as one word of a shell's line.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The name of a user in `/etc/passwd`, or `#` and the number, which `sudo -u` takes as well.
pub fn owner_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&passwd, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
}

fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_named_by_the_first_line_with_the_number() {
        let passwd = "root:x:0:0::/:/bin/sh\n\n# x\nmail:x:8:8:\nother:x:8:9:\n:x:7:7:\n";
        assert_eq!(name_of(passwd, 0), Some("root"));
        assert_eq!(name_of(passwd, 8), Some("mail"));
        assert_eq!(name_of(passwd, 7), None);
        assert_eq!(name_of(passwd, 80), None);
        assert_eq!(owner_name(u32::MAX - 1), "#4294967294");
    }

    #[test]
    fn word_is_quoted_when_a_shell_would_read_it_otherwise() {
        assert_eq!(shell_word("/var/lib/mailbearer.redb"), "/var/lib/mailbearer.redb");
        assert_eq!(shell_word("#1000"), "'#1000'");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn every_fault_of_a_disk_says_what_to_do() {
        let path = Path::new("/state/mailbearer.redb");
        for (code, told) in [
            (rustix::io::Errno::NOSPC, "full: make room"),
            (rustix::io::Errno::DQUOT, "quota"),
            (rustix::io::Errno::FBIG, "ulimit -f"),
            (rustix::io::Errno::ROFS, "mount a writable one"),
            (rustix::io::Errno::ACCESS, "chown"),
            (rustix::io::Errno::PERM, "chown"),
            (rustix::io::Errno::IO, "look at the disk"),
        ] {
            let error = not_written(path, &io::Error::from(code)).to_string();
            assert!(error.contains(told) && error.contains("/state/mailbearer.redb"), "{error}");
        }
    }
}
