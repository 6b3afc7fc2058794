//! `mailbearer serve` as a process of its own, before the stand-in provider.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use mailbearer::sandbox::Sandbox;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Client, RigSettings, provider, write_config};

/// How long the program may take to end: far longer than it does.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The secret of [`super::RigSettings::extra`]'s own accounts, in the program's environment.
pub const OTHER_SECRET: &str = "other-secret";

/// Where the program that has just been started listens, once it says so.
pub async fn bound(child: &mut Child) -> [SocketAddr; 2] {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut bound = async |listener: &str| -> SocketAddr {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let line = line.expect("the program ended");
        let address = line.strip_prefix("listening on ").unwrap().strip_suffix(listener);
        address.expect(&line).parse().unwrap()
    };
    [bound(" (submission)").await, bound(" (imap)").await]
}

/// The program, serving before a provider.
pub struct Served {
    child: Child,
    pub submission: SocketAddr,
    pub imap: SocketAddr,
    pub provider: Sandbox,
    /// What everybody on the machine can see of it.
    pub command_line: String,
    _dir: TempDir,
}

impl Served {
    /// Starts it with the usual file and `extra`.
    pub async fn start(extra: &'static str) -> Self {
        let settings = RigSettings { extra, ..RigSettings::default() };
        let provider = provider(settings.tls).await;
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailbearer"))
            .arg("-c")
            .arg(write_config(dir.path(), &settings, &provider))
            .arg("serve")
            .env_clear()
            .env("HOME", dir.path())
            .env("OTHER_SECRET", OTHER_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let [submission, imap] = bound(&mut child).await;
        let command_line = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap()));
        let command_line = String::from_utf8(command_line.unwrap()).unwrap();
        Self { child, submission, imap, provider, command_line, _dir: dir }
    }

    /// A client that was greeted.
    pub async fn client(&self) -> Client {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }

    /// Waits for its end, which must be a good one; gives what it logged.
    pub async fn ended(self) -> String {
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        log
    }
}
