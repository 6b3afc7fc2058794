//! Devices at the control socket: their passwords, and what is told of them.

use super::*;
use crate::account::device::DeviceSettings;
use crate::account::password::{Origin, Peer};
use crate::provider::Protocol;

fn device(name: &str, account: &str, username: Option<&str>) -> DeviceSettings {
    DeviceSettings {
        name: Username::parse(name).unwrap(),
        account: Username::parse(account).unwrap(),
        networks: vec!["192.0.2.7/32".parse().unwrap(), "198.51.100.0/24".parse().unwrap()],
        username: username.map(|username| Username::parse(username).unwrap()),
        senders: None,
        messages_per_hour: None,
    }
}

/// What acts on three devices, of which `scanner-2` signs in.
fn with_devices() -> Operator {
    let accounts = accounts("http://127.0.0.1:9/token");
    let devices = vec![
        device("scanner-2", "app@contoso.com", Some("scan2")),
        device("fax", "alice@contoso.com", None),
        device("printer", "print@fabrikam.com", None),
    ];
    let directory = Arc::new(Directory::new(accounts.clone(), devices));
    Operator { directory: watch::channel(directory).1, ..operator(accounts, None) }
}

#[tokio::test]
async fn password_of_a_device_is_made_listed_and_revoked() {
    let router = router(with_devices());
    let make = json!({"name": "Scanner-2", "label": null, "protocols": []});
    let made = ask(&router, "/passwords/make", make.clone()).await;
    assert_eq!(made["password"].as_str().unwrap().len(), 20);
    assert_eq!((&made["protocols"], &made["replaced"]), (&json!(["submission"]), &json!(false)));
    assert_eq!(made["device"], json!({"username": "scan2", "account": "app@contoso.com"}));
    assert_eq!(ask(&router, "/passwords/make", make).await["replaced"], json!(true));
    let listed = ask(&router, "/passwords", json!({"name": "scanner-2"})).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["label"], &listed[0]["last_used_at"]), (&Value::Null, &Value::Null));
    assert_eq!(listed[0]["protocols"], json!(["submission"]));
    let revoke = json!({"name": "scanner-2", "label": null});
    ask(&router, "/passwords/revoke", revoke.clone()).await;
    assert_eq!(ask(&router, "/passwords", json!({"name": "scanner-2"})).await, json!([]));
    let failure = refused(&router, "/passwords/revoke", revoke).await;
    assert_eq!(failure.error, "scanner-2 has no local password without a label");
}

#[tokio::test]
async fn device_that_never_signs_in_gets_no_password_but_the_line_to_add() {
    let router = router(with_devices());
    let make = json!({"name": "fax", "label": null, "protocols": []});
    let failure = refused(&router, "/passwords/make", make).await;
    assert_eq!(failure.error, "fax is a device without a user name: it never signs in");
    assert!(
        failure.fix.starts_with("write username = \"fax\" in its [devices.fax]"),
        "{failure:?}"
    );
    assert_eq!(failure.exit, Class::Usage);
    assert_eq!(ask(&router, "/passwords", json!({"name": "fax"})).await, json!([]));
}

#[tokio::test]
async fn device_has_one_password_for_submission() {
    let router = router(with_devices());
    for (label, protocols) in
        [(json!("spare"), json!([])), (Value::Null, json!(["imap"])), (json!("x"), json!(["pop3"]))]
    {
        let make = json!({"name": "scanner-2", "label": label, "protocols": protocols});
        let failure = refused(&router, "/passwords/make", make).await;
        assert!(
            failure.error.starts_with("scanner-2 is a device: it has one password"),
            "{failure:?}"
        );
    }
    let make = json!({"name": "scanner-2", "label": null, "protocols": ["submission"]});
    ask(&router, "/passwords/make", make).await;
}

#[tokio::test]
async fn device_where_an_account_is_wanted_leads_to_its_account() {
    let router = router(with_devices());
    for (path, ask) in [
        ("/token", json!({"account": "Scanner-2", "protocol": null})),
        ("/online", json!({"account": "scanner-2"})),
        ("/online/walk", json!({"account": "scanner-2", "protocol": "submission"})),
        ("/revoke", json!({"account": "scanner-2"})),
    ] {
        let failure = refused(&router, path, ask).await;
        assert_eq!(failure.error, "scanner-2 is a device and no account", "{path}");
        assert_eq!(failure.fix, "name the account that it sends as: app@contoso.com");
        assert_eq!(failure.exit, Class::Usage);
    }
}

#[tokio::test]
async fn name_that_is_nobody_s_brings_the_device_to_mind_that_was_meant() {
    let router = router(with_devices());
    for typed in ["scan2", "scanner2"] {
        let make = json!({"name": typed, "label": null, "protocols": []});
        let failure = refused(&router, "/passwords/make", make).await;
        assert_eq!(failure.error, format!("no such account: {typed}; the nearest is scanner-2"));
    }
}

#[tokio::test]
async fn accounts_tell_of_their_devices_and_of_their_last_use() {
    let operator = with_devices();
    let directory = Arc::clone(&operator.directory.borrow());
    let origin = Origin {
        accounts: None,
        devices: true,
        protocol: Protocol::Submission,
        peer: Peer::Elsewhere,
    };
    let address = "198.51.100.9".parse().unwrap();
    let known = operator.passwords.known_device(&directory, origin, address).unwrap();
    operator.passwords.let_in(&known);
    let used = known.device().unwrap().name.to_string();
    let rows = ask(&router(operator), "/accounts", json!({})).await;
    let devices_of = |account: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["account"] == account).unwrap();
        row["devices"].as_array().unwrap().clone()
    };
    for (account, device, username) in [
        ("alice@contoso.com", "fax", Value::Null),
        ("app@contoso.com", "scanner-2", json!("scan2")),
        ("*@fabrikam.com", "printer", Value::Null),
    ] {
        let [row] = devices_of(account).try_into().unwrap();
        assert_eq!((&row["device"], &row["username"]), (&json!(device), &username));
        assert_eq!(row["networks"], json!(["192.0.2.7", "198.51.100.0/24"]));
        assert_eq!(row["last_used_at"].is_string(), device == used, "{row}");
    }
}
