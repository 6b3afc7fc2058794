//! The places of the files of one `init`: none is written over another that its answers name.

use std::fs;
use std::path::{Path, PathBuf};

use super::interview::Stop;
use crate::config::template::{Choice, Draft, Place};

/// Looks whether each file of `new` is written beside the others and beside what is `read`.
///
/// # Errors
/// When one would be written over another.
pub(super) fn check(new: &[&Path], read: &[&Path]) -> Result<(), Stop> {
    for (nth, path) in new.iter().enumerate() {
        let mut others = new.iter().take(nth).chain(read);
        if others.any(|other| is_same(path, other)) {
            return Err(Stop::Wrong(format!(
                "{} would be written over another file that these answers name: choose another \
                 place by --output, --unit or --compose",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Whether `one` and `other` are the same file, be it there or not.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    real(one) == real(other)
}

/// The files that are there and that whoever serves `draft` reads: not the secret that was `typed`,
/// which is written.
pub(super) fn read_for<'d>(draft: &'d Draft, typed: Option<&Path>) -> Vec<&'d Path> {
    let secret = match &draft.secret {
        Some(Place::File(path)) if typed.is_none() => Some(path),
        Some(Place::File(_) | Place::Variable(_)) | None => None,
    };
    let ca_file = match &draft.provider {
        Choice::Own(own) => own.ca_file.as_ref(),
        Choice::BuiltIn(_) => None,
    };
    [secret, draft.key_file.as_ref(), ca_file].into_iter().flatten().map(PathBuf::as_path).collect()
}

/// `path` without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        // `..` behind what is not there yet.
        (Some(parent), None) => {
            let mut above = real(parent);
            above.pop();
            above
        }
        (None, _) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_file_is_known_by_every_way_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("there"), "").unwrap();
        std::os::unix::fs::symlink("there", at("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("sub/up")).unwrap();
        for (one, other) in [
            ("there", "link"),
            ("there", "sub/../there"),
            ("new", "sub/../new"),
            ("new", "sub/up/new"),
            ("new", "none/../new"),
            ("none/new", "none/./new"),
        ] {
            assert!(is_same(&at(one), &at(other)), "{one} {other}");
            assert!(check(&[&at(one)], &[&at(other)]).is_err(), "{one} {other}");
            assert!(check(&[&at(one), &at(other)], &[]).is_err(), "{one} {other}");
        }
        for (one, other) in [("there", "new"), ("new", "sub/new"), ("none/new", "new")] {
            assert!(!is_same(&at(one), &at(other)), "{one} {other}");
            assert!(check(&[&at(one), &at(other)], &[]).is_ok(), "{one} {other}");
        }
        // What is read alone may be the same file twice.
        assert!(check(&[&at("new")], &[&at("there"), &at("there")]).is_ok());
    }
}
