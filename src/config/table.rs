//! A table of the file: gives its keys out one by one, and in the end tells which were not asked
//! for.

use super::field::Field;
use super::file::Reported;

/// A key that the documentation names and this version does not have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    /// The key, or the word.
    pub(super) name: &'static str,
    /// What to do without it.
    pub(super) help: &'static str,
}

/// A table while it is being read.
pub(super) struct Table<'t> {
    /// Names the table itself.
    field: Field<'t>,
    /// What was not taken so far, in the file's order.
    entries: Vec<(&'t str, Field<'t>)>,
    /// Every key that was asked for.
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// A table with these `entries`.
    pub(super) fn new(field: Field<'t>, entries: Vec<(&'t str, Field<'t>)>) -> Self {
        Self { field, entries, known: Vec::new() }
    }

    /// Takes the value of `key`, if the table has one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'t>> {
        self.known.push(key);
        self.take_unoffered(key)
    }

    /// Takes the value of `key`, if the table has one, and does not offer that key where another
    /// is unknown.
    pub(super) fn take_unoffered(&mut self, key: &str) -> Option<Field<'t>> {
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Takes and reads the value of `key`, if the table has one.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Field<'t>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.take(key).map(read).transpose()
    }

    /// Takes the value of `key`, which the table has to have; `help` says what to write.
    pub(super) fn require(&mut self, key: &'static str, help: &str) -> Result<Field<'t>, Reported> {
        self.take(key).ok_or_else(|| self.field.lacks(key, help))
    }

    /// Reports `key` if the table has it, as a key that belongs elsewhere.
    pub(super) fn forbid(&mut self, key: &str, message: &str, help: &str) -> Result<(), Reported> {
        match self.take_unoffered(key) {
            Some(field) => Err(field.problem(message, help)),
            None => Ok(()),
        }
    }

    /// Takes the keys of the table `key`, which have names of the user's choice. There has to be
    /// one at least; `help` says what to write. Where there is none, that was reported.
    pub(super) fn require_named(
        &mut self,
        key: &'static str,
        help: &str,
    ) -> Vec<(&'t str, Field<'t>)> {
        match self.read(key, |field| field.table()) {
            Ok(Some(mut table)) if !table.is_empty() => return table.take_named(),
            Ok(_) => _ = self.field.lacks(key, help),
            Err(_reported) => {}
        }
        Vec::new()
    }

    /// Takes every key that is left, for they have names of the user's choice.
    pub(super) fn take_named(&mut self) -> Vec<(&'t str, Field<'t>)> {
        std::mem::take(&mut self.entries)
    }

    /// Whether nothing is left to take.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reports every key that nobody asked for: the `later` ones as such, the rest as unknown.
    ///
    /// A table with keys that nobody knows has to be refused: the key that was mistyped may be
    /// the one that keeps strangers out.
    pub(super) fn finish(self, later: &[Later]) -> Result<(), Reported> {
        let mut finished = Ok(());
        for (name, field) in &self.entries {
            finished = Err(match later.iter().find(|later| later.name == *name) {
                Some(later) => field.not_in_this_version(later.help),
                None => self.refuse_unknown(name, field, later),
            });
        }
        finished
    }

    fn refuse_unknown(&self, name: &str, field: &Field<'_>, later: &[Later]) -> Reported {
        let all = self.known.iter().copied().chain(later.iter().map(|later| later.name));
        let near = nearest(name, all)
            .map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
        let known = if self.known.is_empty() {
            String::new()
        } else {
            format!("; known here: {}", self.known.join(", "))
        };
        field.problem(
            format!("is no key that mailbearer knows{near}"),
            format!("correct the name or leave the key out{known}"),
        )
    }
}

/// How like `word` a name has to be to be named (Jaro-Winkler; 1 is the same).
const LIKENESS_MIN: f64 = 0.75;

/// The one of `names` that is most like `word`, if any is like it at all.
pub(super) fn nearest<N: AsRef<str>>(word: &str, names: impl Iterator<Item = N>) -> Option<N> {
    let word = word.to_lowercase();
    names
        .map(|name| (strsim::jaro_winkler(&word, name.as_ref()), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
