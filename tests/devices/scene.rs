//! A relay with a listener for devices, and what devices say to it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::Username;
use mailbearer::secret::ExposeSecret as _;

use super::support::{ALICE, Client, Rig, RigSettings};

/// Where the scanner of [`SCANNER`] is.
pub const SCANNERS: &str = "127.0.0.2";

/// A listener for devices, with more of the file behind it.
macro_rules! with_devices {
    ($($text:expr),+) => {
        concat!(
            "[listeners.devices]\n",
            "protocol = \"submission\"\n",
            "address = \"127.0.0.1:0\"\n",
            "allow = [\"127.0.0.0/8\"]\n",
            "devices = true\n",
            $($text),+
        )
    };
}
pub(crate) use with_devices;

/// A device known by its address alone, which may be given more keys.
macro_rules! device {
    ($($keys:literal)?) => {
        concat!(
            "[devices.scanner]\naccount = \"alice@example.com\"\nnetworks = [\"127.0.0.2\"]\n",
            $($keys)?
        )
    };
}
pub(crate) use device;

/// A relay with that in its file.
pub async fn rig(extra: &'static str) -> Rig {
    Rig::with(RigSettings { extra, ..RigSettings::default() }).await
}

/// Somebody at `source` whom that listener has greeted, and who has said hello.
pub async fn at(rig: &Rig, listener: &str, source: &str) -> Client {
    let source: IpAddr = source.parse().unwrap();
    let mut client = Client::connect_from(source, rig.address(listener)).await;
    client.expect("220 ").await;
    client.ask("HELO scanner", "250 mailbearer").await;
    client
}

/// The scanner itself.
pub async fn scanner(rig: &Rig) -> Client {
    at(rig, "devices", SCANNERS).await
}

/// Sends a message from `sender`, which is accepted.
pub async fn deliver(client: &mut Client, sender: &str) {
    client.ask(&format!("MAIL FROM:<{sender}>"), "250 ").await;
    finish(client).await;
}

/// Sends the rest of a message whose MAIL was accepted.
pub async fn finish(client: &mut Client) {
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send_bytes(b"Subject: scan\r\n\r\n.\r\n").await;
    client.expect("250 ").await;
}

/// Makes the password of `device`; gives AUTH PLAIN with it as `username`.
pub async fn sign_in(rig: &Rig, device: &str, username: &str) -> String {
    let device = Username::parse(device).unwrap();
    let made = rig.operator.make_password(&device, None, Vec::new()).await.unwrap();
    auth_plain(username, made.password.expose_secret())
}

/// AUTH PLAIN with an initial response (RFC 4616 section 2, RFC 4954 section 4).
pub fn auth_plain(username: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{username}\0{password}")))
}
