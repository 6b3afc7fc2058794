//! Holds the shape that `docs/ARCHITECTURE.md` shows: reads the source and names what breaks it.
//!
//! Held are: imports go down the floors and never to a sibling; protocol machines do no I/O and
//! protocols do not know each other; secrets are opened behind few doors; files stay readable.
//! What stands under `#[cfg(test)]` is tests and bound by the rules for files alone.

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::{fs, io};

use rules::{is_of_tests, problems_of_file, problems_of_module, test_modules_of};

/// Directories whose Rust files are held to the rules for files; missing ones are no problem.
const DIRECTORIES: [&str; 4] = ["src", "tests", "benches", "fuzz"];

/// Adds every Rust file below `directory` to `files`.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[test]
fn source_keeps_to_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in DIRECTORIES.map(|name| root.join(name)).iter().filter(|path| path.is_dir()) {
        find(directory, &mut files).unwrap();
    }
    files.sort();
    let sources: Vec<_> = files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();

    let tests: Vec<_> =
        sources.iter().flat_map(|(name, text)| test_modules_of(name, text)).collect();
    let is_module = |name: &str| {
        name.starts_with("src/") && !tests.iter().any(|module| is_of_tests(name, module))
    };

    let mut modules = 0;
    let mut problems = Vec::new();
    for (name, text) in &sources {
        problems.extend(problems_of_file(name, text));
        if is_module(name) {
            modules += 1;
            problems.extend(problems_of_module(name, text));
        }
    }
    assert!(modules > 10, "only {modules} modules were found below {}", root.display());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
