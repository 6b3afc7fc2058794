//! The stories of the README: a reader who follows one line by line gets there.

use std::fs;

use super::pages::{Page, exists, pages, root};
use super::scene::{SECRET, Scene};

/// Lines of programs that tests do not have; tests/docs/containers.rs compares them with the files
/// that they name.
const OTHERS: [&str; 3] = ["docker build -t ", "docker push ", "kubectl "];

/// The parts of the README, each as a page of its own: heading and text.
fn parts() -> Vec<Page> {
    let readme = pages().into_iter().find(|page| page.name == "README.md").unwrap();
    let parts = readme.text.split("\n## ").flat_map(|part| part.split("\n### "));
    parts
        .map(|part| {
            let (heading, _) = part.split_once('\n').unwrap();
            Page { name: heading.to_owned(), text: part.to_owned() }
        })
        .collect()
}

/// A file without comments and empty lines, and without the ports, which are any that are free.
fn bare(file: &str) -> Vec<String> {
    let lines = file.lines().map(|line| line.split(" #").next().unwrap().trim_end());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(without_port).collect()
}

/// A line without what stands behind a colon, or behind "port ", as far as it is a number.
fn without_port(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(at) =
        [":", "port "].iter().filter_map(|it| Some(rest.find(it)? + it.len())).min()
    {
        let (before, behind) = rest.split_at(at);
        shown.push_str(before);
        rest = behind.trim_start_matches(|it: char| it.is_ascii_digit());
    }
    shown + rest
}

/// Has the listeners of `scene` take any free port of this machine.
fn free_the_ports(scene: &Scene) {
    let path = scene.dir.path().join("mailbearer.toml");
    let file = fs::read_to_string(&path).unwrap();
    let free = |line: &str| match line.split_once(" = ") {
        Some(("address", _)) => "address = \"127.0.0.1:0\"\n".to_owned(),
        _ => format!("{line}\n"),
    };
    fs::write(path, file.lines().map(free).collect::<String>()).unwrap();
}

#[test]
fn a_reader_who_follows_a_story_of_the_readme_line_by_line_gets_there() {
    let mut served = Vec::new();
    for part in parts() {
        let file = part.blocks("toml").concat();
        let lines = part.blocks("sh").concat();
        if lines.contains("mailbearer init\n") {
            // Asks at a terminal: tests/init and tests/interop answer it.
            assert_eq!(part.name, "Two commands");
            assert!(lines.contains("cargo install --locked --path .\n") && exists("Cargo.lock"));
            continue;
        }
        let mut scene = Scene::new(&file);
        scene.env.clear();
        if lines.contains("mailbearer init ") {
            fs::remove_file(scene.dir.path().join("mailbearer.toml")).unwrap();
        }
        for line in lines.lines() {
            if let Some((name, _)) = line.strip_prefix("export ").and_then(|it| it.split_once('='))
            {
                scene.env.push((name.to_owned(), SECRET.to_owned()));
                continue;
            }
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["mailbearer", "init", flags @ ..] => {
                    let told = scene.run(&[&["init"], flags].concat(), b"");
                    assert!(told.lines().any(|it| it.starts_with("  password    ")), "{told}");
                    let written = scene.dir.path().join("mailbearer.toml");
                    let written = fs::read_to_string(written).unwrap();
                    if !file.is_empty() {
                        assert_eq!(bare(&written), bare(&file), "what init writes");
                        is_told_by_the_readme(&told);
                    }
                }
                ["mailbearer", "check"] => {
                    let told = scene.run(&["check"], b"");
                    assert!(told.contains(": no problems") && !told.contains("warning"), "{told}");
                }
                ["mailbearer", "password", name] => {
                    assert_eq!(scene.run(&["password", name], b"").trim_end().len(), 20);
                }
                ["mailbearer", "serve"] => {
                    free_the_ports(&scene);
                    let shown = scene.serve().end();
                    assert!(shown.contains("listening on 127.0.0.1:"), "{shown}");
                    served.push(part.name.clone());
                }
                // With the stand-in provider: see person.rs.
                ["mailbearer", "authorize", "alice@contoso.com"] => {}
                // What it shows is compared in docs.rs.
                ["mailbearer", "demo"] => drop(scene.run(&["demo", "--once"], b"")),
                _ => assert!(OTHERS.iter().any(|it| line.starts_with(it)), "no test runs {line:?}"),
            }
        }
    }
    assert_eq!(
        served,
        [
            "An application on this machine",
            "Printers, scanners, an office",
            "A whole domain",
            "A person's mailbox"
        ]
    );
}

/// Fails unless the README shows what `init` told, but for ports and password.
fn is_told_by_the_readme(told: &str) {
    let two_commands = parts().into_iter().find(|part| part.name == "Two commands").unwrap();
    let shown = two_commands.blocks("text").concat();
    for line in shown.lines() {
        let line = without_port(line.trim_end_matches('…'));
        assert!(told.lines().any(|it| without_port(it).starts_with(&line)), "{line:?}\n{told}");
    }
    assert_eq!(shown.lines().count(), 5);
}

#[test]
fn an_office_that_takes_the_example_gets_there() {
    let office = pages().into_iter().find(|page| page.name == "config/office.toml").unwrap();
    let addresses = "[\"192.168.20.2:25\", \"192.168.20.2:587\"]";
    assert!(office.text.contains(addresses));
    // Nobody here has the machine's address in that network.
    let scene = Scene::new(&office.text.replace(addresses, "\"127.0.0.1:0\""));
    assert!(scene.run(&["check"], b"").contains("no problems"));
    assert_eq!(scene.run(&["password", "fax"], b"").trim_end().len(), 20);
    assert!(scene.serve().end().contains("(devices)"));
}

#[test]
fn longest_run_of_all_suites_is_the_one_that_is_told() {
    let script = fs::read_to_string(root().join("tests/run")).unwrap();
    let (_, budgets) = script.split_once("budgets=(").unwrap();
    let budgets = budgets.split_once(')').unwrap().0.split(' ');
    let minutes: u32 =
        budgets.map(|budget| budget.split_once('=').unwrap().1.parse::<u32>().unwrap()).sum();
    let page = pages().into_iter().find(|page| page.name == "CONTRIBUTING.md").unwrap();
    assert!(page.text.contains(&format!("together {minutes} minutes")), "{minutes}");
}
