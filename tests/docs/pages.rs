//! The documents: Markdown, the commented examples, the Dockerfile, and what services are made of.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document.
pub(crate) struct Page {
    /// Its path from the root.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// All documents.
pub(crate) fn pages() -> Vec<Page> {
    let read = |name: &Path| {
        let text = fs::read_to_string(root().join(name)).unwrap();
        Page { name: name.to_string_lossy().into_owned(), text }
    };
    let files = |dir: &'static str| {
        fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path())
    };
    let files_of = |dir: &str| {
        let files = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let mut names: Vec<PathBuf> = ["", "docs", "docs/providers", "config", "certs", "fuzz"]
        .into_iter()
        .flat_map(files)
        .filter(|path| {
            path.extension().is_some_and(|it| it == "md") || path.ends_with("Dockerfile")
        })
        .chain(files("config"))
        .chain(
            ["", "/kubernetes", "/fail2ban/filter.d", "/fail2ban/jail.d"]
                .into_iter()
                .flat_map(|dir| files_of(&format!("deploy{dir}"))),
        )
        .map(|path| path.strip_prefix(root()).unwrap().to_owned())
        .collect();
    names.sort();
    names.iter().map(|name| read(name)).collect()
}

impl Page {
    /// The fenced blocks of `language`.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let fenced = self.text.split("\n```").skip(1).step_by(2);
        let own = fenced.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
        own.map(|block| format!("{block}\n")).collect()
    }

    /// What stands between backticks on one line, outside of blocks.
    pub(crate) fn spans(&self) -> Vec<String> {
        let prose = self.text.split("\n```").step_by(2);
        let lines = prose.flat_map(str::lines);
        lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    }

    /// What links within the page call its headings: lower case, without punctuation, with hyphens.
    pub(crate) fn sections(&self) -> Vec<String> {
        let prose = self.text.split("\n```").step_by(2);
        let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
        let plain = |heading: &str| -> String {
            let letters =
                heading.trim_start_matches('#').trim().chars().flat_map(char::to_lowercase);
            letters
                .filter(|it| it.is_alphanumeric() || " -_".contains(*it))
                .map(|it| if it == ' ' { '-' } else { it })
                .collect()
        };
        headings.map(plain).collect()
    }

    /// The files of the project that the comments of an example or of a unit name.
    pub(crate) fn commented_paths(&self) -> Vec<String> {
        if self.name.ends_with(".md") {
            return Vec::new();
        }
        let comments = self.text.lines().filter(|line| line.trim_start().starts_with('#'));
        let words = comments.flat_map(str::split_whitespace);
        let words = words.map(|word| word.trim_matches(|it: char| "().,:;`\"".contains(it)));
        let is_ours = |word: &&str| {
            ["docs/", "config/", "deploy/"].iter().any(|dir| word.starts_with(dir))
                && word.contains('.')
        };
        words.filter(is_ours).map(str::to_owned).collect()
    }

    /// Where links lead.
    pub(crate) fn links(&self) -> Vec<String> {
        let behind = self.text.split("](").skip(1);
        behind.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }
}

/// Whether a span is a path in the project.
pub(crate) fn is_path(span: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./*-".contains(&byte);
    span.contains('/') && !span.starts_with('/') && span.bytes().all(plain)
}

/// Whether there is such a file or directory; `*` stands for anything in one name.
pub(crate) fn exists(path: &str) -> bool {
    let mut found = vec![root().to_owned()];
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        found = match part.split_once('*') {
            None => found.iter().map(|dir| dir.join(part)).filter(|it| it.exists()).collect(),
            Some((start, end)) => found
                .iter()
                .filter_map(|dir| fs::read_dir(dir).ok())
                .flatten()
                .map(|entry| entry.unwrap().path())
                .filter(|path| {
                    let name = path.file_name().unwrap().to_string_lossy();
                    name.starts_with(start) && name.ends_with(end)
                })
                .collect(),
        };
    }
    !found.is_empty()
}
