//! email-oauth2-proxy in the version that `tests/interop/python/requirements.txt` pins.

use std::path::PathBuf;
use std::process::Command;

use super::{Place, told};
use crate::support::client::USER;
use crate::support::process::{Child, free_port};

pub(super) fn version() -> String {
    told(installed("pip"), "freeze", "emailproxy").replace("==", " ")
}

pub(super) fn start(place: &Place<'_>) -> (Option<Child>, u16, u16) {
    let upstream = place.scene.upstream(place.way);
    let ports = [free_port(), free_port()];
    let [imap, submission] = ports;
    let starttls = if upstream.starttls { "True" } else { "False" };
    let text = format!(
        "[Server setup]\n\n\
         [IMAP-{imap}]\nserver_address = localhost\nserver_port = {}\nlocal_address = 127.0.0.1\n\n\
         [SMTP-{submission}]\nserver_address = localhost\nserver_port = {}\n\
         server_starttls = {starttls}\nlocal_address = 127.0.0.1\n\n\
         [{USER}]\ntoken_url = http://127.0.0.1:{}/token\noauth2_scope = mail\n\
         oauth2_flow = client_credentials\nclient_id = bench\nclient_secret = bench\n\n\
         [emailproxy]\n",
        upstream.imap, upstream.submission, place.scene.tokens
    );
    let file = place.write("emailproxy.config", &text);
    let mut command = Command::new(installed("emailproxy"));
    command.arg("--no-gui").arg("--config-file").arg(file);
    // A proxy of the machine's environment is none for loopback.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &place.dir);
    command.env("SSL_CERT_FILE", place.ca_file()).env("XDG_STATE_HOME", &place.dir);
    place.listening(&mut command, ports)
}

/// A program of the environment that `tests/interop/install-python` makes.
fn installed(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/python/bin")).join(name)
}
