//! Dovecot 2.3 as Debian has it: a login proxy with `proxy_mech=xoauth2`, which needs root.
//!
//! Its token is written into its configuration. Login processes serve many sessions each, as its
//! documentation advises for speed.

use std::process::Command;

use super::{Place, told};
use crate::support::client::PASSWORD;
use crate::support::process::{Child, free_port};
use crate::support::tokens::token;

/// Where Debian installs it.
const PROGRAM: &str = "/usr/sbin/dovecot";

pub(super) fn version() -> String {
    told(PROGRAM, "--version", ".")
}

pub(super) fn start(place: &Place<'_>) -> (Option<Child>, u16, u16) {
    let upstream = place.scene.upstream(place.way);
    let ports = [free_port(), free_port()];
    let ca_file = place.ca_file();
    let run = place.dir.join("run");
    // In 2.3 a passdb of one protocol alone leaves the others, and the start, without any.
    let passdb = format!(
        "passdb {{\n  driver = static\n  \
         args = password={PASSWORD} proxy=y host=localhost hostip=127.0.0.1 \
         port=%{{if;%s;eq;imap;{imap};{submission}}} {tls}=yes proxy_mech=xoauth2 pass={token}\n}}\n",
        imap = upstream.imap,
        submission = upstream.submission,
        tls = if upstream.starttls { "starttls" } else { "ssl" },
        token = token()
    );
    let service = |protocol: &str, listener: &str, port: u16, other: &str| {
        format!(
            "service {protocol}-login {{\n  service_count = 0\n  process_min_avail = 2\n  \
             client_limit = 10000\n  inet_listener {listener} {{\n    port = {port}\n  }}\n  \
             inet_listener {other} {{\n    port = 0\n  }}\n}}\n"
        )
    };
    let text = format!(
        "base_dir = {run}\nstate_dir = {run}/state\nlog_path = {directory}/dovecot.log\n\
         listen = 127.0.0.1\nprotocols = imap submission\ninstance_name = mailbearer-compare\n\
         ssl = yes\nssl_cert = <{certificates}/server.pem\nssl_key = <{certificates}/server.key\n\
         disable_plaintext_auth = no\nauth_mechanisms = plain login\n\
         ssl_ca = <{ca_file}\nssl_require_crl = no\n\
         login_trusted_networks = 127.0.0.0/8\nhostname = bench\n\
         default_client_limit = 20000\n{passdb}{imap}{submission}",
        run = run.display(),
        directory = place.dir.display(),
        certificates = place.scene.dir().display(),
        ca_file = ca_file.display(),
        imap = service("imap", "imap", ports[0], "imaps"),
        submission = service("submission", "submission", ports[1], "submissions"),
    );
    let file = place.write("dovecot.conf", &text);
    place.listening(Command::new(PROGRAM).arg("-F").arg("-c").arg(file), ports)
}
