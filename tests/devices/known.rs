//! Who is a device: by its address, of which the most specific network counts, or by a user name
//! and a password of its own.

use super::scene::{SCANNERS, at, auth_plain, deliver, device, rig, scanner, sign_in};
use super::scene::{finish, with_devices};
use super::support::log::Log;
use super::support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};

/// A device of alice's, another of bob's, and one at all addresses, as no file may have it.
const SITE: &str = with_devices!(
    device!(),
    "[devices.site]\naccount = \"alice@example.com\"\nnetworks = [\"127.0.0.5\"]\n",
    "[devices.hall]\naccount = \"bob@example.com\"\nnetworks = [\"127.0.0.3\"]\n",
    "[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n"
);

/// A device with a user name, which has an address as well.
const NAMED: &str = with_devices!(device!("username = \"Scan2\"\n"));

async fn site() -> Rig {
    let settings = RigSettings {
        extra: SITE,
        change: |config| {
            let mut devices = config.devices.iter_mut();
            let site = devices.find(|device| device.name.as_str() == "site").unwrap();
            site.networks.push("127.0.0.0/16".parse().unwrap());
        },
        ..RigSettings::default()
    };
    Rig::with(settings).await
}

#[tokio::test]
async fn a_device_that_knows_host_and_port_alone_delivers() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    for (nth, hello) in ["EHLO scanner\r\n", "HELO scanner\r\n", "EHLO scanner\n", "HELO scanner\n"]
        .into_iter()
        .enumerate()
    {
        let source = SCANNERS.parse().unwrap();
        let mut client = Client::connect_from(source, rig.address("devices")).await;
        client.expect("220 ").await;
        client.send_bytes(hello.as_bytes()).await;
        client.expect_after("250 ").await;
        deliver(&mut client, "scanner@lan").await;
        client.ask("QUIT", "221 ").await;
        client.expect_end().await;
        drop(client);
        assert_eq!(rig.messages().len(), nth + 1, "{hello:?}");
        let told = log.take_until("signed in device=\"scanner\"").await;
        assert!(!told.lines().any(|it| it.contains("WARN session{")), "{told}");
        let closed = log.take_until(" closed ").await;
        for part in ["account=\"alice@example.com\"", "messages=1", "message accepted reply=\"250"]
        {
            assert!(closed.contains(part), "{part}: {closed}");
        }
    }
    let transcript = rig.heard_by_smtp("MAIL");
    assert_eq!(transcript, ["MAIL FROM:<scanner@lan>"; 4], "the provider hears it once, as it is");
}

#[tokio::test]
async fn a_device_that_says_everything_at_once_is_served_whole() {
    let rig = rig(with_devices!(device!())).await;
    let mut client = scanner(&rig).await;
    let all = format!(
        "MAIL FROM:<{ALICE}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nSubject: scan\r\n\r\n.\r\nQUIT\r\n"
    );
    client.send_bytes(all.as_bytes()).await;
    client.close().await;
    let codes: Vec<_> =
        client.expect_after("221 ").await.iter().map(|it| it[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "250", "354", "250", "221"]);
    assert_eq!(&rig.messages()[0][..], b"Subject: scan\r\n\r\n");
}

#[tokio::test]
async fn the_most_specific_network_tells_which_device_it_is() {
    let log = Log::keep();
    let rig = site().await;
    for (source, name, user) in
        [("127.0.0.3", "hall", "bob@example.com"), (SCANNERS, "scanner", ALICE)]
    {
        let mut client = at(&rig, "devices", source).await;
        deliver(&mut client, "scan@lan").await;
        log.take_until(&format!("signed in device=\"{name}\"")).await;
        assert_eq!(rig.provider.last_sign_in().unwrap().user.unwrap().as_str(), user);
    }
}

