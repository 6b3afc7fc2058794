//! Devices: who is taken for one, by which password, where, and for how long.

use super::*;
use crate::account::device::DeviceSettings;
use crate::account::device::tests::device;

/// A submission listener that serves devices.
const AT_DEVICES: Origin<'static> = Origin { devices: true, ..ANYWHERE };

const SERVES_ALL: Admitted<'static> = Admitted { accounts: None, devices: true };

/// `scanner-2`, which signs in as `scan2`.
fn scanner() -> DeviceSettings {
    let username = Some(name("scan2"));
    DeviceSettings { username, ..device("scanner-2", "scans@contoso.com", &["192.0.2.17/32"]) }
}

fn directory(devices: Vec<DeviceSettings>) -> Directory {
    let accounts =
        vec![hashed("scans@contoso.com", "of the account"), hashed("bob@contoso.com", "bob's")];
    Directory::new(accounts, devices)
}

fn scanners() -> Directory {
    directory(vec![scanner()])
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn made_for(passwords: &Passwords, device: &str) -> String {
    passwords.make_for_device(&name(device)).unwrap().password.expose_secret().to_owned()
}

#[tokio::test]
async fn device_signs_in_by_its_user_name_and_the_password_of_its_name() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let right = made_for(&passwords, "Scanner-2");
    let directory = scanners();
    for username in ["scan2", "SCAN2"] {
        let claim = claim(username, &right);
        let signed_in = passwords.sign_in(&directory, AT_DEVICES, &claim).await.unwrap();
        assert_eq!(signed_in.account().name(), &name("scans@contoso.com"));
        assert_eq!(signed_in.device().unwrap().name, name("scanner-2"));
    }
    // Its table's name is no user name, and its password opens no other name.
    for username in ["scanner-2", "scans@contoso.com", "bob@contoso.com", "scan"] {
        let outcome = passwords.sign_in(&directory, AT_DEVICES, &claim(username, &right)).await;
        assert_eq!(outcome.unwrap_err(), LocalRefusal::Wrong, "{username}");
    }
}

#[tokio::test]
async fn device_signs_in_by_no_other_password() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let before = made_for(&passwords, "scanner-2");
    let other = made_for(&passwords, "fax");
    let of_account = passwords.make(&name("scans@contoso.com"), None, &[]).unwrap().password;
    let now = made_for(&passwords, "scanner-2");
    let directory = scanners();
    for password in ["", "of the account", "bob's", &other, &before, of_account.expose_secret()] {
        let outcome = passwords.sign_in(&directory, AT_DEVICES, &claim("scan2", password)).await;
        assert_eq!(outcome.unwrap_err(), LocalRefusal::Wrong, "{password}");
    }
    assert!(passwords.sign_in(&directory, AT_DEVICES, &claim("scan2", &now)).await.is_ok());
}

#[tokio::test]
async fn device_of_an_account_that_takes_any_password_still_needs_its_own() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let accounts = vec![settings("scans@contoso.com", LocalPassword::Any)];
    let directory = Directory::new(accounts, vec![scanner()]);
    let here = Origin { peer: Peer::ThisMachine, ..AT_DEVICES };
    let outcome = passwords.sign_in(&directory, here, &claim("scan2", "whatever")).await;
    assert_eq!(outcome.unwrap_err(), LocalRefusal::Wrong);
    let outcome = passwords.sign_in(&directory, here, &claim("scans@contoso.com", "")).await;
    assert!(outcome.unwrap().device().is_none());
}

