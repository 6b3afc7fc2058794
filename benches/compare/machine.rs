//! On what, when and with which programs a run was made.

use std::path::Path;
use std::time::SystemTime;

use crate::support::peer::Peer;

/// One line for the picture.
pub(crate) fn title() -> String {
    format!("{}, {}", date(), processor())
}

/// A paragraph for the page; of `program` the directory alone, which cargo names as the profile.
pub(crate) fn description(rounds: usize, peers: &[Peer], program: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = program.parent().and_then(Path::file_name).unwrap_or_default().display();
    let peers: Vec<String> = peers
        .iter()
        .filter(|peer| !matches!(peer, Peer::Direct | Peer::Mailbearer))
        .map(|peer| format!("{} ({})", peer.name(), peer.version(program)))
        .collect();
    format!(
        "{}, {}, {cores} cores, Linux {}, {rounds} rounds. {} from {profile}/; beside it {}.",
        date(),
        processor(),
        kernel(),
        Peer::Mailbearer.version(program),
        peers.join(", ")
    )
}

/// Today in UTC, as 2026-01-31.
fn date() -> String {
    let now = httpdate::fmt_http_date(SystemTime::now());
    let words: Vec<&str> = now.split(' ').collect();
    let [_, day, month, year, ..] = words.as_slice() else { return now };
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = months.iter().position(|name| name == month).map_or(0, |index| index + 1);
    format!("{year}-{number:02}-{day}")
}

/// The processor, with what AES and SHA are computed by.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let flags = field("flags").unwrap_or_default();
    let known: Vec<&str> = [("aes", "AES-NI"), ("avx512f", "AVX-512"), ("vaes", "VAES")]
        .into_iter()
        .filter(|(flag, _)| flags.split(' ').any(|word| word == *flag))
        .map(|(_, name)| name)
        .collect();
    format!("{name} ({})", known.join(", "))
}

/// The kernel's release.
fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}
