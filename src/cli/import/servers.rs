//! Its servers, `[IMAP-1993]` and the like: each becomes a listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustls::pki_types::ServerName;

use super::document::Table;
use super::ini::Section;
use super::notes::{Notes, Of};
use crate::provider::{MailHost, Protocol, UpstreamTls};

/// The options that it reads, and `documentation`, which is for people.
const OPTIONS: [&str; 10] = [
    "server_address",
    "server_port",
    "server_starttls",
    "starttls",
    "local_address",
    "local_starttls",
    "local_certificate_path",
    "local_key_path",
    "plugins",
    "documentation",
];

/// A server of the file, as a listener.
pub(super) struct Server {
    pub(super) protocol: Protocol,
    /// Where it leads to.
    pub(super) upstream: MailHost,
    pub(super) table: Table,
}

impl Server {
    /// The server that `section` is, if it is one. Paths of the file are relative to `base`.
    pub(super) fn read(section: &Section, base: &Path, notes: &mut Notes) -> Option<Self> {
        let (protocol, port) = kind(&section.name)?;
        let mut table = Table::new("listeners", &section.name.to_ascii_lowercase());
        let mut notes = notes.of(section);
        notes.tell_unknown(&OPTIONS, &mut table);
        table.set("protocol", protocol.name());
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            table.set_aside = Some("its port is none: 1 to 65535".to_owned());
        }
        let host = section.get("server_address").unwrap_or_default().to_owned();
        let upstream_port = section.get("server_port").and_then(|port| port.parse().ok());
        let upstream_port = upstream_port.filter(|port: &u16| *port > 0);
        // It would be its provider's server, and take every account of that with it.
        if ServerName::try_from(host.as_str()).is_err() || upstream_port.is_none() {
            let why = "`server_address` or `server_port` is missing or wrong";
            table.set_aside = Some(why.to_owned());
        }
        let mut flag = |key, table: &mut Table| {
            section.flag(key).unwrap_or_else(|_| {
                notes.add(table, format!("`{key}` is neither yes nor no, and was taken as no."));
                None
            })
        };
        let is_submission = protocol == Protocol::Submission;
        let legacy = flag("starttls", &mut table);
        let starttls = flag("server_starttls", &mut table).or(legacy).unwrap_or(false);
        let local_starttls = flag("local_starttls", &mut table).unwrap_or(false);
        // It reads both for SMTP alone.
        let tls =
            if starttls && is_submission { UpstreamTls::StartTls } else { UpstreamTls::Implicit };
        if section.get("plugins").is_some() {
            let said = "`plugins` has no counterpart: after the sign-in the bytes are passed on as \
                        they are. See `sender` for addresses that have to be rewritten.";
            notes.add(&mut table, said);
        }
        let files = (section.get("local_certificate_path"), section.get("local_key_path"));
        let is_tls = match files {
            (Some(certificate), Some(key)) => {
                let starttls = local_starttls && is_submission;
                table.set("tls", if starttls { "starttls" } else { "implicit" });
                table.set("certificate", beside(base, certificate));
                table.set("private_key", beside(base, key));
                true
            }
            (None, None) if !local_starttls => false,
            _ => {
                let said = "`local_certificate_path` and `local_key_path` are used together alone, \
                            so this listener speaks no TLS.";
                notes.add(&mut table, said);
                false
            }
        };
        listen(section, port.unwrap_or(0), is_tls, &mut table, &mut notes);
        let upstream = MailHost { host, port: upstream_port.unwrap_or(0), tls };
        Some(Self { protocol, upstream, table })
    }
}

/// Whether a section of that name is a server.
pub(super) fn is_server(name: &str) -> bool {
    kind(name).is_some()
}

/// What the section serves, if it is a server.
pub(super) fn protocol(section: &Section) -> Option<Protocol> {
    kind(&section.name).map(|(protocol, _)| protocol)
}

/// What a section of that name serves, and its port as it is written.
fn kind(name: &str) -> Option<(Protocol, &str)> {
    let (kind, port) = name.split_once('-')?;
    let protocol = match kind {
        "SMTP" => Protocol::Submission,
        "IMAP" => Protocol::Imap,
        "POP" => Protocol::Pop3,
        _ => return None,
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((protocol, port))
}

/// Writes where the listener listens. Without `local_address` it is every address of the machine.
fn listen(section: &Section, port: u16, is_tls: bool, table: &mut Table, notes: &mut Of<'_, '_>) {
    let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let written = section.get("local_address");
    let ips = match written.map(|text| (text, text.parse::<IpAddr>())) {
        Some(("localhost", _)) => {
            table.set("address", format!("localhost:{port}"));
            return;
        }
        Some((_, Err(_))) => {
            table.set("address", format!("localhost:{port}"));
            let why =
                "`local_address` is a name; write the address that it stands for as `address`";
            table.set_aside = Some(why.to_owned());
            return;
        }
        None | Some((_, Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))) => any.to_vec(),
        Some((_, Ok(ip))) => vec![ip.to_canonical()],
    };
    let addresses: Vec<String> =
        ips.iter().map(|ip| SocketAddr::new(*ip, port).to_string()).collect();
    match addresses.as_slice() {
        [one] => table.set("address", one.clone()),
        _ => table.set("address", addresses),
    }
    if ips.iter().all(IpAddr::is_loopback) {
        return;
    }
    if written.is_none() {
        let said = "It listened on every address of the machine, because `local_address` was left \
                    out. Where all mail programs are on this machine, write address = \
                    \"localhost:PORT\" and nothing else.";
        notes.add(table, said);
    }
    if !is_tls {
        table.set("require_tls", false);
        let said = "Warning: other machines send their passwords in clear here; `require_tls = \
                    false` accepts that. Better: tls = \"implicit\" with a certificate, see \
                    docs/tls.md.";
        notes.add(table, said);
    }
    let said = "Until `allow` names their networks, as allow = [\"192.0.2.0/24\"], none but this \
                machine may connect.";
    notes.add(table, said);
}

/// A path of the file, as it can be written in another directory.
pub(super) fn beside(base: &Path, path: &str) -> String {
    base.join(path).to_string_lossy().into_owned()
}
