//! The configuration file as it may be shown to strangers: written anew, value by value.
//!
//! What is shown is decided by the type that a key has, not by what its text looks like: a value is
//! shown when it is of a type that holds no secret, and reads as one of that type. What names a file,
//! a program or a variable is shown if that is there, for a secret may be written in its place.
//! Secrets, keys that are not known, and comments are not shown.

mod address;
mod keys;
mod place;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::{Table, Value};

use self::keys::{Kind, find, is_named, is_table, is_word};
use super::presets::preset_hosts;

pub use self::keys::{is_key, is_of_words};
pub use self::place::{Machine, Places};

/// What stands for a value that is not shown.
const HIDDEN: &str = "(not shown)";

/// The parameters of authorization requests whose names are shown: those of RFC 6749, OpenID Connect
/// Core, and the built-in providers.
const PARAMS: [&str; 9] = [
    "access_type",
    "acr_values",
    "audience",
    "domain_hint",
    "hd",
    "login_hint",
    "max_age",
    "prompt",
    "resource",
];

/// What becomes of names in what is shown.
pub trait Names {
    /// The name of an account, a mailbox or a person.
    fn name(&mut self, name: &str) -> String;
    /// An identifier of an organisation or its application.
    fn id(&mut self, id: &str) -> String;
    /// A text in which such names, and addresses of machines, may stand.
    fn text(&mut self, text: &str) -> String;
    /// Whether paths, programs and variables are shown.
    fn places(&self) -> Places;
    /// Takes in a path, a program or a variable, which texts may name.
    fn take_in_place(&mut self, place: &str);
}

/// The file `text` as it may be shown; none where it is no TOML.
pub fn redacted(text: &str, machine: &Machine<'_>, names: &mut dyn Names) -> Option<String> {
    let root: Table = text.parse().ok()?;
    let mut shown = Shown { root: &root, machine, names, text: String::new() };
    for (kind, value) in &root {
        match value.as_table() {
            Some(tables) if is_named(kind) => {
                for (name, table) in tables {
                    let name = shown.heading(kind, name);
                    shown.table(kind, &format!("{kind}.{}", key(&name)), table);
                }
            }
            Some(_) if is_table(kind) => shown.table(kind, kind, value),
            _ => shown.text.push_str("\na key that is not known (not shown)\n"),
        }
    }
    Some(shown.text)
}

/// What is shown so far.
struct Shown<'a> {
    root: &'a Table,
    machine: &'a Machine<'a>,
    names: &'a mut dyn Names,
    text: String,
}

