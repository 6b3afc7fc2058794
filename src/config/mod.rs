//! The configuration file: its TOML shape, and each module's own settings made of it.
//!
//! In:  a file of at most [`FILE_LEN_MAX`] bytes, the environment variables that it names, and the
//!      files that it names, read to see that they can be; secrets only for [`Secrets::Verify`].
//! Out: a [`Config`], or every [`Problem`] of the file at once, up to 100.
//!
//! Reading goes down the tree of the file in one pass. Whatever is wrong is reported where it is
//! found, and stands as a `Reported` in place of the value, so that reading goes on. What must
//! hold between tables is looked at last.

mod accounts;
mod authorization_params;
mod certificate;
mod changes;
mod client_key;
mod date;
mod devices;
mod door;
mod egress;
mod endpoint;
mod field;
mod file;
mod grant_of;
mod grants;
mod later;
mod listener_tls;
mod listeners;
mod local_password;
mod locate;
mod mail_host;
mod mailbox_limits;
mod presets;
mod problem;
mod providers;
mod redacted;
mod relations;
mod scopes;
mod secrets;
mod sender;
mod settings;
mod store;
mod table;
pub mod template;
mod tenant;
#[cfg(test)]
mod tests;
mod web;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;
use zeroize::Zeroizing;

use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::names::AccountPattern;
use crate::net::egress::Egress;
use crate::net::listen::ListenAddress;
use crate::relay::{Limits, ListenerSettings};
use crate::store::StoreSettings;

use self::accounts::Accounts;
use self::devices::Devices;
use self::field::Field;
use self::file::{File, Reported};
use self::listeners::Listener;
use self::providers::Providers;
use self::table::Table;

pub use self::file::EnvLookup;
pub use self::locate::{NotFound, locate};
pub use self::presets::{PersonScopes, preset_hosts, preset_scopes};
pub use self::problem::{ConfigError, Problem};
pub use self::redacted::{Machine, Names, Places, is_key, is_of_words, redacted};
pub use self::secrets::Secrets;
pub use self::web::{PageSettings, WebSettings};

/// Largest configuration file, in bytes: some ten thousand accounts, each with the hash of a password
/// (200 bytes), take 2 MB. Far less than what somebody names by mistake.
pub const FILE_LEN_MAX: u64 = 16 * 1024 * 1024;

