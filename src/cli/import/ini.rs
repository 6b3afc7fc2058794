//! A file as Python's `configparser` reads it when it is made with its defaults and without
//! interpolation.
//!
//! Source: the documentation of `configparser`, "Supported INI File Structure" and "Customizing
//! Parser Behaviour": `=` and `:`, comments on lines of their own with `#` and `;`, values that go on
//! in lines of deeper indentation and over empty lines, keys that ignore case, `[DEFAULT]`, and no
//! section or key twice.
//! In:  text. Out: its sections in order, or every line that could not be read.
//! Secret: values may be, so nothing here is printed but the names of sections and keys.

/// The section whose options every other section has, too.
const DEFAULT: &str = "DEFAULT";

/// With what a line begins that says nothing.
const COMMENTS: [char; 2] = ['#', ';'];

/// The file.
pub(super) struct Ini {
    sections: Vec<Section>,
}

/// A section.
pub(super) struct Section {
    /// What stands between the brackets.
    pub(super) name: String,
    /// Where, from 1.
    pub(super) line: usize,
    options: Vec<Entry>,
}

/// A key and its value.
struct Entry {
    key: String,
    value: String,
    line: usize,
}

/// A line that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IniProblem {
    /// Which, from 1.
    pub(super) line: usize,
    /// Why, and what to do.
    pub(super) message: String,
}

impl Ini {
    /// Reads `text`.
    ///
    /// # Errors
    /// Every line that Python would refuse as well.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<IniProblem>> {
        let mut reader = Reader::default();
        // Windows' editors begin UTF-8 with a mark.
        let text = text.trim_start_matches('\u{feff}');
        for (nth, line) in text.lines().enumerate() {
            reader.take(nth + 1, line);
        }
        reader.finish()
    }

    /// The sections, in the file's order.
    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// The section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Section {
    /// The value of `key`, unless it is empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.options.iter().find(|entry| entry.key == key)?;
        Some(entry.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The keys, each with its line.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, usize)> {
        self.options.iter().map(|entry| (entry.key.as_str(), entry.line))
    }

    /// Whether `key` says yes, in the words that Python takes; none where it is not there.
    ///
    /// # Errors
    /// When it is there and no such word.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, NoFlag> {
        let Some(word) = self.get(key) else { return Ok(None) };
        match word.to_ascii_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Ok(Some(true)),
            "0" | "no" | "false" | "off" => Ok(Some(false)),
            _ => Err(NoFlag),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.options.iter().any(|entry| entry.key == key)
    }
}

/// A value that is neither yes nor no.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoFlag;

#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    problems: Vec<IniProblem>,
    /// How far the last key or section was indented, in characters.
    indent: usize,
    /// Whether a value may go on.
    is_in_value: bool,
}

impl Reader {
    fn take(&mut self, line: usize, text: &str) {
        let said = text.trim();
        if said.starts_with(COMMENTS) {
            return;
        }
        if said.is_empty() {
            // An empty line is a part of the value if more of it follows; what ends it is cut off.
            self.go_on("");
            return;
        }
        let indent = text.chars().take_while(|char| char.is_whitespace()).count();
        if self.is_in_value && indent > self.indent {
            self.go_on(said);
            return;
        }
        self.indent = indent;
        if let Some(name) = section_name(said) {
            self.open(line, name);
        } else {
            self.option(line, said);
        }
    }

    fn go_on(&mut self, said: &str) {
        let entry = self.sections.last_mut().and_then(|section| section.options.last_mut());
        if let Some(entry) = entry.filter(|_| self.is_in_value) {
            entry.value.push('\n');
            entry.value.push_str(said);
        }
    }

    fn open(&mut self, line: usize, name: &str) {
        self.is_in_value = false;
        if name != DEFAULT && self.sections.iter().any(|section| section.name == name) {
            self.refuse(line, format!("[{}] stands twice: keep one of the two", shown(name)));
        }
        self.sections.push(Section { name: name.to_owned(), line, options: Vec::new() });
    }

    fn option(&mut self, line: usize, said: &str) {
        self.is_in_value = false;
        let Some(section) = self.sections.last_mut() else {
            self.refuse(line, "stands before the first [section]: move it into one".to_owned());
            return;
        };
        // The line itself is not told: it may be a part of a secret.
        let Some((key, value)) = said.split_once(['=', ':']).filter(|(key, _)| !key.is_empty())
        else {
            let message = "is neither a [section] nor `key = value`, nor does it go on a value by \
                           deeper indentation: mend it";
            self.refuse(line, message.to_owned());
            return;
        };
        let key = key.trim_end().to_lowercase();
        if section.has(&key) {
            let message = format!("`{}` stands twice in its section: keep one", shown(&key));
            self.refuse(line, message);
            return;
        }
        section.options.push(Entry { key, value: value.trim().to_owned(), line });
        self.is_in_value = true;
    }

