//! Rust source as far as the rules need it: the words of the code, and the paths that it names.
//!
//! In:  the text of a file that compiles. Comments, literals and `mod … { … }` under `#[cfg(test)]`
//!      are left out.
//! Out: words are identifiers, `::`, and single other characters. Paths are lists of identifiers,
//!      `use` trees taken apart, glob imports ending in their module.

/// A path as the source spells it, such as `["crate", "proto", "smtp"]`.
pub(crate) type Path<'a> = Vec<&'a str>;

/// The text with each comment and literal replaced by a blank, and without its modules of tests.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_len(rest);
        code.push(if hidden > 0 { ' ' } else { first });
        rest = rest.get(hidden.max(first.len_utf8())..).unwrap_or_default();
    }
    without_tests(&code)
}

/// Leaves out every `#[cfg(test)] mod … { … }` of code without comments and literals.
fn without_tests(code: &str) -> String {
    let begins_tests = |text: &str| {
        let words = words_of(text);
        matches!(words.get(7..), Some(["mod", _, "{", ..] | ["pub", "mod", _, "{", ..]))
    };
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, behind) = rest.split_at(at);
        kept.push_str(before);
        rest = if begins_tests(behind) {
            behind.split_at(block_end(behind)).1
        } else {
            kept.push('#');
            behind.split_at(1).1
        };
    }
    kept.push_str(rest);
    kept
}

/// Where the first block in braces ends.
fn block_end(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, char) in code.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The words of code without comments and literals.
pub(crate) fn words_of(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if is_word_char(first) {
            rest.find(|char| !is_word_char(char)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at(len);
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

/// Every path in these words, wherever it stands.
pub(crate) fn paths_of<'a>(words: &[&'a str]) -> Vec<Path<'a>> {
    let mut paths = Vec::new();
    let mut before = "";
    let mut rest = words;
    while let [word, behind @ ..] = rest {
        if before != "::" && is_identifier(word) && behind.first() == Some(&"::") {
            read_tree(rest, &Path::new(), &mut paths);
        }
        before = word;
        rest = behind;
    }
    paths
}

/// Reads one path or tree of paths below `prefix`; gives back the words behind it.
fn read_tree<'w, 'a>(
    words: &'w [&'a str],
    prefix: &Path<'a>,
    paths: &mut Vec<Path<'a>>,
) -> &'w [&'a str] {
    match words {
        [word, "::", rest @ ..] if is_identifier(word) => {
            let mut longer = prefix.clone();
            longer.push(word);
            read_tree(rest, &longer, paths)
        }
        ["{", rest @ ..] => {
            let mut rest = rest;
            while !matches!(rest, [] | ["}", ..]) {
                rest = read_tree(rest, prefix, paths);
                // What may stand behind a path: `as name` and the comma.
                while !matches!(rest, [] | ["}" | ",", ..]) {
                    rest = rest.get(1..).unwrap_or_default();
                }
                rest = rest.strip_prefix(&[","]).unwrap_or(rest);
            }
            rest.get(1..).unwrap_or_default()
        }
        [word, rest @ ..] if is_identifier(word) => {
            let mut whole = prefix.clone();
            whole.push(word);
            paths.push(whole);
            rest
        }
        _ => {
            paths.push(prefix.clone());
            words.get(1..).unwrap_or_default()
        }
    }
}

fn is_word_char(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

fn is_identifier(word: &str) -> bool {
    word.starts_with(|first: char| is_word_char(first) && !first.is_numeric())
}

/// How many bytes of comment or literal `text` begins with.
fn hidden_len(text: &str) -> usize {
    let up_to = |end: &str, from: usize| {
        let found = text.get(from..).and_then(|behind| behind.find(end));
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        up_to("*/", 2)
    } else if text.starts_with('"') {
        string_len(text)
    } else if let Some(raw) = text.strip_prefix('r') {
        let hashes: String = raw.chars().take_while(|&char| char == '#').collect();
        let begin = 1 + hashes.len();
        let is_raw = text.get(begin..).is_some_and(|behind| behind.starts_with('"'));
        if is_raw { up_to(&format!("\"{hashes}"), begin + 1) } else { 0 }
    } else if text.starts_with("'\\") {
        up_to("'", 3)
    } else {
        // A quote is a lifetime unless a second one closes it behind one character.
        let mut chars = text.chars();
        match (chars.next(), chars.next(), chars.next()) {
            (Some('\''), Some(char), Some('\'')) => 2 + char.len_utf8(),
            _ => 0,
        }
    }
}

/// The length of the string literal that `text` begins with.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let code = code_of(text);
        let paths = paths_of(&words_of(&code));
        paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        for hidden in [
            "// a::b",
            "/// a::b\n",
            "/* a::b */",
            "\"a::b\"",
            "\"\\\" a::b\"",
            "r\"a::b\\\"",
            "br#\"a::\"b\"#",
            "'\\'' '\"' '\\u{3a}' // a::b",
        ] {
            assert_eq!(paths(&format!("{hidden}\n c::d ")), ["c::d"], "{hidden}");
        }
        assert_eq!(paths("fn f<'a>(x: &'a a::b) -> &'a str { 'c' }"), ["a::b"]);
    }

    #[test]
    fn use_trees_are_taken_apart() {
        assert_eq!(
            paths("use crate::{a, b::{self, C as D}, e::*}; use f::G as _;"),
            [
                "crate::a",
                "crate::b::self",
                "crate::b::C",
                "crate::e",
                "b::self",
                "b::C",
                "e",
                "f::G"
            ]
        );
        assert_eq!(paths("x.map(crate::a::b::<u8>).c()"), ["crate::a::b"]);
    }

    #[test]
    fn modules_of_tests_alone_are_no_code() {
        assert_eq!(paths("a::b #[cfg(test)] mod tests { c::d }"), ["a::b"]);
        let two =
            "a::b #[cfg(test)] mod t { fn x() { c::d } } e::f #[cfg(test)] pub mod u { g::h }";
        assert_eq!(paths(&format!("{two} i::j")), ["a::b", "e::f", "i::j"]);
        assert_eq!(paths("a::b #[cfg(test)] mod tests; c::d"), ["a::b", "c::d"]);
        assert_eq!(paths("a::b #[cfg(test)] use e::f; c::d"), ["a::b", "e::f", "c::d"]);
    }
}
