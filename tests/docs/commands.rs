//! The command lines of the guides and of the examples.

use std::fs;
use std::process::{Command, Stdio};

use super::pages::{Page, exists, pages};
use super::scene::{SECRET, Scene};

/// Programs that are not ours and that tests do not have, or that change the machine: what stands behind
/// their names is not run. containers.rs compares those of docker and kubectl with what they name.
const OTHERS: [&str; 11] = [
    "az",
    "cargo",
    "docker",
    "fail2ban-regex",
    "fuzz/run",
    "install",
    "kubectl",
    "ssh",
    "swaks",
    "systemctl",
    "useradd",
];

/// The command lines of a page: of its `sh` blocks, or of the comments of an example or a file that
/// services are made of.
fn lines(page: &Page) -> Vec<String> {
    let commented = |indent: &'static str| {
        let commands = page.text.lines().filter_map(move |line| line.strip_prefix(indent));
        commands.map(|line| line.trim_start().to_owned())
    };
    if page.name.starts_with("config/") {
        return commented("#     ").collect();
    }
    if page.name.starts_with("deploy/") {
        return commented("#   ").filter(|line| !is_of_a_file(line)).collect();
    }
    page.blocks("sh").concat().lines().map(str::to_owned).collect()
}

/// Whether a line is one of TOML, which stands in comments as well.
fn is_of_a_file(line: &str) -> bool {
    line.starts_with('[') || line.split(' ').nth(1) == Some("=")
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
            for path in line.split(' ').filter(|word| word.starts_with("deploy/")) {
                // A deployment of kubectl is written alike.
                let is_file = !line.starts_with("kubectl exec ");
                assert!(!is_file || exists(path), "{}: {line}", page.name);
            }
            // What stands behind belongs to the shell.
            let command = line.split(['<', '>', '|']).next().unwrap().trim_end();
            let words: Vec<&str> = command.split(' ').collect();
            let args = match words.as_slice() {
                ["mailbearer", args @ ..] => args,
                // In a container: what is run there, too, is ours.
                ["docker" | "kubectl", "exec", ..] | ["docker", "compose", "-f", _, "exec", ..] => {
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

/// The files that a page is about: its blocks, or the example itself.
fn files(page: &Page) -> Vec<String> {
    if page.name.starts_with("config/") { vec![page.text.clone()] } else { page.blocks("toml") }
}

/// The file of `page` with the account or device `name`, as it may be on any machine.
fn scene_with(page: &Page, name: &str) -> Option<Scene> {
    let tables = [format!("[accounts.\"{name}\"]"), format!("[devices.{name}]")];
    let file = files(page).into_iter().find(|file| tables.iter().any(|it| file.contains(it)))?;
    Some(Scene::new(&file))
}

#[test]
fn every_line_that_asks_nobody_does_what_it_says() {
    let mut ran = [0; 5];
    for page in guides() {
        for line in lines(&page) {
            let command = line.split(['<', '>', '|']).next().unwrap().trim_end();
            let words: Vec<&str> = command.split(' ').collect();
            // An example is called by its name, and stands where it is called so in tests.
            let (["mailbearer", "-c", _, args @ ..] | ["mailbearer", args @ ..]) = words.as_slice()
            else {
                continue;
            };
            let in_empty = || Scene::new("");
            match args {
                ["password", name, more @ ..] => {
                    // Where a page has no file, its reader has one of another page.
                    let Some(scene) = scene_with(&page, name) else { continue };
                    if more.contains(&"--revoke") {
                        scene.run(&["password", name], b"");
                        scene.run(args, b"");
                        ran[1] += 1;
                    } else {
                        assert_eq!(scene.run(args, b"").trim_end().len(), 20, "{line}");
                        ran[0] += 1;
                    }
                }
                // Without a provider that is named, name servers would be asked.
                ["init", "--yes", flags @ ..] if flags.contains(&"--provider") => {
                    let scene = in_empty();
                    let file = scene.dir.path().join("mailbearer.toml");
                    fs::remove_file(&file).unwrap();
                    fs::write(scene.dir.path().join("client-secret"), SECRET).unwrap();
                    assert!(scene.run(args, b"").contains("password"), "{line}");
                    assert!(scene.run(&["check"], b"").contains(": no problems"), "{line}");
                }
                ["certificates", ..] => {
                    let scene = in_empty();
                    scene.run(args, b"");
                    assert!(scene.dir.path().join("certs/ca.pem").exists(), "{line}");
                    ran[2] += 1;
                }
                ["support-bundle", ..] => {
                    let scene =
                        scene_with(&guide("docs/monitoring.md"), "alice@contoso.com").unwrap();
                    scene.run(args, b"");
                    let bundle = fs::read_to_string(scene.dir.path().join("bundle.txt")).unwrap();
                    assert!(!bundle.contains("alice@contoso.com"), "{bundle}");
                    ran[3] += 1;
                }
                // Their places are for root: another directory does.
                ["completions", shell] => {
                    assert!(in_empty().run(&["completions", shell], b"").contains("mailbearer"));
                    ran[4] += 1;
                }
                ["man", "--out", _] => {
                    let scene = in_empty();
                    scene.run(&["man", "--out", "man1"], b"");
                    assert!(scene.dir.path().join("man1/mailbearer.1").exists());
                    ran[4] += 1;
                }
                _ => {}
            }
        }
    }
    assert!(ran[0] >= 8 && ran[1..].iter().all(|count| *count > 0), "{ran:?}");
}

fn guide(name: &str) -> Page {
    guides().find(|page| page.name == name).unwrap()
}

/// Has `line`, an `openssl s_client` of a page, look at a relay with a certificate that `mailbearer
/// certificates` made.
fn look_at_a_relay(line: &str) {
    let scene = Scene::new("");
    scene.run(&["certificates", "--out", "certs", "--name", "relay.example"], b"");
    let file = "[listeners.imap]\nprotocol = \"imap\"\naddress = \"127.0.0.1:0\"\n\
                tls = \"implicit\"\ncertificate = \"certs/server.pem\"\n\
                private_key = \"certs/server.key\"\n\
                [accounts.\"alice@gmail.com\"]\nprovider = \"google\"\nclient_id = \"id\"\n\
                client_secret = \"secret\"\ngrant = \"authorization-code\"\n";
    fs::write(scene.dir.path().join("mailbearer.toml"), file).unwrap();
    let mut relay = scene.serve();
    let [port] = relay.ports(["imap"]);
    let there = line.replace("relay.example:993", &format!("127.0.0.1:{port}"));
    assert_ne!(there, line);
    let mut command = Command::new("openssl");
    command.args(there.split(' ').skip(1)).current_dir(scene.dir.path());
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("Verify return code: 0 (ok)"), "{told}");
    relay.end();
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
            "s_client" => {
                look_at_a_relay(&line);
                ran[5] += 1;
            }
            _ => panic!("no test runs {line:?}"),
        }
    }
    assert!(ran.iter().all(|count| *count > 0), "{ran:?}");
}
