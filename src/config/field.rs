//! A value of the file together with its key, so that whatever is wrong with it can be told.

use std::io;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::file::{File, Reported};
use super::problem::reason;
use super::secrets::may_be_key;
use super::table::{Later, Table, nearest};

/// Longest name of a listener or provider, in bytes: it stands in each of its log lines.
const NAME_LEN_MAX: usize = 64;

/// A key, where it stands, and its value.
#[derive(Clone)]
pub(super) struct Field<'t> {
    file: &'t File<'t>,
    /// Dotted, from the root; empty at the root itself.
    key: String,
    at: usize,
    value: Value<'t>,
}

#[derive(Clone, Copy)]
enum Value<'t> {
    Root(&'t DeTable<'t>),
    Value(&'t DeValue<'t>),
}

impl<'t> Field<'t> {
    /// The whole file as one table.
    pub(super) fn root(file: &'t File<'t>, tree: &'t DeTable<'t>) -> Self {
        Self { file, key: String::new(), at: 0, value: Value::Root(tree) }
    }

    /// The file it stands in.
    pub(super) fn file(&self) -> &'t File<'t> {
        self.file
    }

    /// The dotted key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Reports a problem; `message` is the end of a sentence that begins with the key.
    pub(super) fn problem(&self, message: impl Into<String>, help: impl Into<String>) -> Reported {
        let message = message.into();
        if self.key.is_empty() {
            return self.file.problem(self.at, None, format!("the file {message}"), help);
        }
        self.file.problem(self.at, Some(&self.key), message, help)
    }

    /// Reports a warning in the same form.
    pub(super) fn warning(&self, message: impl Into<String>, help: impl Into<String>) {
        self.file.warning(self.at, &self.key, message, help);
    }

    /// Reports that this table has no `key`; `help` says what to write.
    pub(super) fn lacks(&self, key: &str, help: &str) -> Reported {
        self.problem(format!("lacks `{key}`"), help)
    }

    /// Reports that this key, or this word, comes with a later version.
    pub(super) fn not_in_this_version(&self, help: &str) -> Reported {
        self.problem("is not in this version of mailbearer", help)
    }

