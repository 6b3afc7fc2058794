//! What has no counterpart or has to be done by hand: told on standard error, and in the file above
//! the table that it is about. Names of options are told, values of accounts never.

use super::document::Table;
use super::ini::{Section, shown};

/// All that has to be told.
#[derive(Default)]
pub(super) struct Notes {
    /// By line of the file that is read.
    notes: Vec<(usize, String)>,
}

/// The notes of one section.
pub(super) struct Of<'n, 's> {
    notes: &'n mut Notes,
    section: &'s Section,
}

impl Notes {
    /// Those of `section`.
    pub(super) fn of<'n, 's>(&'n mut self, section: &'s Section) -> Of<'n, 's> {
        Of { notes: self, section }
    }

    /// Each as `LINE: [SECTION] what`, in the order of lines.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        self.notes.sort();
        self.notes.into_iter().map(|(line, said)| format!("{line}: {said}")).collect()
    }
}

impl Of<'_, '_> {
    /// Tells it here and above `table`.
    pub(super) fn add(&mut self, table: &mut Table, said: impl Into<String>) {
        let said = said.into();
        self.tell(self.section.line, &said);
        table.remark(said);
    }

    /// Tells it where no table is written.
    pub(super) fn tell(&mut self, line: usize, said: &str) {
        let section = shown(&self.section.name);
        self.notes.notes.push((line, format!("[{section}] {said}")));
    }

    /// Tells of every option that is none of `known`: nobody read it.
    pub(super) fn tell_unknown(&mut self, known: &[&str], table: &mut Table) {
        for (key, line) in self.section.keys().filter(|(key, _)| !known.contains(key)) {
            let said = format!(
                "`{}` is no option that is known, and was left out: see docs/moving.md.",
                shown(key)
            );
            self.tell(line, &said);
            table.remark(said);
        }
    }
}