/// Everything that the file says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `[listeners.…]` tables, in the file's order. At least one.
    pub listeners: Vec<ListenerSettings>,
    /// The `[accounts.…]` tables: exact names first, then wildcards, so that the first that covers
    /// a name is the one meant. At least one.
    pub accounts: Vec<AccountSettings>,
    /// The `[devices.…]` tables, in the file's order.
    pub devices: Vec<DeviceSettings>,
    /// The `[store]` table.
    pub store: StoreSettings,
    /// The `[web]` table.
    pub web: WebSettings,
    /// The `[egress]` table.
    pub egress: Egress,
    /// The `[limits]` table.
    pub limits: Limits,
    /// The `[log]` table.
    pub log: LogSettings,
    /// `shutdown.grace`: how long signed-in sessions may go on after SIGTERM.
    pub grace: Duration,
    /// What is allowed and probably not meant, by line.
    pub warnings: Vec<Problem>,
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: tracing::Level::INFO, format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the configuration file at `path`; `secrets` says whether what it names as secret is
    /// looked at.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is wrong.
    pub fn load(path: &Path, secrets: Secrets) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, dir, &|name| std::env::var(name), secrets)
            .map_err(|problems| ConfigError::Problems { path: path.into(), problems })
    }

    /// Reads `[store]` of the configuration file at `path`, whatever else is wrong with the file: a
    /// relay that runs is found by it, and somebody may be editing.
    ///
    /// # Errors
    /// When the file cannot be read, or something in that table is wrong.
    pub fn load_store(path: &Path) -> Result<StoreSettings, ConfigError> {
        load_part(path, store::read)
    }

    /// Reads `web.probes` of the configuration file at `path`, whatever else is wrong with the file.
    ///
    /// # Errors
    /// When the file cannot be read, or something is wrong with that key.
    pub fn load_probes(path: &Path) -> Result<Vec<ListenAddress>, ConfigError> {
        load_part(path, |_, root| web::read_probes(root))
    }

    /// Reads the configuration in `text`, whose paths are relative to `dir` and whose environment
    /// variables are looked up by `env`.
    ///
    /// # Errors
    /// All that is wrong with it, by line, and of more than 100 the first. Where `text` is no TOML, that alone.
    pub fn parse(
        text: &str,
        dir: &Path,
        env: EnvLookup<'_>,
        secrets: Secrets,
    ) -> Result<Self, Vec<Problem>> {
        Self::parse_file(File::new(text, dir, env, secrets), text)
    }

    fn parse_file(file: File<'_>, text: &str) -> Result<Self, Vec<Problem>> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        refuse_syntax(&file, &errors);
        // A tree with holes would seem to lack what stands in them.
        let config = errors.is_empty().then(|| Self::read(&Field::root(&file, tree.get_ref())));
        let (problems, warnings) = file.into_findings();
        match config {
            Some(Ok(config)) if problems.is_empty() => Ok(Self { warnings, ..config }),
            _ => Err(problems),
        }
    }

    fn read(field: &Field<'_>) -> Result<Self, Reported> {
        let mut root = field.table()?;
        let mut listeners = Listener::read_all(&mut root);
        let providers = Providers::read(&mut root);
        let mut accounts = Accounts::read(&mut root, &providers);
        let devices = Devices::read(&mut root);
        let networks = devices.networks();
        for listener in &mut listeners {
            listener.settle_allow(&networks);
        }
        let store = store::read(field.file(), &mut root);
        let egress = egress::read(&mut root);
        let limits = settings::limits(&mut root);
        let log = settings::log(&mut root);
        let grace = settings::grace(&mut root);
        relations::mark_pop3(&listeners, &mut accounts.settings);
        let web = web::read(&mut root, &listeners);
        let finished = root.finish(&[]);

        relations::refuse_collisions(&listeners);
        relations::refuse_loops(&listeners, &providers.hosts);
        relations::refuse_strangers(&listeners, &accounts.names);
        devices.refuse_contradictions(&listeners, &accounts);
        // A listener would seem to serve nobody when something else is wrong with its accounts.
        if !field.file().has_problems() {
            relations::check_service(&listeners, &accounts.settings);
            relations::refuse_any_behind_balancers(&listeners, &accounts.settings);
            relations::warn_of_any(&listeners, &accounts.settings);
            devices.warn_of_unserved(&listeners);
        }

        finished?;
        let listeners: Result<_, _> = listeners.into_iter().map(Listener::into_settings).collect();
        let accounts = accounts.settings.into_iter().map(|(_, account)| account);
        let (wildcards, exact): (Vec<_>, Vec<_>) =
            accounts.partition(|account| matches!(account.name, AccountPattern::Domain(_)));
        Ok(Self {
            listeners: listeners?,
            accounts: exact.into_iter().chain(wildcards).collect(),
            devices: devices.into_settings()?,
            store: store?,
            web: web?,
            egress: egress?,
            limits: limits?,
            log: log?,
            grace: grace?,
            warnings: Vec::new(),
        })
    }
}

/// Reads one part of the configuration file at `path`.
fn load_part<T>(
    path: &Path,
    part: impl FnOnce(&File<'_>, &mut Table<'_>) -> Result<T, Reported>,
) -> Result<T, ConfigError> {
    let text = read(path)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let env = |name: &str| std::env::var(name);
    let file = File::new(&text, dir, &env, Secrets::Leave);
    let (tree, _) = DeTable::parse_recoverable(&text);
    let root = Field::root(&file, tree.get_ref()).table();
    let read = root.and_then(|mut root| part(&file, &mut root));
    read.map_err(|_reported| {
        let (problems, _) = file.into_findings();
        ConfigError::Problems { path: path.into(), problems }
    })
}

/// Reports where the text is no TOML; of each line the first error, for others follow from it.
fn refuse_syntax(file: &File<'_>, errors: &[toml::de::Error]) {
    let mut lines = BTreeSet::new();
    for error in errors {
        // The parser's messages are fixed texts: they repeat nothing of the file.
        let at = error.span().map_or(0, |span| span.start);
        if lines.insert(file.line(at)) {
            let message = format!("is no TOML: {}", error.message());
            file.problem(
                at,
                None,
                message,
                "mend it first: the rest is looked at once all is TOML",
            );
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let len = file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if !u64::try_from(len).is_ok_and(|len| len <= FILE_LEN_MAX) {
        return Err(ConfigError::TooLong { path: path.into() });
    }
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = file::line_behind(valid.unwrap_or_default());
        ConfigError::NotUtf8 { path: path.into(), line }
    })
}
