//! Single answers: whether they can stand in a file, before all of them are there.

use std::path::Path;

use ipnet::IpNet;
use reqwest::Url;

use crate::config::tenant::Tenant;
use crate::oauth::{check_service_account, is_loopback};
use crate::provider::{
    GrantKind, MailHost, Protocol, ServiceAccount, ServiceAccountKey, UpstreamTls,
};

/// Longest answer that becomes a key's text, in bytes: what a client id may have (RFC 6749 sets no
/// limit; the file's is the same).
const TEXT_LEN_MAX: usize = 1024;

/// Ports of implicit TLS (RFC 8314 section 7.3) and of STARTTLS, by protocol.
const PORTS: [(Protocol, u16, u16); 3] =
    [(Protocol::Submission, 465, 587), (Protocol::Imap, 993, 143), (Protocol::Pop3, 995, 110)];

/// Widest networks that may be devices, as prefix lengths: the same as in `[devices]`.
const PREFIX_LEN_MIN: (u8, u8) = (16, 48);

/// Looks whether `text` is a tenant for a grant of `kind`.
///
/// # Errors
/// What to answer instead.
pub fn check_tenant(text: &str, kind: GrantKind) -> Result<(), String> {
    let several = ["common", "organizations", "consumers"];
    if Tenant::parse_single(text).is_some() || (kind.is_personal() && several.contains(&text)) {
        Ok(())
    } else {
        Err("enter the directory (tenant) ID or a domain of the organisation, such as \
             contoso.onmicrosoft.com"
            .to_owned())
    }
}

/// Looks whether `text` is a client id, at Entra one of its own form.
///
/// # Errors
/// What to answer instead.
pub fn check_client_id(text: &str, is_entra: bool) -> Result<(), String> {
    let fits = (1..=TEXT_LEN_MAX).contains(&text.len());
    if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("enter the application (client) ID: 1 to 1,024 visible ASCII characters".to_owned())
    } else if is_entra && !is_guid(text) {
        Err("enter the application (client) ID as the registration's overview shows it: \
             11111111-2222-3333-4444-555555555555"
            .to_owned())
    } else {
        Ok(())
    }
}

/// Looks whether `text` may be a client secret, at Entra not the secret's own ID.
///
/// # Errors
/// What to answer instead; nothing of the text.
pub fn check_secret(text: &str, is_entra: bool) -> Result<(), String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        Err("enter the client secret: one line, with no control characters".to_owned())
    } else if is_entra && is_guid(text) {
        Err("this is the ID of a secret; enter its value, which Entra shows once, beside it"
            .to_owned())
    } else {
        Ok(())
    }
}

/// Looks whether the file at `path` is the key of a service account that can sign.
///
/// # Errors
/// What to answer instead; nothing of the file.
pub fn check_key_file(path: &Path) -> Result<(), String> {
    let account = ServiceAccount { key: ServiceAccountKey::File(path.to_owned()) };
    check_service_account(&account)
        .map(drop)
        .map_err(|problem| format!("the file {problem}; {}", problem.fix()))
}

/// Looks whether `text` is the name of a variable of the environment.
///
/// # Errors
/// What to answer instead.
pub fn variable(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(text.to_owned())
    } else {
        Err("enter the name of a variable: letters, digits and _, such as CONTOSO_SECRET"
            .to_owned())
    }
}

/// The issuer in `text`: https, or http at a loopback address.
///
/// # Errors
/// What to answer instead.
pub fn issuer(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    let is_issuer = url.is_some_and(|url| {
        let is_bare = url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        is_bare && is_anonymous && (url.scheme() == "https" || is_loopback(&url))
    });
    if is_issuer && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("enter the issuer as its own metadata names it: https://id.example.com".to_owned())
    }
}

/// The scopes in `text`, separated by blanks (RFC 6749 section 3.3).
///
/// # Errors
/// What to answer instead.
pub fn scopes(text: &str) -> Result<Vec<String>, String> {
    let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    let is_token = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !scopes.is_empty() && scopes.iter().all(|scope| scope.bytes().all(is_token)) {
        Ok(scopes)
    } else {
        Err("enter what the provider's documentation has as scopes for mail, separated by blanks"
            .to_owned())
    }
}

/// The mail server in `text` for `protocol`: `HOST`, `HOST:PORT`, with `/tls` or `/starttls` behind
/// it where the port does not tell how TLS begins.
///
/// # Errors
/// What to answer instead.
pub fn mail_host(text: &str, protocol: Protocol) -> Result<MailHost, String> {
    let wrong = || {
        "enter host and port of the server, such as mail.example.com:465; with /tls or /starttls \
         behind them where the port does not tell which it is"
            .to_owned()
    };
    let (server, tls) = match text.rsplit_once('/') {
        Some((server, "tls")) => (server, Some(UpstreamTls::Implicit)),
        Some((server, "starttls")) => (server, Some(UpstreamTls::StartTls)),
        Some(_) => return Err(wrong()),
        None => (text, None),
    };
    let known = PORTS.into_iter().find(|(known, ..)| *known == protocol);
    let (_, implicit, starttls) = known.ok_or_else(wrong)?;
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?),
        None if tls == Some(UpstreamTls::StartTls) => (server, starttls),
        None => (server, implicit),
    };
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric())
    };
    if !host.split('.').all(label) {
        return Err(wrong());
    }
    // RFC 6409 is spoken at any port by STARTTLS, unless it is that of RFC 8314.
    let by_port = if port == starttls || (protocol == Protocol::Submission && port != implicit) {
        UpstreamTls::StartTls
    } else {
        UpstreamTls::Implicit
    };
    Ok(MailHost { host: host.to_owned(), port, tls: tls.unwrap_or(by_port) })
}

/// The networks in `text`, separated by commas or blanks; single addresses may be among them.
///
/// # Errors
/// What to answer instead.
pub fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|it| !it.is_empty());
    let networks: Result<Vec<IpNet>, String> = parts.map(network).collect();
    let networks = networks?;
    if networks.is_empty() {
        return Err(NETWORK.to_owned());
    }
    Ok(networks)
}

const NETWORK: &str = "enter the addresses of the devices, or a network of them, such as \
                       192.168.20.17 or 192.168.20.0/24";

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    let network: IpNet = network.map_err(|_| NETWORK.to_owned())?;
    let widest = if network.addr().is_ipv4() { PREFIX_LEN_MIN.0 } else { PREFIX_LEN_MIN.1 };
    if network.trunc() != network {
        Err(format!(
            "enter {} for the network, or {} for the device",
            network.trunc(),
            network.addr()
        ))
    } else if network.prefix_len() < widest {
        Err("enter a narrower network: whoever is in it may send as the mailbox; at most /16, of \
             IPv6 /48"
            .to_owned())
    } else {
        Ok(network)
    }
}

/// Looks whether `text` is an address to listen on.
///
/// # Errors
/// What to answer instead.
pub fn check_listen_address(text: &str) -> Result<(), String> {
    let is_port =
        |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_localhost = text.strip_prefix("localhost:").is_some_and(is_port);
    if is_localhost || text.parse::<std::net::SocketAddr>().is_ok() {
        Ok(())
    } else {
        Err("enter localhost:PORT, or an address of this machine and a port: 192.168.20.2:587"
            .to_owned())
    }
}

fn is_guid(text: &str) -> bool {
    let lens = text.split('-').map(str::len);
    lens.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
