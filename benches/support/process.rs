//! A process beside the load, and what the operating system says of it and its children.
//!
//! CPU time is that of the process and of all children, those that have ended included, in the
//! kernel's ticks of 10 ms: a load has to cost some hundred of them to be told apart. Memory is the
//! proportional set size of all that live.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to listen, or to end: several times what the slowest takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether it does.
const POLL: Duration = Duration::from_millis(20);

/// One tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Debian runs on.
const TICK: Duration = Duration::from_millis(10);

/// A child process; it and its children end when this is dropped.
pub struct Child {
    process: std::process::Child,
}

/// What a process has used.
#[derive(Clone, Copy)]
pub struct Usage {
    /// CPU time of all its threads and children.
    pub cpu: Duration,
    /// Proportional set size, its children's included.
    pub pss_kib: f64,
}

/// What the threads of a process have used, by their ids.
pub struct Threads(HashMap<u32, Duration>);

impl Threads {
    /// What those that live have used since.
    pub fn since(&self, before: &Self) -> Duration {
        let used = |id: &u32| before.0.get(id).copied().unwrap_or_default();
        self.0.iter().map(|(id, now)| now.saturating_sub(used(id))).sum()
    }
}

impl Child {
    /// Starts `command`, which listens on `ports` as soon as it serves.
    pub fn listening(command: &mut Command, log: &Path, ports: &[u16]) -> Self {
        let mut child = Self::spawn(command.stdout(Stdio::null()), log);
        let deadline = Instant::now() + PATIENCE;
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                let ended = child.process.try_wait().unwrap();
                assert!(ended.is_none(), "{command:?} ended: see {}", log.display());
                assert!(Instant::now() < deadline, "nothing listens: see {}", log.display());
                std::thread::sleep(POLL);
            }
        }
        child
    }

    /// Starts `command`, which prints what `parse` finds a port in, one a line, as soon as it serves.
    pub fn printing<const N: usize>(
        command: &mut Command,
        log: &Path,
        parse: impl Fn(&str) -> Option<u16>,
    ) -> (Self, [u16; N]) {
        let mut child = Self::spawn(command.stdout(Stdio::piped()), log);
        let mut lines = BufReader::new(child.process.stdout.take().unwrap()).lines();
        let ports = [(); N].map(|()| {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: see {}", log.display()));
            let line = line.unwrap();
            parse(&line).unwrap_or_else(|| panic!("no port in {line:?}"))
        });
        (child, ports)
    }

    /// Plays a role of this program, which prints its ports.
    pub fn role<const N: usize>(role: &str, dir: &Path, arguments: &[u16]) -> (Self, [u16; N]) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["role", role]).arg(dir).args(arguments.iter().map(u16::to_string));
        Self::printing(&mut command, &dir.join(format!("{role}.log")), |line| line.parse().ok())
    }

    fn spawn(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let process = command.stdin(Stdio::null()).stderr(log).spawn();
        Self { process: process.unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let (mut ticks, mut pss_kib) = (0, 0);
        for process in self.family() {
            let proc = Path::new("/proc").join(process.to_string());
            // One may end while this looks; its parent then tells its time.
            let Some(stat) = Stat::read(&proc) else { continue };
            ticks += stat.ticks;
            let Ok(memory) = std::fs::read_to_string(proc.join("smaps_rollup")) else { continue };
            let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:"));
            let pss = pss.and_then(|pss| pss.trim().trim_end_matches(" kB").parse::<u64>().ok());
            pss_kib += pss.unwrap_or(0);
        }
        Usage { cpu: TICK * ticks, pss_kib: pss_kib as f64 }
    }

    /// The CPU time of each of its threads, to the nanosecond; of threads that have ended nothing.
    pub fn threads(&self) -> Threads {
        let tasks = self
            .family()
            .into_iter()
            .filter_map(|process| std::fs::read_dir(format!("/proc/{process}/task")).ok());
        let used = tasks.flatten().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, Duration::from_nanos(text.split(' ').next()?.parse().ok()?)))
        });
        Threads(used.collect())
    }

    /// The process and all that descend from it.
    fn family(&self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(id), Some(stat)) = (id, Stat::read(&entry.path())) {
                children.entry(stat.parent).or_default().push(id);
            }
        }
        let mut family = vec![self.process.id()];
        let mut next = 0;
        while let Some(id) = family.get(next) {
            family.extend(children.remove(id).unwrap_or_default());
            next += 1;
        }
        family
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let family = self.family();
        signal(self.process.id(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                family.into_iter().for_each(|id| signal(id, Signal::KILL));
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

fn signal(id: u32, signal: Signal) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(id, signal);
    }
}

/// A port of 127.0.0.1 that nobody listens on, for programs that have to be told one.
pub fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    parent: u32,
    /// Its own time and that of the children it has waited for, in user and kernel mode.
    ticks: u32,
}

impl Stat {
    fn read(proc: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(proc.join("stat")).ok()?;
        // The name stands in parentheses and may hold any character; the state is behind it.
        let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(1);
        let parent = fields.next()?.parse().ok()?;
        let ticks = fields.skip(9).take(4).map(|field| field.parse::<u32>().unwrap_or(0)).sum();
        Some(Self { parent, ticks })
    }
}
