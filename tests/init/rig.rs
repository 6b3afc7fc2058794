//! A directory where there is nothing yet, the program in it, and somebody at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use mailbearer::names::AccountPattern;
use mailbearer::sandbox::{Sandbox, SandboxSettings};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::serve::PATIENCE;

/// Of an application at Microsoft.
pub(crate) const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";

/// Flags of that application, with its permission of its own.
pub(crate) const APPLICATION: &[&str] =
    &["--provider", "microsoft", "--grant", "client-credentials", "--client-id", CLIENT_ID];

/// Nothing but a directory.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
}

/// Somebody at a terminal, with the program before them.
pub(crate) struct Person {
    child: Child,
    keyboard: File,
    screen: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What the screen showed since the last thing that was waited for.
    unread: String,
    /// All that it showed, as it came.
    pub(crate) shown: String,
    /// How many questions were answered.
    pub(crate) answers: usize,
}

/// Keys.
pub(crate) const ENTER: &str = "\r";
pub(crate) const TAB: &str = "\t";
pub(crate) const DOWN: &str = "\x1b[B";
pub(crate) const UP: &str = "\x1b[A";
pub(crate) const CTRL_C: &str = "\x03";

impl Rig {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Every name in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program in that directory, with a home there and nothing else in its environment.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
        command.current_dir(self.dir.path()).env_clear().kill_on_drop(true);
        command.env("HOME", self.dir.path().join("home"));
        command
    }

    /// Runs it without a terminal.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, "").await
    }

    /// Runs it without a terminal, with that on standard input.
    pub(crate) async fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Output {
        let mut command = self.program();
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Whoever does not read it does not want it.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_ref()).await;
        drop(stdin);
        timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
    }

    /// Runs it for somebody at a terminal of that kind.
    pub(crate) fn person(&self, term: &str, args: &[&str]) -> Person {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 50, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let stdio = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child = self
            .program()
            .env("TERM", term)
            .args(args)
            .stdin(stdio(&terminal))
            .stdout(stdio(&terminal))
            .stderr(stdio(&terminal))
            .spawn()
            .unwrap();
        drop(terminal);
        let keyboard = File::from(master);
        let mut from = keyboard.try_clone().unwrap();
        let (to, screen) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When nobody has the other side open any more, that is an error.
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if to.send(buffer[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        let (unread, shown) = (String::new(), String::new());
        Person { child, keyboard, screen, unread, shown, answers: 0 }
    }
}

impl Person {
    /// Waits until the screen shows `text`.
    pub(crate) async fn sees(&mut self, text: &str) {
        loop {
            let plain = without_colours(&self.unread);
            if let Some(at) = plain.find(text) {
                self.unread = plain[at + text.len()..].to_owned();
                return;
            }
            match timeout(PATIENCE, self.screen.recv()).await {
                Ok(Some(more)) => self.hear(&more),
                Ok(None) => panic!("it ended before it showed {text:?}: {}", self.shown),
                Err(_) => panic!("it does not show {text:?}: {}", self.shown),
            }
        }
    }

    /// Waits for a question and answers it.
    pub(crate) async fn answers(&mut self, question: &str, keys: &[&str]) {
        self.sees(question).await;
        self.types(&keys.concat());
        self.answers += 1;
    }

    /// Presses keys.
    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for the end; gives the exit code.
    pub(crate) async fn ends(&mut self) -> Option<i32> {
        while let Some(more) = timeout(PATIENCE, self.screen.recv()).await.unwrap() {
            self.hear(&more);
        }
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }

    /// What is on the screen behind `label`, up to the end of its line.
    pub(crate) fn field(&self, label: &str) -> String {
        let shown = without_colours(&self.shown);
        let (_, behind) = shown.rsplit_once(label).unwrap_or_else(|| panic!("{shown}"));
        behind.lines().next().unwrap().trim().to_owned()
    }

    fn hear(&mut self, more: &[u8]) {
        let more = String::from_utf8_lossy(more);
        self.unread += &more;
        self.shown += &more;
    }
}

/// `text` without what moves the cursor or changes colours (ECMA-48: CSI to its final byte).
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\x1b[");
    plain += parts.next().unwrap();
    for part in parts {
        let end = part.find(|c: char| ('@'..='~').contains(&c));
        plain += end.map_or("", |end| &part[end + 1..]);
    }
    plain
}

/// A provider that has the mailboxes of example.com and tells who consents.
pub(crate) async fn provider() -> Sandbox {
    let settings = SandboxSettings {
        tells_user: true,
        ..SandboxSettings::new(vec![AccountPattern::parse("*@example.com").unwrap()])
    };
    Sandbox::start(settings).await.unwrap()
}

/// The key of a service account as Google gives it.
pub(crate) fn google_key() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    serde_json::json!({
        "type": "service_account",
        "private_key_id": "kid-1",
        "private_key": key.serialize_pem(),
        "client_email": "relay@project.iam.gserviceaccount.com",
    })
    .to_string()
}

/// What was told on standard error, and that nothing else was.
#[track_caller]
pub(crate) fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The permissions of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}
