//! The file that is written: tables of TOML with what has to be said of each above it.
//!
//! A table that `check` refuses is set aside: it stays, as comments, with what `check` said.

use std::fmt::Write as _;

use toml::Value;
use zeroize::Zeroizing;

/// How wide comments are, in characters.
const WIDTH: usize = 98;

/// A table of the file.
pub(super) struct Table {
    /// `listeners.imap-1993`, its last part quoted where it has to be.
    pub(super) heading: String,
    /// What the reader has to know of it, each in a sentence or two.
    pub(super) remarks: Vec<String>,
    keys: Vec<(&'static str, Value)>,
    /// For a listener: the accounts that may sign in there, if not all.
    pub(super) accounts: Option<Vec<String>>,
    /// Why it stands as comments, if it does.
    pub(super) set_aside: Option<String>,
}

impl Table {
    /// An empty table `kind.name`.
    pub(super) fn new(kind: &str, name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let name = if !name.is_empty() && name.bytes().all(plain) {
            name.to_owned()
        } else {
            Value::String(name.to_owned()).to_string()
        };
        Self {
            heading: format!("{kind}.{name}"),
            remarks: Vec::new(),
            keys: Vec::new(),
            accounts: None,
            set_aside: None,
        }
    }

    /// Adds a key.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.push((key, value.into()));
    }

    /// Adds something to be known.
    pub(super) fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }

    /// Whether it has no key.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn write(&self, text: &mut Zeroizing<String>) {
        text.push('\n');
        for remark in &self.remarks {
            comment(text, remark);
        }
        if let Some(why) = &self.set_aside {
            comment(text, &format!("Set aside: {why}"));
        }
        let mut table = Zeroizing::new(format!("[{}]\n", self.heading));
        for (key, value) in &self.keys {
            let value = Zeroizing::new(value.to_string());
            table.push_str(&format!("{key} = {}\n", *value));
        }
        if let Some(accounts) = &self.accounts {
            let accounts: Value = accounts.clone().into();
            table.push_str(&format!("accounts = {accounts}\n"));
        }
        for line in table.lines() {
            let mark = if self.set_aside.is_some() { "#: " } else { "" };
            text.push_str(mark);
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// The whole file: `head` as comments, then the tables. Gives, too, in which line each begins.
pub(super) fn render(head: &[String], tables: &[Table]) -> (Zeroizing<String>, Vec<usize>) {
    let mut text = Zeroizing::new(String::new());
    for paragraph in head {
        comment(&mut text, paragraph);
    }
    let mut line = 1;
    let mut counted = 0;
    let begins = tables.iter().map(|table| {
        line += text.get(counted..).unwrap_or_default().matches('\n').count();
        counted = text.len();
        table.write(&mut text);
        line
    });
    let begins = begins.collect();
    (text, begins)
}

/// Writes `remark` as comments, cut at spaces. A line that begins with a space stays as it is.
fn comment(text: &mut String, remark: &str) {
    for paragraph in remark.split('\n') {
        let paragraph: String =
            paragraph.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
        let mut line = String::new();
        // What begins with a space is a command line, which stays whole.
        let is_whole = paragraph.starts_with(' ');
        for (nth, word) in paragraph.split(' ').enumerate() {
            let is_full = line.chars().count() + 1 + word.chars().count() > WIDTH;
            if nth > 0 && is_full && !is_whole {
                let _ = writeln!(text, "# {line}"); // a String takes everything
                line.clear();
            } else if nth > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_set_aside_stays_as_comments_line_by_line() {
        let mut table = Table::new("accounts", "a \"b\"@c");
        table.set("private_key", "-----BEGIN\nline\n");
        table.remark("a\u{1}remark\nof two lines");
        table.set_aside = Some("why".to_owned());
        let (text, begins) = render(&["head".to_owned()], &[table]);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{}", *text);
        assert!(text.contains("# a?remark\n# of two lines\n# Set aside: why\n"), "{}", *text);
        assert_eq!(begins, [2]);
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let odd = "a\"b\\c'''\u{7f}\td";
        let mut table = Table::new("accounts", odd);
        table.set("client_secret", odd);
        table.set("flag", true);
        let (text, _) = render(&[], &[table]);
        let read: toml::Table = text.parse().unwrap();
        let read = read["accounts"][odd].as_table().unwrap().clone();
        assert_eq!(read["client_secret"].as_str(), Some(odd));
        assert_eq!(read["flag"].as_bool(), Some(true));
    }

    #[test]
    fn long_remarks_are_cut_at_spaces() {
        let mut text = String::new();
        comment(&mut text, &"word ".repeat(60));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.len() <= WIDTH + 2));
        let mut text = String::new();
        comment(&mut text, "    mailbearer serve");
        assert_eq!(text, "#     mailbearer serve\n");
    }
}
