//! stunnel as Debian has it: a TCP to TLS tunnel, with a thread for each connection.

use std::process::Command;

use super::{Place, told};
use crate::support::process::{Child, free_port};

/// Where Debian installs it.
const PROGRAM: &str = "/usr/bin/stunnel4";

pub(super) fn version() -> String {
    told(PROGRAM, "-version", "stunnel")
}

pub(super) fn start(place: &Place<'_>) -> (Option<Child>, u16, u16) {
    let upstream = place.scene.upstream(place.way);
    let ports = [free_port(), free_port()];
    let tunnel = |name: &str, port: u16, to: u16| {
        format!(
            "[{name}]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{to}\n\
             CAfile = {}\nverifyChain = yes\ncheckHost = localhost\n",
            place.ca_file().display()
        )
    };
    let file = place.write(
        "stunnel.conf",
        &format!(
            "foreground = yes\npid =\ndebug = warning\n\
             socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n{}{}",
            tunnel("imap", ports[0], upstream.imap),
            tunnel("submission", ports[1], upstream.submission),
        ),
    );
    place.listening(Command::new(PROGRAM).arg(file), ports)
}
