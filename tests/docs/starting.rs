//! docs/errors.md, "When it does not start": each row is a file or a machine that is wrong in that way.

use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::pages::pages;
use super::scene::{Ended, Scene};

const FILE: &str = r#"
[listeners.submission]
protocol = "submission"
address = "127.0.0.1:0"

[accounts."app@contoso.com"]
provider = "microsoft"
tenant = "contoso.onmicrosoft.com"
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = "a secret"
grant = "client-credentials"
"#;

/// The rows of the page: what is said, and the exit code.
fn rows() -> Vec<(String, i32)> {
    let page = pages().into_iter().find(|page| page.name == "docs/errors.md").unwrap();
    let (_, rows) = page.text.split_once("| code | it says |").unwrap();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_start_matches("| ").split(" | ").collect();
        (cells[1].trim_matches('`').to_owned(), cells[0].parse().unwrap())
    })
    .collect()
}

/// What `serve` says before it ends, and its exit code.
fn end_of_serve(scene: &Scene) -> (String, i32) {
    let mut serve = Ended(scene.start(&["serve"]));
    let mut shown = String::new();
    BufReader::new(serve.0.stdout.take().unwrap()).read_line(&mut shown).unwrap();
    assert_eq!(shown, "", "it starts with {}", scene.dir.path().display());
    let mut told = String::new();
    serve.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (told, serve.0.wait().unwrap().code().unwrap())
}

/// A scene in which a store was made, and its directory.
fn with_store() -> (Scene, PathBuf) {
    let scene = Scene::new(FILE);
    scene.run(&["password", "app@contoso.com"], b"");
    let state = scene.dir.path().join(".local/state/mailbearer");
    (scene, state)
}

fn with_file(from: &str, to: &str) -> (String, i32) {
    assert!(FILE.contains(from));
    end_of_serve(&Scene::new(&FILE.replace(from, to)))
}

/// What is said where the system does not permit a port: no test can know which that would be. The words
/// around those of the system are shown by the other rows.
fn not_permitted() -> (String, i32) {
    let source = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
    (format!("cannot be listened on ({source})"), 1)
}

#[test]
fn every_row_is_what_serve_says_when_it_does_not_start() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let running = Scene::new(FILE);
    let relay = running.serve();

    let no_file = Scene::new(FILE);
    fs::remove_file(no_file.dir.path().join("mailbearer.toml")).unwrap();
    let mut no_variable = Scene::new(&FILE.replace("\"a secret\"", "{ env = \"CONTOSO_SECRET\" }"));
    no_variable.env.clear();
    let no_secret = Scene::new(&FILE.replace("\"a secret\"", "{ file = \"client-secret\" }"));
    fs::remove_file(no_secret.dir.path().join("client-secret")).unwrap();
    let (no_key, state) = with_store();
    fs::remove_file(state.join("store.key")).unwrap();
    let (other_key, state) = with_store();
    fs::write(state.join("store.key"), "0123456789012345678901234567890123456789\n").unwrap();
    let (open_key, state) = with_store();
    fs::set_permissions(state.join("store.key"), Permissions::from_mode(0o644)).unwrap();
    let (damaged, state) = with_store();
    fs::write(state.join("mailbearer.redb"), [7; 5_000]).unwrap();

    let heard = [
        end_of_serve(&no_file),
        with_file("address =", "addres = 1\naddress ="),
        end_of_serve(&no_variable),
        end_of_serve(&no_secret),
        with_file("127.0.0.1:0", &taken),
        not_permitted(),
        // TEST-NET-3 (RFC 5737): nobody has it.
        with_file("127.0.0.1:0\"", "203.0.113.7:1587\"\nrequire_tls = false"),
        end_of_serve(&running),
        end_of_serve(&no_key),
        end_of_serve(&other_key),
        end_of_serve(&open_key),
        end_of_serve(&damaged),
    ];
    relay.end();
    let rows = rows();
    assert_eq!(rows.len(), heard.len());
    for ((said, code), (told, ended)) in rows.iter().zip(&heard) {
        let mut rest = told.as_str();
        for part in said.split(" … ") {
            let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("{said:?}: {told}"));
            rest = behind;
        }
        assert_eq!(code, ended, "{said}: {told}");
    }
}
