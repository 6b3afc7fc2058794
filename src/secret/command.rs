//! A program that prints a secret.
//!
//! In:     a program and its arguments, run without a shell, with nothing on standard input.
//! Out:    what it prints on standard output. Standard error is not looked at: nobody knows what
//!         stands there.
//! Limits: [`RUN_TIME_MAX`] and [`RAW_LEN_MAX`] bytes; beyond them it is killed, and with it what
//!         it started, unless that has left its process group.

use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::source::RAW_LEN_MAX;

/// How long a program may run. A token request that needs its output has 15 s in all.
const RUN_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a program that has closed its output is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(5);

/// Bytes taken out of the pipe at once.
const CHUNK_LEN: usize = 4096;

/// What a service manager says to this process alone (sd_notify(3), sd_listen_fds(3)). A program that
/// had it could speak for the relay.
const OF_THIS_PROCESS: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// A program that prints a secret, and its arguments.
///
/// An argument may be secret, so none is shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretCommand {
    program: PathBuf,
    arguments: Vec<String>,
}

impl SecretCommand {
    /// A `program`, searched in `$PATH` where it is a bare name, and its `arguments`.
    pub fn new(program: PathBuf, arguments: Vec<String>) -> Self {
        Self { program, arguments }
    }

    /// The program alone.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it and gives what it printed; a byte more than [`RAW_LEN_MAX`] says that it was more.
    /// The error is the end of a sentence that begins with the program.
    pub(super) fn output(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        self.output_within(RUN_TIME_MAX)
    }

    fn output_within(&self, time: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut running = self.start(time).map_err(|error| told(&error, "cannot be started"))?;
        let output = running.output().map_err(|error| told(&error, "cannot be read from"))?;
        if output.len() > RAW_LEN_MAX {
            return Ok(output);
        }
        let status = running.status().map_err(|error| told(&error, "cannot be waited for"))?;
        if status.success() { Ok(output) } else { Err(format!("failed ({status})")) }
    }

    fn start(&self, time: Duration) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        for variable in OF_THIS_PROCESS {
            command.env_remove(variable);
        }
        let child = command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Running { child, ends_at: Instant::now() + time, ended: false })
    }
}

impl fmt::Debug for SecretCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({:?}, {} arguments)", self.program, self.arguments.len())
    }
}

/// What the operating system said, but of a time-out what that means.
fn told(error: &io::Error, what: &str) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        "has not ended in time, and was killed".to_owned()
    } else {
        format!("{what} ({error})")
    }
}

/// A program that runs. It is killed when it is dropped before its end.
struct Running {
    child: Child,
    ends_at: Instant,
    ended: bool,
}

impl Running {
    /// What it prints until it closes its output, or one byte more than [`RAW_LEN_MAX`].
    fn output(&mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        // With room for all of it from the start, no copy is left behind where it grew.
        let mut output = Zeroizing::new(Vec::with_capacity(RAW_LEN_MAX + 1));
        let Some(mut stdout) = self.child.stdout.take() else { return Ok(output) };
        let mut chunk = Zeroizing::new([0; CHUNK_LEN]);
        while output.len() <= RAW_LEN_MAX {
            wait_readable(&stdout, self.ends_at)?;
            let len = match stdout.read(&mut *chunk) {
                Ok(0) => break,
                Ok(len) => len.min(RAW_LEN_MAX + 1 - output.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            output.extend_from_slice(chunk.get(..len).unwrap_or_default());
        }
        Ok(output)
    }

    /// How it ended.
    fn status(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if Instant::now() >= self.ends_at {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(END_POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // As long as nobody has waited for it, its number is not given to another process. One
        // that may not be killed (sudo) could make the wait last for ever.
        if !self.ended && kill_process_group(Pid::from_child(&self.child), Signal::KILL).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// Waits until `stdout` has bytes or is closed.
fn wait_readable(stdout: &ChildStdout, ends_at: Instant) -> io::Result<()> {
    loop {
        let left = ends_at.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell(script: &str) -> SecretCommand {
        SecretCommand::new("sh".into(), ["-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_program_gets_its_arguments_as_they_are_and_no_input() {
        let arguments = ["%s|", "a b", "$HOME", "*", ""].map(str::to_owned).to_vec();
        let output = SecretCommand::new("printf".into(), arguments).output().unwrap();
        assert_eq!(*output, b"a b|$HOME|*||");
        assert_eq!(*shell("cat; echo secret").output().unwrap(), b"secret\n");
    }

    #[test]
    fn a_program_has_our_environment() {
        let output = shell("printf %s \"$PATH\"").output().unwrap();
        assert_eq!(*output, std::env::var("PATH").unwrap().into_bytes());
    }

    #[test]
    fn a_program_that_fails_is_told_by_its_exit_status_and_not_by_what_it_prints() {
        let told = |script| shell(script).output().unwrap_err();
        assert_eq!(
            told("echo tell-nobody; echo tell-nobody >&2; exit 3"),
            "failed (exit status: 3)"
        );
        assert_eq!(told("kill -9 $$"), "failed (signal: 9 (SIGKILL))");
        let missing = SecretCommand::new("/nowhere/program".into(), Vec::new());
        let told = missing.output().unwrap_err();
        assert!(told.starts_with("cannot be started (No such file"), "{told}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_and_told() {
        // One goes on printing nothing, one has closed its output already.
        for script in ["exec sleep 600", "exec sleep 600 >&-"] {
            let told = shell(script).output_within(Duration::from_millis(50)).unwrap_err();
            assert_eq!(told, "has not ended in time, and was killed", "{script}");
        }
    }

    #[test]
    fn a_program_that_prints_too_much_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            // Ends when all who hold the other end have.
            move || fs::read(pipe).unwrap()
        });
        let script =
            format!("exec 3>'{}'; sleep 600 & while echo secret; do :; done", pipe.display());
        assert_eq!(shell(&script).output().unwrap().len(), RAW_LEN_MAX + 1);
        assert_eq!(reader.join().unwrap(), b"");
    }
}
