//! Whose a directory is, and the command line to type as that user.

use std::borrow::Cow;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// As much of the user database as is read, in bytes: some ten thousand users.
const PASSWD_LEN_MAX: u64 = 1024 * 1024;

/// The owner of `path`: its name, or `#` and number as sudo(8) takes it; `None` where it cannot be
/// seen.
pub(super) fn of(path: &Path) -> Option<String> {
    let uid = fs::metadata(path).ok()?.uid();
    let mut users = Vec::new();
    // A machine without the file has users without names.
    let _ = fs::File::open("/etc/passwd")
        .and_then(|file| file.take(PASSWD_LEN_MAX).read_to_end(&mut users));
    Some(name_of(uid, &String::from_utf8_lossy(&users)).unwrap_or_else(|| format!("#{uid}")))
}

/// The name of `uid` in passwd(5).
fn name_of(uid: u32, users: &str) -> Option<String> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

/// The command line that this process was started with, as it can be typed again by somebody else:
/// with the configuration file that was found, which another user might not find.
pub(super) fn command_line(config: &Path) -> String {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    line_of(&arguments, config)
}

fn line_of(arguments: &[String], config: &Path) -> String {
    let names_config = arguments.iter().any(|word| {
        word.starts_with("--config") || (word.starts_with("-c") && !word.starts_with("--"))
    });
    let mut line = "mailbearer".to_owned();
    if !names_config {
        line += &format!(" -c {}", quoted(&config.to_string_lossy()));
    }
    for word in arguments {
        line += &format!(" {}", quoted(word));
    }
    line
}

/// `word` as a shell takes it for one.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_named_by_the_user_database() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\nmail:x:42:42::/:\n:x:43::\n";
        assert_eq!(name_of(42, users).as_deref(), Some("mail"));
        for unknown in [4, 43, 1000] {
            assert_eq!(name_of(unknown, users), None, "{unknown}");
        }
    }

    #[test]
    fn owner_is_that_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        assert!(of(directory.path()).is_some());
        assert_eq!(of(&directory.path().join("missing")), None);
    }

    #[test]
    fn command_line_names_the_file_that_was_found() {
        let line = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            line_of(&words, Path::new("/etc/it's/mailbearer.toml"))
        };
        assert_eq!(
            line(&["token", "alice@contoso.com"]),
            r"mailbearer -c '/etc/it'\''s/mailbearer.toml' token alice@contoso.com"
        );
        for own in [&["-c", "my.toml"][..], &["-cmy.toml"], &["--config=my.toml"]] {
            let words = [own, &["password", "*@x", "--label", "2nd floor"]].concat();
            let expected =
                format!("mailbearer {} password '*@x' --label '2nd floor'", own.join(" "));
            assert_eq!(line(&words), expected);
        }
    }
}