    /// The text of a string; it may be a secret.
    pub(super) fn text(&self) -> Result<&'t str, Reported> {
        self.value().and_then(DeValue::as_str).ok_or_else(|| self.wrong_type("a string"))
    }

    /// The value of `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, Reported> {
        self.value().and_then(DeValue::as_bool).ok_or_else(|| self.wrong_type("true or false"))
    }

    /// A whole number within `range`.
    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Result<u64, Reported> {
        let number = self
            .value()
            .and_then(DeValue::as_integer)
            .ok_or_else(|| self.wrong_type("a whole number"))?;
        u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let help =
                    format!("write a whole number from {} to {}", range.start(), range.end());
                self.problem(format!("is {number}, which is out of range"), help)
            })
    }

    /// A whole number within `range`, which begins at 1.
    pub(super) fn count(&self, range: RangeInclusive<u64>) -> Result<NonZeroU32, Reported> {
        let number = u32::try_from(self.number(range)?).ok().and_then(NonZeroU32::new);
        number.ok_or_else(|| self.wrong_type("a number that can be counted to"))
    }

    /// A duration within `range`, written as a string.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, Reported> {
        let help = || {
            let [start, end] = [range.start(), range.end()].map(|&end| in_words(end));
            format!(
                "write a duration from \"{start}\" to \"{end}\", as \"30s\", \"15m\" or \"24h\""
            )
        };
        let text = self
            .value()
            .and_then(DeValue::as_str)
            .ok_or_else(|| self.problem("is no string with a duration", help()))?;
        let duration = humantime::parse_duration(text)
            .map_err(|_| self.problem(format!("is {text:?}, which is no duration"), help()))?;
        if range.contains(&duration) {
            Ok(duration)
        } else {
            Err(self.problem(format!("is {text:?}, which is out of range"), help()))
        }
    }

    /// One of the words `known`; the `later` ones are refused as such.
    pub(super) fn choice<T: Copy>(
        &self,
        known: &[(&'static str, T)],
        later: &[Later],
    ) -> Result<T, Reported> {
        let word = self.text()?;
        if let Some((_, choice)) = known.iter().find(|(name, _)| *name == word) {
            return Ok(*choice);
        }
        if let Some(later) = later.iter().find(|later| later.name == word) {
            let message = format!("is {word:?}, which is not in this version of mailbearer");
            return Err(self.problem(message, later.help));
        }
        let names = || known.iter().map(|(name, _)| *name);
        let all = names().chain(later.iter().map(|later| later.name));
        let near = nearest(word, all)
            .map_or_else(String::new, |near| format!("; the nearest is {near:?}"));
        let help: Vec<String> = names().map(|name| format!("{name:?}")).collect();
        let message = format!("is {word:?}, which mailbearer does not know{near}");
        Err(self.problem(message, format!("write {}", help.join(" or "))))
    }

    /// Reads each item of a list, or the one string that stands in its place, and tells all that
    /// is wrong with them. At least one.
    pub(super) fn each<T>(
        &self,
        read: impl Fn(&Self) -> Result<T, Reported>,
    ) -> Result<Vec<(Self, T)>, Reported> {
        let items = match self.value() {
            Some(DeValue::Array(items)) => items.iter().map(|item| self.item(item)).collect(),
            _ if self.is_text() => vec![self.clone()],
            _ => return Err(self.wrong_type("a string or a list of strings")),
        };
        if items.is_empty() {
            return Err(self.problem("is an empty list", "write at least one, or leave it out"));
        }
        let read = items.into_iter().map(|item| read(&item).map(|value| (item, value)));
        // Collected twice, because collecting into a `Result` would stop at the first error.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    /// The path in a string, relative to the file's directory.
    pub(super) fn path(&self) -> Result<PathBuf, Reported> {
        let path = self.text()?;
        if path.is_empty() || path.contains(char::is_control) || may_be_key(path) {
            return Err(self.problem("is no path", "write the path of a file"));
        }
        Ok(self.file.path(path))
    }

    /// Reports that the file at `path`, which this names, cannot be read.
    pub(super) fn cannot_read(&self, path: &Path, error: &io::Error) -> Reported {
        let help = if error.kind() == io::ErrorKind::NotFound {
            "make that file, or correct the path: it is relative to this file"
        } else {
            "make it readable for the user mailbearer runs as, or name another file"
        };
        let reason = reason(error);
        self.problem(format!("names {}, which cannot be read ({reason})", path.display()), help)
    }

    /// Refuses a `name` of a listener or provider that would look bad in logs.
    pub(super) fn check_name(&self, name: &str) -> Result<(), Reported> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(fits) {
            Ok(())
        } else {
            let help = "write 1 to 64 letters, digits, `-`, `_` and `.`";
            Err(self.problem("has a name that is not allowed", help))
        }
    }

    /// Whether this is a string.
    pub(super) fn is_text(&self) -> bool {
        self.value().is_some_and(DeValue::is_str)
    }

    /// Whether this is a list with nothing in it.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(self.value(), Some(DeValue::Array(items)) if items.is_empty())
    }

    /// Whether this is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value().is_none_or(DeValue::is_table)
    }

    /// The table that this is.
    pub(super) fn table(&self) -> Result<Table<'t>, Reported> {
        let tree = match self.value {
            Value::Root(tree) => Some(tree),
            Value::Value(value) => value.as_table(),
        };
        let tree = tree.ok_or_else(|| self.wrong_type("a table"))?;
        let mut entries: Vec<_> = tree.iter().map(|(key, value)| self.entry(key, value)).collect();
        entries.sort_by_key(|(_, field)| field.at);
        Ok(Table::new(self.clone(), entries))
    }

    fn entry(
        &self,
        key: &'t Spanned<DeString<'t>>,
        value: &'t Spanned<DeValue<'t>>,
    ) -> (&'t str, Self) {
        let (at, name) = (key.span().start, key.get_ref().as_ref());
        let dot = if self.key.is_empty() { "" } else { "." };
        let key = format!("{}{dot}{}", self.key, quoted(name));
        (name, Self { file: self.file, key, at, value: Value::Value(value.get_ref()) })
    }

    fn item(&self, item: &'t Spanned<DeValue<'t>>) -> Self {
        Self { at: item.span().start, value: Value::Value(item.get_ref()), ..self.clone() }
    }

    /// The value; none at the root.
    pub(super) fn value(&self) -> Option<&'t DeValue<'t>> {
        match self.value {
            Value::Root(_) => None,
            Value::Value(value) => Some(value),
        }
    }

    /// Reports that the value has the wrong type. The value itself is not told: it may be secret.
    pub(super) fn wrong_type(&self, wanted: &str) -> Reported {
        let found = self.value().map_or("table", DeValue::type_str);
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.problem(format!("is {article} {found}, not {wanted}"), format!("write {wanted}"))
    }
}

/// A part of a dotted key, quoted where TOML wants it.
fn quoted(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// A duration as the file would write it, in the largest unit that fits.
fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        hours if hours > 0 && hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes > 0 && minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}
