//! The command line to type as another user.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{self, Path};

use rustix::process::geteuid;

use crate::store::{owner_name, shell_word};

/// The `sudo` line that repeats this command as the owner of `path`, with the configuration file
/// `config`; `None` where that is this user already.
pub(super) fn sudo_line(path: &Path, config: &Path) -> Option<String> {
    sudo_line_of(geteuid().as_raw(), path, config)
}

fn sudo_line_of(own: u32, path: &Path, config: &Path) -> Option<String> {
    let owner = owner(path).filter(|owner| *owner != own)?;
    Some(format!("sudo -u {} {}", shell_word(&owner_name(owner)), command_line(config)))
}

/// Whose `path` is. Where it cannot be seen: whose the directory is that hides it.
fn owner(path: &Path) -> Option<u32> {
    let path = path::absolute(path).ok()?;
    path.ancestors().find_map(|path| Some(fs::metadata(path).ok()?.uid()))
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
        line += &format!(" -c {}", shell_word(&config.to_string_lossy()));
    }
    for word in arguments {
        line += &format!(" {}", shell_word(word));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_for_the_owner_of_what_can_be_seen() {
        let directory = tempfile::tempdir().unwrap();
        let own = geteuid().as_raw();
        let hidden = directory.path().join("state/mailbearer.redb");
        for path in [directory.path(), &hidden] {
            let line = sudo_line_of(own + 1, path, Path::new("/etc/mailbearer.toml")).unwrap();
            let told = format!("sudo -u {} mailbearer ", shell_word(&owner_name(own)));
            assert!(line.starts_with(&told), "{line}");
            assert_eq!(sudo_line_of(own, path, Path::new("/etc/mailbearer.toml")), None);
        }
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