#[tokio::test]
async fn this_machine_s_own_address_is_a_device_where_it_is_listed_alone() {
    let log = Log::keep();
    let rig = site().await;
    let mut client = at(&rig, "devices", "127.0.0.4").await;
    client.ask("MAIL FROM:<a@lan>", "530 5.7.0 ").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    let told = told.lines().last().unwrap();
    for part in [
        "WARN",
        "peer=127.0.0.4:",
        "127.0.0.4 is this machine's own address",
        r#"add \"127.0.0.4\" to the `networks` of [devices.site]"#,
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
    // The same network, and this address by itself.
    let mut alone = at(&rig, "devices", "127.0.0.5").await;
    deliver(&mut alone, "a@lan").await;
}

#[tokio::test]
async fn an_address_that_is_no_device_s_may_sign_in_and_the_log_names_what_to_add() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    let mut client = at(&rig, "devices", "127.0.0.9").await;
    client.ask("MAIL FROM:<a@lan>", "530 5.7.0 Authentication required").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    let hint = r#"add \"127.0.0.9\" to the `networks` of a [devices.NAME]"#;
    assert!(told.contains(hint) && told.contains("peer=127.0.0.9:"), "{told}");
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
    client.ask(AUTH_PLAIN, "235 ").await;
    deliver(&mut client, ALICE).await;
    assert_eq!(rig.messages().len(), 1);
}

#[tokio::test]
async fn a_device_is_nobody_at_a_listener_that_serves_none_and_the_log_names_what_to_add() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!())).await;
    for (source, hint) in [
        (SCANNERS, "add `devices = true` to [listeners.submission] for [devices.scanner], or let"),
        (
            "127.0.0.9",
            "let the client sign in, or add `devices = true` to [listeners.submission] and \
             \\\"127.0.0.9\\\" to the `networks` of a [devices.NAME]",
        ),
    ] {
        let mut client = at(&rig, "submission", source).await;
        client.ask("MAIL FROM:<a@lan>", "530 5.7.0 Authentication required").await;
        let told = log.take_until("refusal=\"no-device\"").await;
        let told = told.lines().last().unwrap();
        assert!(told.contains(hint) && told.contains("this listener serves no devices"), "{told}");
        assert!(told.contains("WARN") && told.contains(&format!("peer={source}:")), "{told}");
    }
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
}

#[tokio::test]
async fn mail_rcpt_and_data_at_once_behind_a_refused_mail_reach_nobody() {
    let rig = rig(with_devices!(device!())).await;
    let mut client = at(&rig, "devices", "127.0.0.9").await;
    client.send_bytes(b"MAIL FROM:<a@lan>\r\nRCPT TO:<b@lan>\r\nDATA\r\nNOOP\r\n").await;
    for reply in ["530 5.7.0 ", "503 5.5.1 ", "503 5.5.1 ", "250 "] {
        client.expect(reply).await;
    }
    // The fifth failure is the last.
    client.send_bytes(b"MAIL FROM:<a@lan>\r\nRCPT TO:<b@lan>\r\nDATA\r\n").await;
    client.expect("530 5.7.0 ").await;
    client.expect("421 4.7.0 ").await;
    client.expect_end().await;
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
}

#[tokio::test]
async fn a_device_signs_in_by_its_short_name_where_devices_are_served_and_nowhere_else() {
    let log = Log::keep();
    let rig = rig(NAMED).await;
    let sign_in = sign_in(&rig, "scanner", "SCAN2").await;
    let mut client = at(&rig, "devices", "127.0.0.9").await;
    client.ask(&sign_in, "235 ").await;
    deliver(&mut client, "scan@lan").await;
    log.take_until("signed in device=\"scanner\"").await;
    assert_eq!(rig.provider.last_sign_in().unwrap().user.unwrap().as_str(), ALICE);

    let mut elsewhere = at(&rig, "submission", "127.0.0.9").await;
    elsewhere.ask(&sign_in, "535 5.7.8 ").await;
    let told = log.take_until("refusal=\"wrong-password\"").await;
    assert!(told.contains("account=\"SCAN2\""), "{told}");
    let mut wrong = at(&rig, "devices", "127.0.0.9").await;
    wrong.ask(&auth_plain("scan2", PASSWORD), "535 5.7.8 ").await;
    // By its address it is let in all the same.
    deliver(&mut scanner(&rig).await, "scan@lan").await;
}

#[tokio::test]
async fn a_device_that_signs_in_as_an_account_is_served_as_every_client_of_it() {
    let log = Log::keep();
    let rig = rig(with_devices!(device!("senders = [\"scan@lan\"]\n"))).await;
    let mut client = scanner(&rig).await;
    client.ask(AUTH_PLAIN, "235 ").await;
    let told = log.take_until("signed in").await;
    assert!(!told.lines().last().unwrap().contains("device="), "{told}");
    // What binds the device binds no account.
    client.ask("MAIL FROM:<anybody@elsewhere.example>", "250 ").await;
    finish(&mut client).await;
}
