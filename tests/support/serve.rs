//! `mailbearer serve` as a process of its own, before the stand-in provider.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use mailbearer::sandbox::Sandbox;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Client, RigSettings, changed, provider, write_config};

/// How long the program may take to end: far longer than it does.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The secret of [`super::RigSettings::extra`]'s own accounts, in the program's environment.
pub const OTHER_SECRET: &str = "other-secret";

/// The file that stands for the journal's stream.
const JOURNAL: &str = "journal";

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
    file: PathBuf,
    dir: TempDir,
}

impl Served {
    /// Starts it with the usual file and `extra`.
    pub async fn start(extra: &'static str) -> Self {
        Self::start_with(extra, &[]).await
    }

    /// The same with more in its environment.
    pub async fn start_with(extra: &'static str, environment: &[(&str, String)]) -> Self {
        let environment = environment.iter().map(|(name, value)| (*name, value.as_str()));
        let change = |_: &Path, program: &mut Command| {
            program.envs(environment);
        };
        Self::start_as(extra, change).await
    }

    /// The same with its log going where systemd leads a journal: to a stream that the environment
    /// names. [`Self::ended_in_journal`] reads it.
    pub async fn start_in_journal(extra: &'static str) -> Self {
        Self::start_as(extra, |dir, program| {
            let journal = std::fs::File::create(dir.join(JOURNAL)).unwrap();
            let stat = rustix::fs::fstat(&journal).unwrap();
            program.env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino));
            program.stderr(journal);
        })
        .await
    }

    async fn start_as(extra: &'static str, change: impl FnOnce(&Path, &mut Command)) -> Self {
        let settings = RigSettings { extra, ..RigSettings::default() };
        let provider = provider(settings.tls).await;
        let dir = tempfile::tempdir().unwrap();
        let file = write_config(dir.path(), &settings, &provider);
        let mut command = program(dir.path(), &file);
        change(dir.path(), &mut command);
        let mut child = command.arg("serve").spawn().unwrap();
        let [submission, imap] = bound(&mut child).await;
        let command_line = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap()));
        let command_line = String::from_utf8(command_line.unwrap()).unwrap();
        Self { child, submission, imap, provider, command_line, file, dir }
    }

    /// Runs another command with the same file.
    pub async fn command(&self, args: &[&str]) -> Output {
        let running = program(self.dir.path(), &self.file).args(args).output();
        timeout(PATIENCE, running).await.unwrap().unwrap()
    }

    /// Rewrites the file.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        std::fs::write(&self.file, changed(&text, change)).unwrap();
    }

    /// Its home, where the file lies too.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// A client that was greeted.
    pub async fn client(&self) -> Client {
        let mut client = Client::connect(self.submission).await;
        client.expect("220 ").await;
        client
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end, which must be a good one; gives what it logged.
    pub async fn ended(self) -> String {
        let output = timeout(PATIENCE, self.child.wait_with_output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        log
    }

    /// The same of one whose log goes to a journal.
    pub async fn ended_in_journal(self) -> String {
        let Self { mut child, dir, .. } = self;
        let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        let journal = std::fs::read_to_string(dir.path().join(JOURNAL)).unwrap();
        assert_eq!(status.code(), Some(0), "{journal}");
        journal
    }
}

/// The program with that file and its home in `dir`.
fn program(dir: &Path, file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailbearer"));
    command
        .arg("-c")
        .arg(file)
        .env_clear()
        .env("HOME", dir)
        .env("OTHER_SECRET", OTHER_SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
