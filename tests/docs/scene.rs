//! Where a document's file is used and its commands are run: a directory of its own, with all that the
//! file names.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::pages::pages;

/// What every secret is that a document names: long enough for the store's key.
pub(crate) const SECRET: &str = "a secret of at least thirty-two characters";

/// A certificate and its key, for everything that wants some.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let params = CertificateParams::new(["mail.example".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
});

/// A directory with `mailbearer.toml` and all that it names, which is also the home, and an environment
/// of its own.
pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) env: Vec<(String, String)>,
}

impl Scene {
    /// With the file `text` and the secrets, keys and certificates that it reads.
    pub(crate) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mailbearer.toml"), text).unwrap();
        let named = |key: &str| -> Vec<String> {
            let key = format!("{key} = \"");
            let behind = text.split(&key).skip(1);
            behind.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
        };
        for (key, content) in [
            ("{ file", SECRET),
            ("\nca_file", &PAIR.0),
            ("\ncertificate", &PAIR.0),
            ("\nprivate_key", &PAIR.1),
            ("\nkey_file", &service_account()),
            ("\nassertion_file", ASSERTION),
        ] {
            for name in named(key) {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
        }
        let mut env: Vec<_> =
            named("{ env").into_iter().map(|name| (name, SECRET.to_owned())).collect();
        if text.contains("grant = \"workload-identity\"") {
            env.extend(of_cluster(dir.path()));
        }
        Self { dir, env }
    }

    /// Starts mailbearer, whose input and output are at hand.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .envs(self.env.clone())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn spawn(&self, args: &[&str], stdin: &[u8]) -> Child {
        let mut child = self.start(args);
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child
    }

    /// Runs mailbearer, which must exit with 0; gives what it printed.
    pub(crate) fn run(&self, args: &[&str], stdin: &[u8]) -> String {
        let Output { status, stdout, stderr } = self.spawn(args, stdin).wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "mailbearer {args:?}: {status}\n{told}");
        String::from_utf8(stdout).unwrap()
    }

    /// Runs `mailbearer serve` until it listens.
    pub(crate) fn serve(&self) -> Relay {
        let mut child = self.spawn(&["serve"], b"");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut shown = String::new();
        stdout.read_line(&mut shown).unwrap();
        Relay { child: Ended(child), stdout, shown }
    }
}

/// A program that ends with the test, also with one that fails.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended already has nothing left to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The stand-in provider of `demo`, and a page's file for it.
pub(crate) struct StandIn {
    /// With the file, in which all is what the stand-in printed.
    pub(crate) scene: Scene,
    /// What it printed.
    pub(crate) facts: serde_json::Value,
    // Ends with this.
    _program: Ended,
}

impl StandIn {
    /// Starts it and fills in the file of the page `name` that wants it; listeners take free ports.
    pub(crate) fn of_page(name: &str) -> Self {
        let mut program = Ended(Scene::new("").start(&["demo", "--provider-only", "--json"]));
        let mut facts = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut facts).unwrap();
        let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
        let fact = |pointer: &str| {
            let fact = facts.pointer(pointer).unwrap();
            fact.as_str().map_or_else(|| fact.to_string(), str::to_owned)
        };
        let page = pages().into_iter().find(|page| page.name == name).unwrap();
        let mut files = page.blocks("toml").into_iter();
        let file = files.find(|file| file.contains("[providers.stand-in]")).unwrap();
        let mut file = file.replace(":1587", ":0").replace(":1143", ":0");
        for (written, pointer) in [
            ("http://127.0.0.1:40001", "/issuer"),
            ("https://mail.sandbox.example/.default", "/scopes/0"),
            ("40002", "/submission/port"),
            ("40003", "/imap/port"),
            ("40004", "/pop3/port"),
            ("the client id", "/client_id"),
            ("the client secret", "/client_secret"),
        ] {
            let is_there = match pointer {
                "/imap/port" => file.contains("\nimap = "),
                "/pop3/port" => file.contains("\npop3 = "),
                _ => true,
            };
            assert_eq!(file.matches(written).count(), usize::from(is_there), "{written}");
            file = file.replace(written, &fact(pointer));
        }
        let scene = Scene::new(&file);
        fs::write(scene.dir.path().join("ca.pem"), fact("/ca_pem")).unwrap();
        Self { scene, facts, _program: program }
    }
}

/// `mailbearer serve`, which listens.
pub(crate) struct Relay {
    child: Ended,
    stdout: BufReader<ChildStdout>,
    shown: String,
}

impl Relay {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// Where the page listens: what was printed is read on until it is told.
    pub(crate) fn page_address(&mut self) -> String {
        loop {
            let told = self.shown.lines().last().unwrap_or_default();
            let address =
                told.strip_prefix("listening on ").and_then(|it| it.strip_suffix(" (web)"));
            if let Some(address) = address {
                return address.to_owned();
            }
            assert_ne!(self.stdout.read_line(&mut self.shown).unwrap(), 0, "{}", self.shown);
        }
    }

    /// The ports of one listener for each protocol: what was printed is read on until all are told.
    pub(crate) fn ports<const N: usize>(&mut self, protocols: [&str; N]) -> [String; N] {
        while self.shown.lines().count() < N {
            assert_ne!(self.stdout.read_line(&mut self.shown).unwrap(), 0, "{}", self.shown);
        }
        protocols.map(|protocol| {
            let end = format!(" ({protocol})");
            let address = self.shown.lines().find_map(|line| line.strip_suffix(&end)).unwrap();
            address.rsplit(':').next().unwrap().to_owned()
        })
    }

    /// Its log, from here on. It can be taken once, and not by who wants to [`Self::end`] it.
    pub(crate) fn log(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.0.stderr.take().unwrap())
    }

    /// Ends it, and gives what it printed.
    pub(crate) fn end(mut self) -> String {
        // One that has ended already has told why by its exit code.
        let _ = kill_process(self.pid(), Signal::TERM);
        self.stdout.read_to_string(&mut self.shown).unwrap();
        let mut told = String::new();
        self.child.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(self.child.0.wait().unwrap().success(), "{told}");
        self.shown
    }
}

/// A JWT in shape: header, claims and signature.
const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtYWlsYmVhcmVyIn0.c2lnbmF0dXJl\n";

/// The key file of a Google service account.
fn service_account() -> String {
    json!({
        "type": "service_account",
        "project_id": "example-project",
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": PAIR.1,
        "client_email": "mailbearer@example-project.iam.gserviceaccount.com",
        "client_id": "123456789012345678901",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

/// What AKS gives to a pod.
fn of_cluster(dir: &Path) -> [(String, String); 3] {
    let file = dir.join("azure-identity-token");
    fs::write(&file, ASSERTION).unwrap();
    [
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
        ("AZURE_TENANT_ID", "99999999-8888-7777-6666-555555555555"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}
