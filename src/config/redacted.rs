//! The configuration file as it may be shown to strangers: written anew, value by value.
//!
//! What is shown is decided by the type that a key has, not by what its text looks like: a value is
//! shown when it is of a type that holds no secret, and reads as one of that type. Secrets, keys that
//! are not known, and comments are not shown.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::{Table, Value};

use super::secrets::may_be_key;

/// What may be in the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of [`WORDS`].
    Word,
    /// `true` or `false`.
    Flag,
    /// A whole number, or a table of some.
    Number,
    Duration,
    /// A day.
    Date,
    /// Where something listens, or `off`.
    Address,
    /// Networks and addresses of clients.
    Network,
    Path,
    /// Shown without user name, password, query and fragment.
    Url,
    /// A mail server.
    Host,
    /// Scopes.
    Scopes,
    /// The name of a provider.
    Provider,
    /// Names of accounts, mailboxes and people.
    Name,
    /// An identifier of the organisation or its application; no secret.
    Id,
    /// Never shown; where it is had from is.
    Secret,
    /// A path, or what `Secret` is.
    Pem,
    /// A table of which the keys alone are shown.
    Params,
    /// A program, of which the arguments are not shown.
    Command,
}

use Kind::{
    Address, Command, Date, Duration, Flag, Host, Id, Name, Network, Number, Params, Path, Pem,
    Provider, Scopes, Secret, Url, Word,
};

/// The tables whose tables have names of the user's choice, and whether those name people.
const NAMED: [(&str, bool); 4] =
    [("listeners", false), ("devices", false), ("providers", false), ("accounts", true)];

/// Every key that is known, by table. Those of accounts may stand in providers as well.
const KEYS: &[(&str, &str, Kind)] = &[
    ("listeners", "protocol", Word),
    ("listeners", "address", Address),
    ("listeners", "tls", Word),
    ("listeners", "certificate", Pem),
    ("listeners", "private_key", Pem),
    ("listeners", "require_tls", Flag),
    ("listeners", "allow", Network),
    ("listeners", "accounts", Name),
    ("listeners", "devices", Flag),
    ("listeners", "proxy_protocol_from", Network),
    ("listeners", "upstream", Host),
    ("devices", "account", Name),
    ("devices", "networks", Network),
    ("devices", "username", Name),
    ("devices", "senders", Name),
    ("devices", "messages_per_hour", Number),
    ("providers", "issuer", Url),
    ("providers", "authorization_endpoint", Url),
    ("providers", "token_endpoint", Url),
    ("providers", "device_authorization_endpoint", Url),
    ("providers", "revocation_endpoint", Url),
    ("providers", "authorization_params", Params),
    ("providers", "resource", Url),
    ("providers", "scopes", Scopes),
    ("providers", "submission", Host),
    ("providers", "imap", Host),
    ("providers", "pop3", Host),
    ("providers", "mechanism", Word),
    ("providers", "ca_file", Path),
    ("providers", "concurrent_sessions", Number),
    ("providers", "messages_per_minute", Number),
    ("providers", "refresh_idle_days", Number),
    ("accounts", "provider", Provider),
    ("accounts", "tenant", Id),
    ("accounts", "client_id", Id),
    ("accounts", "client_secret", Secret),
    ("accounts", "client_secret_expires", Date),
    ("accounts", "client_auth", Word),
    ("accounts", "certificate", Pem),
    ("accounts", "private_key", Pem),
    ("accounts", "private_key_id", Id),
    ("accounts", "assertion_algorithm", Word),
    ("accounts", "assertion_file", Path),
    ("accounts", "key_file", Path),
    ("accounts", "client_email", Id),
    ("accounts", "password", Secret),
    ("accounts", "command", Command),
    ("accounts", "grant", Word),
    ("accounts", "grant_of", Name),
    ("accounts", "local_password", Secret),
    ("accounts", "mailbox", Name),
    ("accounts", "sender", Word),
    ("store", "path", Path),
    ("store", "url", Secret),
    ("store", "key", Secret),
    ("limits", "sign_in_timeout", Duration),
    ("limits", "idle_timeout", Duration),
    ("limits", "sessions", Number),
    ("limits", "sessions_per_peer", Number),
    ("limits", "wait_for_slot", Duration),
    ("limits", "warm_connections", Number),
    ("web", "address", Address),
    ("web", "probes", Address),
    ("web", "public_url", Url),
    ("web", "certificate", Pem),
    ("web", "private_key", Pem),
    ("web", "behind_proxy", Network),
    ("web", "admin_token", Secret),
    ("egress", "http_proxy", Url),
    ("egress", "mail_proxy", Url),
    ("egress", "bind", Network),
    ("log", "level", Word),
    ("log", "format", Word),
    ("shutdown", "grace", Duration),
];

