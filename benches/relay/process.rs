//! The processes of a comparison: started from this same program, measured from outside.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{ideal, relay, upstream};

/// A child process that listens; it ends when this is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
}

/// What the operating system says of a process.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// CPU time of all its threads.
    pub(crate) cpu: Duration,
    /// Proportional set size.
    pub(crate) pss_kib: u64,
}

impl Usage {
    /// The CPU time since `before`, and the memory now.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), ..self }
    }
}

impl Child {
    /// Starts `role` on the files of `dir` and waits until it listens.
    pub(crate) fn start(role: &str, dir: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["role", role])
            .arg(dir)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the child prints its port");
        Self { process, port }
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        let proc = Path::new("/proc").join(self.process.id().to_string());
        let mut cpu = 0;
        for task in std::fs::read_dir(proc.join("task")).unwrap() {
            // A thread may end while this looks.
            let Ok(text) = std::fs::read_to_string(task.unwrap().path().join("schedstat")) else {
                continue;
            };
            cpu += text.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
        let memory = std::fs::read_to_string(proc.join("smaps_rollup")).unwrap();
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        let pss_kib = pss.trim().trim_end_matches(" kB").parse().unwrap();
        Usage { cpu: Duration::from_nanos(cpu), pss_kib }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a child does: prints its port and serves until it is killed.
pub(crate) async fn play(role: &str, dir: &str) {
    let dir = Path::new(dir);
    match role {
        "upstream" => upstream::serve(dir).await,
        "ideal" => ideal::serve(dir).await,
        "mailbearer" => relay::serve(dir).await,
        other => panic!("no role {other}"),
    }
}

/// Writes `ca.pem`, `server.pem` and `server.key` into `dir`.
pub(crate) fn write_certificates(dir: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(dir.join("ca.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}

/// The port that the parent wrote down for the upstream.
pub(crate) fn upstream_port(dir: &Path) -> u16 {
    std::fs::read_to_string(dir.join("upstream.port")).unwrap().parse().unwrap()
}
