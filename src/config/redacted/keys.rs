//! Every key of the file, the type of its value, and the words that some of them know.

/// What may be in the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    /// A proxy, shown without user name and password.
    Proxy,
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
    Provider, Proxy, Scopes, Secret, Url, Word,
};

/// The tables whose tables have names of the user's choice.
const NAMED: [&str; 4] = ["listeners", "devices", "providers", "accounts"];

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
    ("egress", "http_proxy", Proxy),
    ("egress", "mail_proxy", Proxy),
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

/// Whether a key of some table has that name.
pub fn is_key(name: &str) -> bool {
    KEYS.iter().any(|(_, key, _)| *key == name)
}

/// Whether a name is made of such words and numbers alone, as `imap-1993`, so that it tells nothing of
/// anybody.
pub fn is_of_words(name: &str) -> bool {
    let is_plain = |part: &str| {
        WORDS.contains(&part)
            || part == "smtp"
            || part == "pop"
            || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name.split(['-', '_']).all(is_plain)
}

/// Whether it is one of the words.
pub(super) fn is_word(text: &str) -> bool {
    WORDS.contains(&text)
}

/// Whether there is a table of that name, or tables of that kind.
pub(super) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|(kind, ..)| *kind == name)
}

/// Whether the tables of that kind have names.
pub(super) fn is_named(kind: &str) -> bool {
    NAMED.contains(&kind)
}

/// What the key of a table holds.
pub(super) fn find(table: &str, key: &str) -> Option<Kind> {
    let of = |table: &str| KEYS.iter().find(|known| known.0 == table && known.1 == key);
    let known = of(table).or_else(|| if table == "providers" { of("accounts") } else { None });
    known.map(|(_, _, kind)| *kind)
}