#[tokio::test]
async fn device_is_served_only_where_submission_listens_for_devices_and_its_account() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let right = made_for(&passwords, "scanner-2");
    let directory = scanners();
    let [own, other] = ["scans@contoso.com", "bob@contoso.com"].map(only);
    let nobody = AccountPatterns::default();
    for (origin, is_served) in [
        (AT_DEVICES, true),
        (Origin { accounts: Some(&own), ..AT_DEVICES }, true),
        (Origin { accounts: Some(&other), ..AT_DEVICES }, false),
        (Origin { accounts: Some(&nobody), ..AT_DEVICES }, false),
        (Origin { devices: false, ..AT_DEVICES }, false),
        (Origin { protocol: Protocol::Imap, ..AT_DEVICES }, false),
        (Origin { protocol: Protocol::Pop3, ..AT_DEVICES }, false),
    ] {
        let outcome = passwords.sign_in(&directory, origin, &claim("scan2", &right)).await;
        assert_eq!(outcome.is_ok(), is_served, "{origin:?}");
        let known = passwords.known_device(&directory, origin, at("192.0.2.17"));
        assert_eq!(known.is_some(), is_served, "{origin:?}");
    }
}

/// No reply may tell that there is a device of that user name, and no time either.
#[tokio::test]
async fn wrong_device_costs_what_an_unknown_name_costs() {
    let (passwords, count) = counting();
    made_for(&passwords, "scanner-2");
    let directory = scanners();
    for (nth, username) in ["nobody", "scan2", "scanner-2", "scans@contoso.com"].iter().enumerate()
    {
        let outcome = passwords.sign_in(&directory, AT_DEVICES, &claim(username, "wrong")).await;
        assert_eq!(outcome.unwrap_err(), LocalRefusal::Wrong);
        assert_eq!(count.load(Ordering::SeqCst), nth + 1, "{username}");
    }
}

#[tokio::test]
async fn device_is_known_by_its_network_and_nobody_else_is() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let directory = scanners();
    for address in ["192.0.2.17", "::ffff:192.0.2.17"] {
        let known = passwords.known_device(&directory, AT_DEVICES, at(address)).unwrap();
        assert_eq!(known.account().name(), &name("scans@contoso.com"));
        assert_eq!(known.device().unwrap().name, name("scanner-2"));
    }
    for address in ["192.0.2.16", "192.0.2.18", "127.0.0.1", "::1"] {
        let known = passwords.known_device(&directory, AT_DEVICES, at(address));
        assert!(known.is_none(), "{address}");
    }
    let gone = Directory::new(Vec::new(), vec![scanner()]);
    assert!(passwords.known_device(&gone, AT_DEVICES, at("192.0.2.17")).is_none());
}

#[tokio::test]
async fn device_may_send_as_a_mailbox_that_a_wildcard_covers() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let accounts = vec![settings("*@contoso.com", LocalPassword::None)];
    let directory = Directory::new(accounts, vec![scanner()]);
    let known = passwords.known_device(&directory, AT_DEVICES, at("192.0.2.17")).unwrap();
    assert_eq!(known.account().name(), &name("scans@contoso.com"));
}

#[tokio::test]
async fn device_known_by_its_network_goes_when_a_reload_leaves_none_there() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let access = passwords.known_device(&scanners(), AT_DEVICES, at("192.0.2.17")).unwrap();
    let removed = Some(AccessEnd::DeviceRemoved);
    let moved = device("scanner-2", "scans@contoso.com", &["192.0.2.18/32"]);
    let wider = device("scanner-2", "scans@contoso.com", &["192.0.2.0/24"]);
    let nearer = device("nearer", "scans@contoso.com", &["192.0.2.17/32"]);
    let of_bob = device("scanner-2", "bob@contoso.com", &["192.0.2.17/32"]);
    for (devices, end) in [
        (vec![scanner()], None),
        (vec![wider.clone()], None),
        (vec![], removed),
        (vec![moved], removed),
        (vec![of_bob], removed),
        (vec![wider, nearer], removed),
    ] {
        let told = format!("{devices:?}");
        assert_eq!(access.ended_by(&directory(devices), SERVES_ALL), end, "{told}");
    }
    assert_eq!(access.ended_by(&scanners(), admitted(None)), removed, "no devices here any more");
    let only_bob = only("bob@contoso.com");
    let only_bob = Admitted { accounts: Some(&only_bob), devices: true };
    assert_eq!(access.ended_by(&scanners(), only_bob), Some(AccessEnd::AccountRemoved));
    let changed = vec![hashed("scans@contoso.com", "another")];
    let changed = Directory::new(changed, vec![scanner()]);
    assert_eq!(access.ended_by(&changed, SERVES_ALL), None, "it showed no password");
}

