//! Which configuration file a request is about: a relay of another one refuses it.
//!
//! All files of a user share one state directory unless `[store]` says otherwise, so whoever answers
//! at the control socket may have been started with another file. A password or a consent would then
//! be that one's, and nobody would know.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::{Failure, refused};
use crate::web::operator::Class;

/// The header by which a request tells its file: `DEVICE:INODE PATH`, or `- PATH` of one that is not
/// there.
pub const FILE: HeaderName = HeaderName::from_static("mailbearer-file");

/// A configuration file, as it can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    /// Device and inode, which are the same where a container sees it under another path.
    number: Option<String>,
}

impl Identity {
    fn of(path: &Path) -> Self {
        let metadata = fs::metadata(path).ok();
        let path = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        let number = metadata.map(|it| format!("{}:{}", it.dev(), it.ino()));
        Self { path: path.unwrap_or_default(), number }
    }

    fn told(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b' ')?;
        let (number, path) = bytes.split_at_checked(at)?;
        let number = str::from_utf8(number).ok()?;
        let path = PathBuf::from(OsStr::from_bytes(path.get(1..)?));
        Some(Self { path, number: (number != "-").then(|| number.to_owned()) })
    }

    fn is(&self, other: &Self) -> bool {
        let is_same_number = self.number.is_some() && self.number == other.number;
        is_same_number || self.path == other.path
    }
}

/// What a request about the file at `path` tells; nothing of a path that no header can hold.
pub fn named(path: &Path) -> Option<HeaderValue> {
    let Identity { path, number } = Identity::of(path);
    let mut value = number.unwrap_or_else(|| "-".to_owned()).into_bytes();
    value.push(b' ');
    value.extend_from_slice(path.as_os_str().as_bytes());
    HeaderValue::from_bytes(&value).ok()
}

/// Refuses a request about another file than `own`, which the relay was started with.
pub(super) async fn check(
    State(own): State<Arc<PathBuf>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(told) = request.headers().get(FILE).and_then(Identity::told) {
        let own = Identity::of(&own);
        if !own.is(&told) {
            return refused(&another(&own.path, &told.path));
        }
    }
    next.run(request).await
}

fn another(own: &Path, told: &Path) -> Failure {
    Failure {
        error: format!("the relay that runs on this state directory serves {own:?}, not {told:?}"),
        fix: "give each file a state directory of its own, by `path` in its [store]; or name the \
              relay's file by -c"
            .to_owned(),
        exit: Class::Configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_about(own: &Path, header: &HeaderValue) -> bool {
        Identity::of(own).is(&Identity::told(header).unwrap())
    }

    #[test]
    fn file_is_the_same_by_any_path_that_leads_there() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, hard] = ["file", "link", "hard"].map(|name| dir.path().join(name));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        fs::hard_link(&file, &hard).unwrap();
        for same in [&file, &link, &hard] {
            assert!(is_about(&file, &named(same).unwrap()), "{}", same.display());
        }
        // As an editor replaces it, between two commands.
        let before = named(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, "other").unwrap();
        assert!(is_about(&file, &before) && is_about(&file, &named(&file).unwrap()));
    }

    #[test]
    fn file_that_is_another_or_gone_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| dir.path().join(name));
        fs::write(&one, "same").unwrap();
        assert!(!is_about(&one, &named(&other).unwrap()), "there is none yet");
        fs::write(&other, "same").unwrap();
        assert!(!is_about(&one, &named(&other).unwrap()));
        fs::remove_file(&one).unwrap();
        fs::remove_file(&other).unwrap();
        assert!(!is_about(&one, &named(&other).unwrap()), "neither is there");
    }

    #[test]
    fn path_may_hold_blanks_and_bytes_and_no_control_character() {
        let odd = Path::new(OsStr::from_bytes(b"/nowhere/a b\xff.toml"));
        assert!(is_about(odd, &named(odd).unwrap()));
        assert_eq!(named(Path::new("/nowhere/a\nb")), None);
        assert_eq!(Identity::told(&HeaderValue::from_static("nonsense")), None);
    }
}
