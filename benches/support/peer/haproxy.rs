//! haproxy as Debian has it: a TCP to TLS tunnel.

use std::process::Command;

use super::{Place, told};
use crate::support::process::{Child, free_port};

/// Where Debian installs it.
const PROGRAM: &str = "/usr/sbin/haproxy";

pub(super) fn version() -> String {
    told(PROGRAM, "-v", "version")
}

pub(super) fn start(place: &Place<'_>) -> (Option<Child>, u16, u16) {
    let upstream = place.scene.upstream(place.way);
    let ports = [free_port(), free_port()];
    let tunnel = |name: &str, port: u16, to: u16| {
        format!(
            "listen {name}\n    bind 127.0.0.1:{port}\n    server upstream 127.0.0.1:{to} \
             ssl verify required verifyhost localhost ca-file {}\n",
            place.ca_file().display()
        )
    };
    let file = place.write(
        "haproxy.cfg",
        &format!(
            "global\n    maxconn 9500\n\
             defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 30m\n    \
             timeout server 30m\n{}{}",
            tunnel("imap", ports[0], upstream.imap),
            tunnel("submission", ports[1], upstream.submission),
        ),
    );
    place.listening(Command::new(PROGRAM).arg("-db").arg("-f").arg(file), ports)
}
