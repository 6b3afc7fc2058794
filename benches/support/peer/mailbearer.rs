//! mailbearer as its users run it: the program, a configuration file and a directory for its state.

use std::process::Command;

use super::{Place, Warm};
use crate::support::client::USER;
use crate::support::process::Child;

/// What `mailbearer password --hash` makes of the clients' password.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$FiNaGx60obgLg1Ah8EcjMA$zoOKKYJaE6ZKUCk1bENXcUdpL0hIpDNzO3WEptrqgqM";

pub(super) fn start(place: &Place<'_>, warm: Warm) -> (Option<Child>, u16, u16) {
    let upstream = place.scene.upstream(place.way);
    let tls = if upstream.starttls { "starttls" } else { "implicit" };
    let warm = match warm {
        Warm::Default => "",
        Warm::Off => "warm_connections = 0",
    };
    let text = format!(
        r#"
        [listeners.submission]
        protocol = "submission"
        address = "127.0.0.1:0"

        [listeners.imap]
        protocol = "imap"
        address = "127.0.0.1:0"

        [providers.bench]
        token_endpoint = "http://127.0.0.1:{tokens}/token"
        scopes = ["mail"]
        imap = {{ host = "localhost", port = {imap}, tls = "implicit" }}
        submission = {{ host = "localhost", port = {submission}, tls = "{tls}" }}
        ca_file = "{ca_file}"

        [accounts."{USER}"]
        provider = "bench"
        client_id = "bench"
        client_secret = "bench"
        grant = "client-credentials"
        local_password = "{PASSWORD_HASH}"

        [limits]
        sessions_per_peer = 10000
        {warm}
        "#,
        tokens = place.scene.tokens,
        imap = upstream.imap,
        submission = upstream.submission,
        ca_file = place.ca_file().display(),
    );
    let file = place.write("mailbearer.toml", &text);
    let mut command = Command::new(&place.scene.program);
    command.arg("-c").arg(file).arg("serve").env_clear().env("HOME", &place.dir);
    let (child, [submission, imap]) =
        Child::printing(&mut command, &place.dir.join("log"), |line| {
            let address = line.strip_prefix("listening on ")?.split(' ').next()?;
            address.rsplit(':').next()?.parse().ok()
        });
    (Some(child), imap, submission)
}
