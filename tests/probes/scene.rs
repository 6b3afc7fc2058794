//! A relay with probes, and what a monitor reads there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::support::client::PATIENCE;
use crate::support::{Rig, RigSettings};

/// Probes on any free port.
pub const PROBES: &str = "[web]\nprobes = \"127.0.0.1:0\"\n";

/// An answer of the probes.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub header: String,
    pub body: String,
}

/// Series and their values.
pub type Series = BTreeMap<String, f64>;

/// A relay with probes and `extra` in its file.
pub async fn rig(extra: &str) -> Rig {
    with(RigSettings::default(), extra).await
}

/// The same with more that differs.
pub async fn with(settings: RigSettings, extra: &str) -> Rig {
    let extra = format!("{}{PROBES}{extra}", settings.extra).leak();
    Rig::with(RigSettings { extra, ..settings }).await
}

/// Sends `request` to the probes at `address`.
pub async fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (header, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, header: header.to_ascii_lowercase(), body: body.to_owned() }
}

/// Gets `path` of the probes of `rig`.
pub async fn get(rig: &Rig, path: &str) -> Answer {
    send(rig.probes[0], &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
}

/// All series of `rig`.
pub async fn series(rig: &Rig) -> Series {
    let answer = get(rig, "/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The one series of that name and those labels.
pub fn value(series: &Series, name: &str) -> f64 {
    let name = format!("mailbearer_{name}");
    *series.get(&name).unwrap_or_else(|| panic!("there is no {name} in {series:#?}"))
}

/// Waits until events have moved since `before` as they are expected, and nothing else has: names
/// without what all begin with and what counters end with.
pub async fn moved(rig: &Rig, before: &Series, expected: &[(&str, f64)]) {
    let expected: BTreeMap<String, f64> = expected
        .iter()
        .map(|(name, by)| {
            let (name, labels) = name.split_once('{').map_or((*name, ""), |(name, it)| (name, it));
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}") };
            (format!("mailbearer_{name}_total{labels}"), *by)
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let changes = changes(before, &series(rig).await);
        if changes == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{changes:#?} is not {expected:#?}");
        yield_now().await;
    }
}

/// Which counters of events have moved, and by how much. Bytes are no events.
fn changes(before: &Series, after: &Series) -> Series {
    let is_of_event = |name: &str| name.contains("_total") && !name.contains("_bytes_");
    let counters = after.iter().filter(|(name, _)| is_of_event(name));
    let by = |name: &String, now: &f64| now - before.get(name).copied().unwrap_or_default();
    counters.map(|(name, now)| (name.clone(), by(name, now))).filter(|(_, by)| *by != 0.0).collect()
}
