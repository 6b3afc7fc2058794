//! What the documents say is true: every command and every file in them is run, every link and path
//! leads somewhere, and the replies that the README names are those that clients hear.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "docs/clients.rs"]
mod clients;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/configuration.rs"]
mod configuration;
#[path = "docs/containers.rs"]
mod containers;
#[path = "docs/keys.rs"]
mod keys;
#[path = "docs/limits.rs"]
mod limits;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/person.rs"]
mod person;
#[path = "docs/presets.rs"]
mod presets;
#[path = "docs/printers.rs"]
mod printers;
#[path = "docs/proxy.rs"]
mod proxy;
#[path = "docs/replies.rs"]
mod replies;
#[path = "docs/scene.rs"]
mod scene;
#[path = "docs/services.rs"]
mod services;
#[path = "docs/starting.rs"]
mod starting;
#[path = "docs/stories.rs"]
mod stories;

use std::fs;
use std::path::Path;

use pages::{Page, exists, pages, root};
use scene::Scene;

/// The blocks of `language` of the README, in order.
fn readme_blocks(language: &str) -> Vec<String> {
    let page = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    page.blocks(language)
}

#[test]
fn every_block_of_toml_passes_check() {
    for page in pages() {
        for block in page.blocks("toml") {
            let told = Scene::new(&block).run(&["check"], b"");
            let name = &page.name;
            assert!(told.contains(": no problems") && !told.contains("warning"), "{name}: {told}");
        }
    }
}

#[test]
fn every_example_passes_check_as_it_stands_and_with_its_optional_keys() {
    let mut examples = 0;
    for page in pages().iter().filter(|page| page.name.starts_with("config/")) {
        let name = page.name.trim_start_matches("config/");
        assert!(page.text.contains(&format!("# Try it: mailbearer -c {name} check\n")), "{name}");
        let uncommented: Vec<&str> = page.text.lines().map(uncomment).collect();
        // An example of what is on its way out says that it is warned of.
        let is_warned_of = page.text.contains("`check` warns of this file");
        for text in [page.text.clone(), uncommented.join("\n")] {
            let scene = Scene::new(&text);
            fs::write(scene.dir.path().join(name), text).unwrap();
            let told = scene.run(&["-c", name, "check"], b"");
            assert!(told.contains(": no problems"), "{told}");
            assert_eq!(told.contains("warning"), is_warned_of, "{told}");
        }
        examples += 1;
    }
    assert!(examples > 0);
}

/// A key that an example shows as a comment, or any other line as it is.
fn uncomment(line: &str) -> &str {
    let shown = line.strip_prefix("# ").filter(|shown| {
        let key = shown.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    shown.unwrap_or(line)
}

#[test]
fn every_command_that_is_named_exists_with_its_options() {
    let scene = Scene::new("");
    let mut commands = 0;
    for page in pages() {
        for span in page.spans() {
            let words: Vec<&str> = span.split(' ').collect();
            match words.as_slice() {
                // Help is told only for words that are understood.
                ["mailbearer", args @ ..] if !args.is_empty() => {
                    scene.run(&[args, &["--help"]].concat(), b"");
                    commands += 1;
                }
                ["cargo", "run", "--release", "--", args @ ..] => {
                    scene.run(&[args, &["--help"]].concat(), b"");
                }
                ["./tests/run", suites @ ..] => {
                    let run = fs::read_to_string(root().join("tests/run")).unwrap();
                    for suite in suites {
                        assert!(run.contains(&format!("\nsuite_{suite}() {{")), "{span}");
                    }
                }
                _ => {}
            }
        }
    }
    assert!(commands > 0);
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let dir = Path::new(&page.name).parent().unwrap();
        for link in page.links().iter().filter(|link| !link.starts_with("https://")) {
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let text = match file {
                "" => page.text.clone(),
                file => {
                    assert!(exists(&dir.join(file).to_string_lossy()), "{}: {link}", page.name);
                    fs::read_to_string(root().join(dir).join(file)).unwrap_or_default()
                }
            };
            let linked = Page { name: file.to_owned(), text };
            let has_section =
                section.is_empty() || linked.sections().iter().any(|it| it == section);
            assert!(has_section, "{}: {link}", page.name);
            links += 1;
        }
        for path in page.spans().iter().filter(|span| pages::is_path(span)) {
            // Relative to the project, to its source, or to the page; target/ is what a build makes.
            let beside = dir.join(path);
            let places = [path.as_str(), &format!("src/{path}"), &beside.to_string_lossy()];
            let found = path.starts_with("target/") || places.into_iter().any(exists);
            assert!(found, "{} names {path}", page.name);
        }
        for path in page.commented_paths() {
            assert!(exists(&path), "{} names {path}", page.name);
            links += 1;
        }
    }
    assert!(links > 0);
}

#[test]
fn demo_shows_what_the_readme_shows() {
    let shown = Scene::new("").run(&["demo", "--once"], b"");
    let excerpt = readme_blocks("text").into_iter().find(|block| block.contains("THE OLD CLIENT"));
    for line in excerpt.unwrap().lines() {
        // The length of a token differs from run to run.
        let (line, _) = line.split_once("<token, ").unwrap_or((line, ""));
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() < 80), "{shown}");
    assert!(shown.contains("The message came back byte for byte"), "{shown}");
}