/// The words that keys of [`Kind::Word`] know.
const WORDS: [&str; 36] = [
    "submission",
    "imap",
    "pop3",
    "none",
    "starttls",
    "implicit",
    "xoauth2",
    "oauthbearer",
    "authorization-code",
    "device-code",
    "client-credentials",
    "service-account",
    "password",
    "workload-identity",
    "managed-identity",
    "command",
    "secret-post",
    "secret-basic",
    "private-key-jwt",
    "PS256",
    "RS256",
    "keep",
    "envelope",
    "envelope-and-header",
    "error",
    "warn",
    "info",
    "debug",
    "trace",
    "text",
    "json",
    "off",
    "any",
    "true",
    "false",
    "systemd",
];

/// What stands for a value that is not shown.
const HIDDEN: &str = "(not shown)";

/// What becomes of names in what is shown.
pub trait Names {
    /// The name of an account, a mailbox or a person.
    fn name(&mut self, name: &str) -> String;
    /// An identifier of an organisation or its application.
    fn id(&mut self, id: &str) -> String;
}

/// The file `text` as it may be shown; none where it is no TOML.
pub fn redacted(text: &str, names: &mut dyn Names) -> Option<String> {
    let root: Table = text.parse().ok()?;
    let mut shown = String::new();
    for (kind, value) in &root {
        let named = NAMED.iter().find(|(named, _)| named == kind);
        match (value.as_table(), named) {
            (Some(tables), Some((_, are_people))) => {
                for (name, table) in tables {
                    let name = if *are_people { names.name(name) } else { name.clone() };
                    let heading = format!("{kind}.{}", key(&name));
                    write_table(&mut shown, kind, &heading, table, names);
                }
            }
            (Some(_), None) if is_known(kind) => write_table(&mut shown, kind, kind, value, names),
            _ => shown.push_str("\na key that is not known (not shown)\n"),
        }
    }
    Some(shown)
}

/// Whether a key of some table has that name.
pub fn is_key(name: &str) -> bool {
    KEYS.iter().any(|(_, key, _)| *key == name)
}

fn is_known(table: &str) -> bool {
    KEYS.iter().any(|(kind, ..)| *kind == table)
}

fn write_table(
    shown: &mut String,
    kind: &str,
    heading: &str,
    table: &Value,
    names: &mut dyn Names,
) {
    let _ = writeln!(shown, "\n[{heading}]"); // a String takes everything
    let Some(table) = table.as_table() else {
        let _ = writeln!(shown, "{HIDDEN}: it is no table");
        return;
    };
    for (key, value) in table {
        let _ = match find(kind, key) {
            Some(kind) => writeln!(shown, "{key} = {}", show(kind, value, names)),
            None => writeln!(shown, "a key that is not known {HIDDEN}"),
        };
    }
}

fn find(table: &str, key: &str) -> Option<Kind> {
    let of = |table: &str| KEYS.iter().find(|known| known.0 == table && known.1 == key);
    let known = of(table).or_else(|| if table == "providers" { of("accounts") } else { None });
    known.map(|(_, _, kind)| *kind)
}