    fn refuse(&mut self, line: usize, message: String) {
        self.problems.push(IniProblem { line, message });
    }

    fn finish(self) -> Result<Ini, Vec<IniProblem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let (defaults, mut sections): (Vec<_>, Vec<_>) =
            self.sections.into_iter().partition(|section| section.name == DEFAULT);
        for entry in sections.iter_mut().flat_map(|section| &mut section.options) {
            entry.value.truncate(entry.value.trim_end().len());
        }
        for entry in defaults.into_iter().flat_map(|section| section.options) {
            for section in &mut sections {
                if !section.has(&entry.key) {
                    let (key, value) = (entry.key.clone(), entry.value.trim_end().to_owned());
                    section.options.push(Entry { key, value, line: entry.line });
                }
            }
        }
        Ok(Ini { sections })
    }
}

/// What stands between the brackets: up to the last one of the line.
fn section_name(said: &str) -> Option<&str> {
    let (name, _) = said.strip_prefix('[')?.rsplit_once(']')?;
    Some(name).filter(|name| !name.is_empty())
}

/// Longest name that is repeated, in characters: more is no name of anything.
const SHOWN_LEN_MAX: usize = 100;

/// A name of the file as it is told.
pub(super) fn shown(name: &str) -> String {
    let plain = |char: char| if char.is_control() { '?' } else { char };
    name.chars().take(SHOWN_LEN_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Ini {
        Ini::parse(text).map_err(|problems| format!("{problems:?}")).unwrap()
    }

    fn refused(text: &str) -> Vec<usize> {
        Ini::parse(text).err().unwrap().iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn keys_end_at_the_first_delimiter_and_ignore_case() {
        let ini = parse("[a]\nToken_URL : https://id.example/a=b\nscope=x:y\n");
        let section = ini.section("a").unwrap();
        assert_eq!(section.get("token_url"), Some("https://id.example/a=b"));
        assert_eq!(section.get("scope"), Some("x:y"));
        assert_eq!(section.get("Scope"), None);
    }

    #[test]
    fn values_go_on_in_deeper_lines_and_over_empty_ones_and_comments() {
        let ini = parse("[a]\nkey = one\n  two\n\n# no part of it\n\tthree = 3\n\n\nnext = 4\n");
        let section = ini.section("a").unwrap();
        assert_eq!(section.get("key"), Some("one\ntwo\n\nthree = 3"));
        assert_eq!(section.get("next"), Some("4"));
        let indented = parse("  [a]\n  key = one\n  next = two\n    more\n");
        assert_eq!(indented.section("a").unwrap().get("next"), Some("two\nmore"));
    }

    #[test]
    fn signs_of_comments_within_a_value_belong_to_it() {
        let ini = parse("[a]\nclient_secret = x#y ; z %(k)s $k\n");
        assert_eq!(ini.section("a").unwrap().get("client_secret"), Some("x#y ; z %(k)s $k"));
    }

    #[test]
    fn defaults_are_had_by_every_section_that_lacks_them() {
        let ini = parse("[DEFAULT]\nkey = d\nother = o\n[a]\nkey = own\n[b]\n");
        assert_eq!(ini.section("a").unwrap().get("key"), Some("own"));
        assert_eq!(ini.section("b").unwrap().get("key"), Some("d"));
        assert_eq!(ini.section("a").unwrap().get("other"), Some("o"));
        assert!(ini.section("DEFAULT").is_none());
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        assert_eq!(refused("key = 1\n"), [1]);
        assert_eq!(refused("[a]\nkey = 1\nKEY = 2\n"), [3]);
        assert_eq!(refused("[a]\n[b]\n[a]\n"), [3]);
        assert_eq!(refused("[a]\nnothing\n= 1\n"), [2, 3]);
        assert_eq!(refused("[a]\n[]\n"), [2]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_not_repeated() {
        let problems = Ini::parse("[a]\nhunter2\n").err().unwrap();
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn flags_are_the_words_of_python() {
        let ini = parse("[a]\nyes = On\nno = 0\nodd = maybe\nnone =\n");
        let section = ini.section("a").unwrap();
        assert_eq!(section.flag("yes"), Ok(Some(true)));
        assert_eq!(section.flag("no"), Ok(Some(false)));
        assert_eq!(section.flag("odd"), Err(NoFlag));
        assert_eq!(section.flag("none"), Ok(None));
    }

    #[test]
    fn the_mark_of_windows_editors_is_no_part_of_the_text() {
        assert!(parse("\u{feff}[a]\r\nkey = 1\r\n").section("a").is_some());
    }
}