impl Shown<'_> {
    /// The name of a table, which is somebody's unless it says what the table is of.
    fn heading(&mut self, kind: &str, name: &str) -> String {
        let is_plain = match kind {
            "listeners" => is_of_words(name),
            "providers" => preset_hosts(name).is_some(),
            _ => false,
        };
        if is_plain { name.to_owned() } else { self.names.name(name) }
    }

    fn table(&mut self, kind: &str, heading: &str, table: &Value) {
        let _ = writeln!(self.text, "\n[{heading}]"); // a String takes everything
        let Some(table) = table.as_table() else {
            let _ = writeln!(self.text, "{HIDDEN}: it is no table");
            return;
        };
        for (key, value) in table {
            let line = match find(kind, key) {
                Some(kind) => format!("{key} = {}", self.show(kind, value)),
                None => format!("a key that is not known {HIDDEN}"),
            };
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// The value, as far as it may be shown.
    fn show(&mut self, kind: Kind, value: &Value) -> String {
        match (kind, value) {
            (Kind::Flag, Value::Boolean(flag)) => flag.to_string(),
            (Kind::Number, Value::Integer(number)) => number.to_string(),
            (Kind::Host, Value::Table(host)) => address::mail_host(host, self.names),
            (Kind::Pem, Value::String(path)) => self.path(path),
            (Kind::Secret | Kind::Pem, value) => self.secret(value),
            (Kind::Command, Value::Array(words)) => self.command(words),
            (Kind::Params, Value::Table(params)) => {
                let shown = |key: &String| {
                    let key = if PARAMS.contains(&key.as_str()) { key } else { "a key" };
                    format!("{key} = {HIDDEN}")
                };
                let keys: Vec<String> = params.keys().map(shown).collect();
                format!("{{ {} }}", keys.join(", "))
            }
            // One for each protocol.
            (Kind::Number | Kind::Scopes | Kind::Name, Value::Table(each)) => {
                let each = each.iter().filter(|(key, _)| is_word(key));
                let each: Vec<String> = each
                    .map(|(key, value)| format!("{key} = {}", self.show(kind, value)))
                    .collect();
                format!("{{ {} }}", each.join(", "))
            }
            (_, Value::Array(items)) => {
                let items: Vec<String> = items.iter().map(|item| self.show(kind, item)).collect();
                format!("[{}]", items.join(", "))
            }
            (kind, Value::String(text)) => self.show_text(kind, text),
            _ => HIDDEN.to_owned(),
        }
    }

    /// The text, if it reads as one of its kind.
    fn show_text(&mut self, kind: Kind, text: &str) -> String {
        let fits = match kind {
            Kind::Word => is_word(text),
            Kind::Duration => humantime::parse_duration(text).is_ok(),
            Kind::Date => is_date(text),
            Kind::Network => text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok(),
            Kind::Address => return self.listen_address(text),
            Kind::Path => return self.path(text),
            Kind::Url => return address::url(text, self.names),
            Kind::Proxy => return address::proxy(text, self.names),
            Kind::Name => return quoted(&self.names.name(text)),
            Kind::Id if is_secret(text) => return "(a secret, not shown)".to_owned(),
            Kind::Id => return quoted(&self.names.id(text)),
            Kind::Provider if self.has("providers", text) => {
                return quoted(&self.heading("providers", text));
            }
            Kind::Provider => preset_hosts(text).is_some(),
            Kind::Scopes => true,
            Kind::Flag
            | Kind::Number
            | Kind::Host
            | Kind::Secret
            | Kind::Pem
            | Kind::Params
            | Kind::Command => false,
        };
        if fits { quoted(&self.names.text(text)) } else { HIDDEN.to_owned() }
    }

    /// A path of the file, which is also told of as the place that it leads to.
    fn path(&mut self, text: &str) -> String {
        self.names.take_in_place(text);
        self.names.take_in_place(&self.machine.directory.join(text).to_string_lossy());
        self.machine.path(text, self.names.places())
    }

    /// Where something listens.
    fn listen_address(&mut self, text: &str) -> String {
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        if let Some(path) = text.strip_prefix("unix:") {
            return format!("unix: {}", self.path(path));
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            let is_known = is_of_words(name);
            return if is_known { quoted(text) } else { format!("systemd: {HIDDEN}") };
        }
        let fits = text == "off"
            || text.parse::<SocketAddr>().is_ok()
            || text.strip_prefix("localhost:").is_some_and(is_port);
        if fits { quoted(&self.names.text(text)) } else { HIDDEN.to_owned() }
    }

    /// Where a secret is had from.
    fn secret(&mut self, value: &Value) -> String {
        let places = self.names.places();
        let place = value.as_table().filter(|table| table.len() == 1);
        let place = place.and_then(|table| table.iter().next());
        match place.map(|(key, place)| (key.as_str(), place)) {
            Some(("env", Value::String(name))) => {
                self.names.take_in_place(name);
                format!("{{ env = {} }}", self.machine.variable(name, places))
            }
            Some(("file", Value::String(path))) => {
                format!("{{ file = {} }}", self.path(path))
            }
            Some(("command", Value::Array(words))) => {
                format!("{{ command = {} }}", self.command(words))
            }
            _ => "(a secret, not shown)".to_owned(),
        }
    }

    fn command(&mut self, words: &[Value]) -> String {
        let program = words.first().and_then(Value::as_str);
        self.names.take_in_place(program.unwrap_or_default());
        let program = program.map_or(HIDDEN.to_owned(), |program| {
            self.machine.program(program, self.names.places())
        });
        match words.len() {
            0 | 1 => format!("[{program}]"),
            more => format!("[{program}] and {} arguments (not shown)", more - 1),
        }
    }

    /// Whether the file has such a table.
    fn has(&self, kind: &str, name: &str) -> bool {
        self.root.get(kind).and_then(|tables| tables.get(name)).is_some()
    }
}

/// Whether what stands in the place of an identifier is a client secret, as Google and Entra make
/// them: with that beginning, and 40 characters with a ~ among them. No identifier of theirs has either.
fn is_secret(text: &str) -> bool {
    text.starts_with("GOCSPX-") || (text.len() == ENTRA_SECRET_LEN && text.contains('~'))
}

/// Length of a client secret's value at Entra, in bytes.
const ENTRA_SECRET_LEN: usize = 40;

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
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