#[tokio::test]
async fn device_that_signed_in_goes_with_its_user_name_or_its_password() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let right = made_for(&passwords, "scanner-2");
    let claim = claim("SCAN2", &right);
    let access = passwords.sign_in(&scanners(), AT_DEVICES, &claim).await.unwrap();
    let called = |username: Option<&str>| {
        directory(vec![DeviceSettings { username: username.map(name), ..scanner() }])
    };
    assert_eq!(access.ended_by(&called(Some("scan2")), SERVES_ALL), None);
    let elsewhere = DeviceSettings { networks: Vec::new(), ..scanner() };
    assert_eq!(access.ended_by(&directory(vec![elsewhere]), SERVES_ALL), None);
    for username in [None, Some("scan3")] {
        let end = access.ended_by(&called(username), SERVES_ALL);
        assert_eq!(end, Some(AccessEnd::DeviceRemoved), "{username:?}");
    }
    passwords.revoke(&name("scanner-2"), None).unwrap();
    access.revoked().await;
    assert_eq!(access.ended_by(&scanners(), SERVES_ALL), Some(AccessEnd::Revoked));
}

#[tokio::test]
async fn last_use_is_that_of_who_was_let_in() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let right = made_for(&passwords, "scanner-2");
    let scanner = name("scanner-2");
    let of_password = || passwords.list(&scanner).remove(0).last_used_at;
    let directory = scanners();
    let _ = passwords.sign_in(&directory, AT_DEVICES, &claim("scan2", "wrong")).await;
    let _ = passwords.sign_in(&directory, ANYWHERE, &claim("scan2", &right)).await;
    passwords.known_device(&directory, AT_DEVICES, at("192.0.2.18"));
    assert_eq!((passwords.device_last_used_at(&scanner), of_password()), (None, None));

    let known = passwords.known_device(&directory, AT_DEVICES, at("192.0.2.17")).unwrap();
    assert_eq!(passwords.device_last_used_at(&scanner), None, "it is not let in so far");
    passwords.let_in(&known);
    assert!(passwords.device_last_used_at(&scanner).is_some());
    assert_eq!(of_password(), None, "it showed none");
    passwords.sign_in(&directory, AT_DEVICES, &claim("scan2", &right)).await.unwrap();
    assert!(of_password() >= passwords.device_last_used_at(&scanner));

    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let right = made_for(&passwords, "scanner-2");
    passwords.sign_in(&directory, AT_DEVICES, &claim("scan2", &right)).await.unwrap();
    assert!(passwords.device_last_used_at(&scanner).is_some(), "by its user name, too");
}

#[tokio::test]
async fn password_of_a_device_reads_no_mailbox_even_when_an_account_gets_its_name() {
    let store = Store::in_memory();
    let passwords = Passwords::new(store.clone()).unwrap();
    let right = made_for(&passwords, "scanner-2");
    let directory = Directory::new(vec![hashed("scanner-2", "other")], Vec::new());
    // Before a restart, and behind it.
    for passwords in [passwords, Passwords::new(store).unwrap()] {
        for (protocol, is_let_in) in
            [(Protocol::Submission, true), (Protocol::Imap, false), (Protocol::Pop3, false)]
        {
            let origin = Origin { protocol, ..ANYWHERE };
            let outcome = passwords.sign_in(&directory, origin, &claim("scanner-2", &right)).await;
            assert_eq!(outcome.is_ok(), is_let_in, "{protocol}");
        }
    }
}
