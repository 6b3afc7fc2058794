//! An entry of `address`: a port of this machine, a unix socket, or sockets that systemd passes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::net::listen::{Door, ListenAddress, unix};

use super::field::Field;
use super::file::Reported;

/// Longest name of a socket, in bytes (systemd.socket(5), `FileDescriptorName=`).
const SOCKET_NAME_LEN_MAX: usize = 255;

/// Where a listener listens.
pub(super) fn door(field: &Field<'_>) -> Result<Door, Reported> {
    let text = field.text()?;
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(field, path).map(Door::Unix);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        return socket_name(field, name).map(Door::Systemd);
    }
    address(field).map(Door::Tcp)
}

/// The path of a unix socket.
fn unix_path(field: &Field<'_>, path: &str) -> Result<PathBuf, Reported> {
    if path.is_empty() || path.contains(char::is_control) {
        let help = "write the path behind it: \"unix:/run/mailbearer/imap.sock\"";
        return Err(field.problem("is a unix socket without a path", help));
    }
    let path = field.file().path(path);
    if unix::fits(&path) {
        Ok(path)
    } else {
        let len = path.as_os_str().len();
        Err(field.problem(
            format!("is a path of {len} bytes, and that of a unix socket has at most 107"),
            "choose a shorter one: \"unix:/run/mailbearer/imap.sock\"",
        ))
    }
}

/// The name of sockets that systemd passes: `FileDescriptorName=`, as systemd.socket(5) allows it.
fn socket_name(field: &Field<'_>, name: &str) -> Result<String, Reported> {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    if (1..=SOCKET_NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(fits) {
        Ok(name.to_owned())
    } else {
        Err(field.problem(
            "is a systemd socket without a name that one can have",
            "write the FileDescriptorName= of the .socket unit behind it: \"systemd:submission\"",
        ))
    }
}

/// An address with a port.
pub(super) fn address(field: &Field<'_>) -> Result<ListenAddress, Reported> {
    let text = field.text()?;
    if text.starts_with("unix:") || text.starts_with("systemd:") {
        return Err(field.problem(
            format!("is {text:?}, and unix and systemd sockets are for listeners alone"),
            "write an address with a port: \"127.0.0.1:8587\"",
        ));
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(port) {
        return Ok(ListenAddress::Localhost(port));
    }
    let socket: SocketAddr = text.parse().map_err(|_| {
        field.problem(
            format!("is {text:?}, which is no address with a port"),
            "write \"localhost:PORT\", \"127.0.0.1:PORT\" or \"[::1]:PORT\"",
        )
    })?;
    // Sockets are bound for one family each, so this one could not be.
    match socket.ip().to_canonical() {
        IpAddr::V4(ip) if socket.is_ipv6() => Err(field.problem(
            format!("is {text:?}, an IPv4 address in the form of IPv6"),
            format!("write \"{ip}:{}\"", socket.port()),
        )),
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(ListenAddress::Socket(socket)),
    }
}

/// Takes digits alone; the standard library would take a `+` before them.
fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether none but this machine reaches it.
pub(super) fn is_loopback(address: ListenAddress) -> bool {
    match address {
        ListenAddress::Localhost(_) => true,
        ListenAddress::Socket(socket) => socket.ip().is_loopback(),
    }
}

/// Whether none but this machine reaches it. What systemd passes is looked at when it is there.
pub(super) fn is_local(door: &Door) -> bool {
    match door {
        Door::Tcp(address) => is_loopback(*address),
        Door::Unix(_) => true,
        Door::Systemd(_) => false,
    }
}

/// Whether it may be that none but this machine reaches it.
pub(super) fn may_be_local(door: &Door) -> bool {
    is_local(door) || matches!(door, Door::Systemd(_))
}
