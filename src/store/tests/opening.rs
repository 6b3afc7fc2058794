//! Who may open a store, with which key, and what is refused.

use std::os::unix::fs::{OpenOptionsExt as _, symlink};

use super::*;
use crate::secret::{SecretSource, SecretString};
use crate::store::Health;
use crate::store::disk::check_private;

#[track_caller]
fn assert_unusable(place: &Place, settings: &StoreSettings, told: &[&str]) {
    let before = std::fs::read(place.store()).ok();
    let error = Store::open(settings, &Purpose::Serve).unwrap_err();
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    for told in told {
        assert!(error.to_string().contains(told), "{error}");
    }
    assert_eq!(std::fs::read(place.store()).ok(), before);
}

fn given(key: &str) -> KeySource {
    KeySource::Given(SecretSource::Value(SecretString::from(key)))
}

#[test]
fn store_is_refused_while_another_process_has_it() {
    let place = Place::new();
    let store = place.open().unwrap();
    let lock = place.state.join("lock");
    for second in [place.open(), place.command()] {
        assert_eq!(second.unwrap_err(), StoreError::InUse { path: lock.clone() });
    }
    assert_eq!(store.control_directory(), Ok(place.state.clone()));
    let clone = store.clone();
    drop(store);
    assert!(place.open().is_err(), "a clone has it as well");
    drop(clone);
    place.open().unwrap();
}

#[test]
fn store_is_refused_when_others_can_read_it() {
    let place = Place::with_token("token");
    for (path, name) in [(place.store(), "mailbearer.redb"), (place.key(), "store.key")] {
        for open in [0o640, 0o604, 0o620, 0o601] {
            set_mode(&path, open);
            assert_unusable(&place, &place.settings(), &["chmod 600", name]);
        }
        set_mode(&path, 0o600);
    }
    place.open().unwrap();
}

#[test]
fn directory_is_refused_when_others_can_write_to_it() {
    let place = Place::with_token("token");
    for open in [0o770, 0o702, 0o1777] {
        set_mode(&place.state, open);
        assert_unusable(&place, &place.settings(), &["chmod go-w"]);
    }
    set_mode(&place.state, 0o755);
    place.open().unwrap();
}

#[test]
fn open_directory_is_told_by_the_first_write_when_nothing_is_kept_yet() {
    let place = Place::new();
    std::fs::create_dir_all(&place.state).unwrap();
    set_mode(&place.state, 0o777);
    let store = place.open().unwrap();
    assert!(store.control_directory().unwrap_err().contains("chmod go-w"));
    assert!(
        store.commit(&alice(), &grant("token")).unwrap_err().to_string().contains("chmod go-w")
    );
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
    assert_eq!(std::fs::read_dir(&place.state).unwrap().count(), 0);
    set_mode(&place.state, 0o700);
    store.save().unwrap();
    assert_eq!(store.control_directory(), Ok(place.state.clone()));
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn link_or_pipe_or_directory_is_refused_as_a_store_or_key() {
    for of in [Place::store, Place::key] {
        let place = Place::with_token("token");
        let (path, moved) = (of(&place), place.state.join("moved"));
        std::fs::rename(&path, &moved).unwrap();
        symlink(&moved, &path).unwrap();
        assert_unusable(&place, &place.settings(), &["symbolic link"]);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(place.open(), Err(StoreError::Unusable { .. })));
        std::fs::remove_dir(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(place.open(), Err(StoreError::Unusable { .. })));
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&moved, &path).unwrap();
        place.open().unwrap();
    }
}

#[test]
fn lock_is_never_a_link() {
    let place = Place::new();
    std::fs::create_dir_all(&place.state).unwrap();
    set_mode(&place.state, 0o700);
    let target = place.state.join("target");
    symlink(&target, place.state.join("lock")).unwrap();
    let store = place.open().unwrap();
    assert!(store.control_directory().is_err());
    assert!(store.commit(&alice(), &grant("token")).is_err());
    assert!(!target.exists() && !place.store().exists());
}

#[test]
fn store_without_its_key_is_refused() {
    let place = Place::with_token("token");
    let moved = place.state.join("moved");
    std::fs::rename(place.key(), &moved).unwrap();
    assert_unusable(&place, &place.settings(), &["store.key", "missing", "mv ", "authorize"]);
    std::fs::write(&moved, "short\n").unwrap();
    std::fs::rename(&moved, place.key()).unwrap();
    assert_unusable(&place, &place.settings(), &["holds no key"]);
}