/// The value, as far as it may be shown.
fn show(kind: Kind, value: &Value, names: &mut dyn Names) -> String {
    match (kind, value) {
        (Flag, Value::Boolean(flag)) => flag.to_string(),
        (Number, Value::Integer(number)) => number.to_string(),
        (Host, Value::Table(host)) => mail_host(host),
        (Pem, Value::String(text)) => {
            let is_path = !text.is_empty() && !text.contains('\n') && !may_be_key(text);
            if is_path { quoted(text) } else { HIDDEN.to_owned() }
        }
        (Secret | Pem, value) => secret(value),
        (Command, Value::Array(words)) => command(words),
        (Params, Value::Table(params)) => {
            let keys: Vec<String> =
                params.keys().map(|key| format!("{} = {HIDDEN}", quoted(key))).collect();
            format!("{{ {} }}", keys.join(", "))
        }
        // One for each protocol.
        (Number | Scopes | Name, Value::Table(each)) => {
            let each = each.iter().filter(|(key, _)| WORDS.contains(&key.as_str()));
            let each: Vec<String> =
                each.map(|(key, value)| format!("{key} = {}", show(kind, value, names))).collect();
            format!("{{ {} }}", each.join(", "))
        }
        (_, Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| show(kind, item, names)).collect();
            format!("[{}]", items.join(", "))
        }
        (kind, Value::String(text)) => show_text(kind, text, names),
        _ => HIDDEN.to_owned(),
    }
}

/// The text, if it reads as one of its kind.
fn show_text(kind: Kind, text: &str, names: &mut dyn Names) -> String {
    let fits = match kind {
        Word => WORDS.contains(&text),
        Duration => humantime::parse_duration(text).is_ok(),
        Date => text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()),
        Address => is_address(text),
        Network => text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok(),
        Path => !text.contains('\n') && !may_be_key(text),
        Url => return url(text),
        Name => return quoted(&names.name(text)),
        Id => return quoted(&names.id(text)),
        Provider | Scopes => true,
        Flag | Number | Host | Secret | Pem | Params | Command => false,
    };
    if fits { quoted(text) } else { HIDDEN.to_owned() }
}

fn is_address(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    text == "off"
        || text.parse::<SocketAddr>().is_ok()
        || text.strip_prefix("localhost:").is_some_and(is_port)
        || text.starts_with("unix:")
        || text.starts_with("systemd:")
}

/// A URL without what may be secret in it.
fn url(text: &str) -> String {
    // What a preset has in place of the tenant is no part of a URL.
    let parsed = reqwest::Url::parse(&text.replace("{tenant}", "TENANT")).ok();
    let Some(mut url) = parsed.filter(reqwest::Url::has_host) else { return HIDDEN.to_owned() };
    // A password with a slash is taken for a path, and what stands before it for a host.
    if url.path().contains('@') {
        return HIDDEN.to_owned();
    }
    let had_more = url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    url.set_query(None);
    url.set_fragment(None);
    // Neither fails where there is a host.
    let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    let more = if had_more { " and more (not shown)" } else { "" };
    if is_bare { format!("{}{more}", quoted(url.as_str())) } else { HIDDEN.to_owned() }
}

fn mail_host(host: &Table) -> String {
    let text = |key| host.get(key).and_then(Value::as_str);
    let is_name = |name: &&str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
    };
    let name = text("host").filter(is_name).unwrap_or(HIDDEN);
    let port = host.get("port").and_then(Value::as_integer).unwrap_or_default();
    let tls = text("tls").filter(|word| WORDS.contains(word)).unwrap_or(HIDDEN);
    format!("{name}:{port}, {tls}")
}

/// Where a secret is had from.
fn secret(value: &Value) -> String {
    let place = |table: &Table| {
        let (key, place) = table.iter().next().filter(|_| table.len() == 1)?;
        match (key.as_str(), place) {
            ("env", Value::String(name)) if is_variable(name) => {
                Some(format!("{{ env = {} }}", quoted(name)))
            }
            ("file", Value::String(path)) if !path.contains('\n') && !may_be_key(path) => {
                Some(format!("{{ file = {} }}", quoted(path)))
            }
            ("command", Value::Array(words)) => Some(format!("{{ command = {} }}", command(words))),
            _ => None,
        }
    };
    value.as_table().and_then(place).unwrap_or_else(|| "(a secret, not shown)".to_owned())
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn command(words: &[Value]) -> String {
    let program = words.first().and_then(Value::as_str).map_or(HIDDEN.to_owned(), quoted);
    match words.len() {
        0 | 1 => format!("[{program}]"),
        more => format!("[{program}] and {} arguments (not shown)", more - 1),
    }
}

/// A name as a part of a key.
fn key(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_bare = !name.is_empty() && name.bytes().all(plain);
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}
