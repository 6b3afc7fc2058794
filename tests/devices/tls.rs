//! Devices and TLS: one known by its address may speak in clear, unless the file says otherwise.

use super::scene::{SCANNERS, at, deliver, device, scanner, with_devices};
use super::support::certificates::{Authority, HERE};
use super::support::log::Log;
use super::support::{ALICE, AUTH_PLAIN, Client, Rig, RigSettings};

/// Where the keys of the listener's TLS go.
macro_rules! with_tls {
    ($keys:literal) => {
        with_devices!(
            "tls = \"starttls\"\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n",
            $keys,
            device!()
        )
    };
}

async fn rig(extra: &'static str) -> (Rig, Authority) {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(HERE).pem();
    let files = vec![("server.pem", certificate), ("server.key", key)];
    (Rig::with(RigSettings { extra, files, ..RigSettings::default() }).await, authority)
}

#[tokio::test]
async fn a_device_has_to_begin_tls_where_the_file_says_so() {
    let (rig, authority) = rig(with_tls!("require_tls = true\n")).await;
    let mut client = scanner(&rig).await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 begin TLS first (STARTTLS)").await;
    client.ask(AUTH_PLAIN, "538 5.7.11 ").await;
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.start_tls(&authority.connector()).await;
    client.ask("HELO scanner", "250 ").await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send_bytes(b"Subject: private\r\n\r\n.\r\n").await;
    client.expect("250 ").await;
    assert_eq!(&rig.messages()[0][..], b"Subject: private\r\n\r\n");
}

#[tokio::test]
async fn who_does_not_sign_in_hears_of_tls_first_where_no_devices_are_served() {
    let log = Log::keep();
    let (rig, authority) = rig(
        "[listeners.people]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\ntls = \"starttls\"\n\
         certificate = \"server.pem\"\nprivate_key = \"server.key\"\nrequire_tls = true\n",
    )
    .await;
    let mut client = at(&rig, "people", "127.0.0.1").await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 begin TLS first (STARTTLS)").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    assert!(told.contains("add `devices = true` to [listeners.people]"), "{told}");
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.start_tls(&authority.connector()).await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 Authentication required").await;
    log.take_until("refusal=\"no-device\"").await;
}

#[tokio::test]
async fn a_device_may_speak_in_clear_where_nothing_is_said_and_under_tls_as_well() {
    let log = Log::keep();
    let (rig, authority) = rig(with_tls!("")).await;
    deliver(&mut scanner(&rig).await, "scan@lan").await;
    log.take_until("signed in device=\"scanner\"").await;
    let source = SCANNERS.parse().unwrap();
    let mut client = Client::connect_from(source, rig.address("devices")).await;
    client.expect("220 ").await;
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.start_tls(&authority.connector()).await;
    client.ask("MAIL FROM:<scan@lan>", "250 ").await;
    log.take_until("signed in device=\"scanner\"").await;
}