#[test]
fn store_is_refused_and_untouched_when_the_key_is_another() {
    let place = Place::with_token("token");
    let settings = StoreSettings { path: place.store(), key: given(&"k".repeat(32)) };
    assert_unusable(&place, &settings, &["sealed with another key", "mv ", "authorize"]);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn key_of_the_configuration_is_used_when_it_is_long_enough() {
    let place = Place::new();
    let settings = |key: &str| StoreSettings { path: place.store(), key: given(key) };
    assert_unusable(&place, &settings(&"k".repeat(31)), &["openssl rand -base64 32"]);
    let store = Store::open(&settings(&"k".repeat(32)), &Purpose::Serve).unwrap();
    store.commit(&alice(), &grant("token")).unwrap();
    drop(store);
    assert!(!place.key().exists());
    let store = Store::open(&settings(&"k".repeat(32)), &Purpose::Serve).unwrap();
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
}

#[test]
fn made_key_is_the_same_when_the_configuration_names_its_file() {
    let place = Place::with_token("token");
    let key = KeySource::Given(SecretSource::File(place.key()));
    let settings = StoreSettings { path: place.store(), key };
    let store = Store::open(&settings, &Purpose::Serve).unwrap();
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
}

#[test]
fn key_that_is_there_already_seals_the_new_store() {
    let place = Place::with_token("token");
    let key = std::fs::read(place.key()).unwrap();
    std::fs::remove_file(place.store()).unwrap();
    place.open().unwrap().commit(&alice(), &grant("newer")).unwrap();
    assert_eq!(std::fs::read(place.key()).unwrap(), key);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("newer"));
}

#[test]
fn state_directory_that_cannot_be_made_is_told_by_the_first_write() {
    let place = Place::new();
    std::fs::write(place.root.path().join("var"), b"a file").unwrap();
    for store in [place.open().unwrap(), place.command().unwrap()] {
        assert_eq!(store.health(), Health::Saved);
        assert!(store.control_directory().is_err());
        let error = store.commit(&alice(), &grant("token")).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("mailbearer"), "{error}");
        assert_eq!(store.health(), Health::Unsaved { problem: error.to_string() });
        assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
        assert!(store.make_password_key().is_err());
        assert_eq!(store.password_key(), None);
    }
}

/// The state directory of somebody else, and who that is as a shell's word. Only root can give one
/// away; anybody else finds root's.
fn somebody_elses(place: &Place) -> (PathBuf, &'static str) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&place.state, Some(54_321), None).unwrap();
        (place.state.clone(), "'#54321'")
    } else {
        ("/usr".into(), "root")
    }
}

#[test]
fn command_of_another_user_is_told_to_run_as_the_owner() {
    let place = Place::with_token("token");
    let (state, owner) = somebody_elses(&place);
    let settings = StoreSettings { path: state.join("mailbearer.redb"), ..place.settings() };
    let line = "mailbearer accounts".to_owned();
    let error = Store::open(&settings, &Purpose::Command { line }).unwrap_err().to_string();
    assert!(error.ends_with(&format!(": run `sudo -u {owner} mailbearer accounts`")), "{error}");
}

#[test]
fn file_of_another_user_is_refused() {
    let place = Place::with_token("token");
    if !rustix::process::geteuid().is_root() {
        let passwd = Path::new("/etc/passwd");
        let error = check_private(passwd, &passwd.metadata().unwrap()).unwrap_err().to_string();
        assert!(error.contains("belongs to root") && error.contains("chown "), "{error}");
        return;
    }
    for path in [place.store(), place.key()] {
        std::os::unix::fs::chown(&path, Some(54_321), None).unwrap();
        assert_unusable(&place, &place.settings(), &["belongs to #54321", "chown root "]);
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    place.open().unwrap();
    let (_, owner) = somebody_elses(&place);
    assert_unusable(&place, &place.settings(), &[&format!("sudo -u {owner}"), "chown root "]);
}

#[test]
fn file_is_private_from_its_first_moment() {
    let place = Place::new();
    let store = place.open().unwrap();
    // A file that somebody has put in the way, open to all, is not written into.
    let way = place.state.join("mailbearer.redb.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o666).open(&way).unwrap();
    let held = std::fs::File::open(&way).unwrap();
    store.commit(&alice(), &grant("token")).unwrap();
    assert_eq!(mode(&place.store()), 0o600);
    assert_eq!(held.metadata().unwrap().len(), 0);
}
