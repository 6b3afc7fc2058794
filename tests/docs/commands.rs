//! The command lines of the guides and of the examples.

use std::fs;
use std::process::{Command, Stdio};

use super::pages::{Page, pages};
use super::scene::Scene;

/// Programs that are not ours and that tests do not have: what stands behind their names is not run.
const OTHERS: [&str; 7] = ["az", "cargo", "docker", "fuzz/run", "kubectl", "ssh", "swaks"];

/// The command lines of a page: of its `sh` blocks, or of an example's comments.
fn lines(page: &Page) -> Vec<String> {
    if page.name.starts_with("config/") {
        let commands = page.text.lines().filter_map(|line| line.strip_prefix("#     "));
        return commands.map(str::to_owned).collect();
    }
    page.blocks("sh").concat().lines().map(str::to_owned).collect()
}

/// The pages but the README, whose lines have a test of their own that runs them in order.
fn guides() -> impl Iterator<Item = Page> {
    pages().into_iter().filter(|page| page.name != "README.md")
}

#[test]
fn every_command_line_is_understood() {
    let scene = Scene::new("");
    let mut understood = 0;
    for page in guides() {
        for line in lines(&page) {
            // What stands behind belongs to the shell.
            let command = line.split(['<', '>', '|']).next().unwrap().trim_end();
            let words: Vec<&str> = command.split(' ').collect();
            let args = match words.as_slice() {
                ["mailbearer", args @ ..] => args,
                // In a container: what is run there, too, is ours.
                ["docker" | "kubectl", "exec", ..] => {
                    let ours = words.iter().rposition(|word| *word == "mailbearer").unwrap();
                    &words[ours + 1..]
                }
                ["openssl" | "export", ..] => continue,
                [other, ..] if OTHERS.contains(other) => continue,
                _ => panic!("{}: no test understands {line:?}", page.name),
            };
            // Help is told only for words that are understood.
            scene.run(&[args, &["--help"]].concat(), b"");
            understood += 1;
        }
    }
    assert!(understood > 10, "{understood}");
}

#[test]
fn every_openssl_line_does_what_the_guides_say() {
    let microsoft = pages().into_iter().find(|page| page.name.ends_with("/microsoft.md")).unwrap();
    let file = microsoft.blocks("toml").into_iter().find(|file| file.contains("certificate"));
    let scene = Scene::new(&file.unwrap());
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        command.args(line.split(' ').skip(1)).current_dir(scene.dir.path());
        let ended = command.stdin(Stdio::null()).output().unwrap();
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
    };
    let check = || {
        let told = scene.run(&["check"], b"");
        assert!(told.contains(": no problems") && !told.contains("warning"), "{told}");
    };
    for key in ["app.key", "app.pem"] {
        fs::remove_file(scene.dir.path().join(key)).unwrap();
    }
    let mut ran = [0; 6];
    for line in guides().flat_map(|page| lines(&page)).filter(|line| line.starts_with("openssl ")) {
        match line.split(' ').nth(1).unwrap() {
            // The same line stands in an example. What it makes is taken.
            "req" => {
                openssl(&line);
                check();
                ran[0] += 1;
            }
            // Converts what its owner protects with a password, which openssl asks for.
            "pkcs12" => {
                openssl(
                    "openssl pkcs12 -export -in app.pem -inkey app.key -out app.pfx \
                     -passout pass:secret",
                );
                openssl(&format!("{line} -passin pass:secret"));
                ran[1] += 1;
            }
            "pkey" => {
                openssl("openssl pkey -in app.key -aes256 -passout pass:secret -out encrypted.key");
                openssl(&format!("{line} -passin pass:secret"));
                check();
                ran[2] += 1;
            }
            "rand" => {
                openssl(&line);
                ran[3] += 1;
            }
            // What `mailbearer certificates` makes is shown by the tests of clients.md.
            "x509" => {
                let made = scene.dir.path().join("certs");
                fs::create_dir_all(&made).unwrap();
                fs::copy(scene.dir.path().join("app.pem"), made.join("ca.pem")).unwrap();
                openssl(&line);
                ran[4] += 1;
            }
            "s_client" => ran[5] += 1,
            _ => panic!("no test runs {line:?}"),
        }
    }
    assert!(ran.iter().all(|count| *count > 0), "{ran:?}");
}
