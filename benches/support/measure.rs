//! The measurements of one proxy before an upstream beside it.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::capture::Capture;
use super::client::{Imap, Submission};
use super::figure::{Figure, Spread};
use super::load::Load;
use super::peer::Proxy;

/// A figure of one round.
pub type Measured = (Figure, f64);

/// How long a proxy is left alone before its memory is read.
const SETTLING: Duration = Duration::from_millis(500);

/// Idle sessions that come before those which are measured: they pay for what the process needs once.
const FIRST_IDLE: usize = 20;

/// Memory at rest, and of one idle session. It is the first thing that is done with a process.
pub async fn memory(proxy: &Proxy, load: &Load) -> Vec<Measured> {
    let Some(child) = &proxy.child else { return Vec::new() };
    tokio::time::sleep(SETTLING).await;
    let rest = child.usage().pss_kib;
    let first = open(proxy, FIRST_IDLE.min(load.idle), 1).await;
    tokio::time::sleep(SETTLING).await;
    let before = child.usage().pss_kib;
    let idle = open(proxy, load.idle, 1).await;
    tokio::time::sleep(SETTLING).await;
    let grown = child.usage().pss_kib - before;
    drop((first, idle));
    vec![(Figure::RestPss, rest / 1_024.0), (Figure::IdlePss, grown / load.idle as f64)]
}

/// Sign-ins at once and one after another, and messages.
pub async fn sign_ins(proxy: &Proxy, load: &Load) -> Vec<Measured> {
    // The first session fetches the token and warms everything up.
    warm_up(proxy).await;
    let mut measured = Vec::new();

    let mut waited = Vec::new();
    for _ in 0..load.verdicts {
        let started = Instant::now();
        let client = Imap::sign_in(&proxy.door, proxy.steps).await;
        waited.push(started.elapsed().as_secs_f64() * 1e3);
        client.logout().await;
    }
    measured.push((Figure::Verdict, middle(waited)));

    let before = proxy.child.as_ref().map(|child| child.usage().cpu);
    let (door, steps) = (proxy.door.clone(), proxy.steps);
    let took = at_once(load.sign_ins, load.at_a_time, move || {
        let door = door.clone();
        async move { Imap::sign_in(&door, steps).await.logout().await }
    })
    .await;
    measured.push((Figure::Sessions, load.sign_ins as f64 / took));
    if let (Some(child), Some(before)) = (&proxy.child, before) {
        let used = (child.usage().cpu - before).as_secs_f64();
        measured.push((Figure::SessionCpu, used * 1e3 / load.sign_ins as f64));
    }

    let (door, len) = (proxy.door.clone(), load.message_len);
    let took = at_once(load.messages, load.messages_at_a_time, move || {
        let door = door.clone();
        async move {
            let mut session = Submission::sign_in(&door).await;
            session.deliver(len).await;
            session.quit().await;
        }
    })
    .await;
    measured.push((Figure::Messages, load.messages as f64 / took));
    measured
}

/// How soon a proxy that rewrites dials `upstream`, seen on the wire.
pub async fn dial(proxy: &Proxy, upstream: u16, load: &Load) -> Vec<Measured> {
    warm_up(proxy).await;
    let capture = Capture::start(proxy.door.imap, upstream);
    for _ in 0..load.verdicts {
        Imap::sign_in(&proxy.door, proxy.steps).await.logout().await;
    }
    let waited = capture.end();
    assert_eq!(waited.len(), load.verdicts, "each session dials");
    vec![(Figure::Dial, middle(waited))]
}

/// Streams both ways, and questions with their answers.
pub async fn streams(proxy: &Proxy, load: &Load) -> Vec<Measured> {
    let mut client = Imap::sign_in(&proxy.door, proxy.steps).await;
    let mut waited = Vec::new();
    for _ in 0..load.pings {
        let started = Instant::now();
        client.ping().await;
        waited.push(started.elapsed().as_secs_f64() * 1e6);
    }
    client.logout().await;
    let mut measured = vec![(Figure::Ping, middle(waited))];
    let down = transfer(proxy, load, Imap::download).await;
    let up = transfer(proxy, load, Imap::upload).await;
    measured.push((Figure::DownloadRate, down.0));
    measured.extend(down.1.map(|cpu| (Figure::DownloadCpu, cpu)));
    measured.push((Figure::UploadRate, up.0));
    measured.extend(up.1.map(|cpu| (Figure::UploadCpu, cpu)));
    measured
}

/// Thousands of idle sessions: how soon they are there, and what they cost while nothing happens.
pub async fn crowd(proxy: &Proxy, load: &Load) -> Vec<Measured> {
    warm_up(proxy).await;
    let started = Instant::now();
    let mut sessions = open(proxy, load.crowd, load.at_a_time).await;
    let mut measured = vec![(Figure::CrowdOpened, started.elapsed().as_secs_f64())];
    if let Some(child) = &proxy.child {
        tokio::time::sleep(SETTLING).await;
        let (before, watched) = (child.threads(), Instant::now());
        tokio::time::sleep(Duration::from_secs(load.crowd_watched_s)).await;
        let used = child.threads().since(&before).as_secs_f64();
        measured.push((Figure::CrowdCpu, used * 1e3 / watched.elapsed().as_secs_f64()));
        measured.push((Figure::CrowdPss, child.usage().pss_kib / 1_024.0));
    }
    // They are alive.
    for session in sessions.iter_mut().step_by(10) {
        session.ping().await;
    }
    measured
}

/// The first session of each protocol.
async fn warm_up(proxy: &Proxy) {
    Imap::sign_in(&proxy.door, proxy.steps).await.logout().await;
    Submission::sign_in(&proxy.door).await.quit().await;
}

/// Opens `count` sessions, `at_a_time`.
async fn open(proxy: &Proxy, count: usize, at_a_time: usize) -> Vec<Imap> {
    let mut workers = JoinSet::new();
    for worker in 0..at_a_time {
        let (door, steps) = (proxy.door.clone(), proxy.steps);
        let part = count / at_a_time + usize::from(worker < count % at_a_time);
        workers.spawn(async move {
            let mut opened = Vec::new();
            for _ in 0..part {
                opened.push(Imap::sign_in(&door, steps).await);
            }
            opened
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

/// Does something `count` times, `at_a_time`; gives how many seconds that took.
async fn at_once<F>(
    count: usize,
    at_a_time: usize,
    act: impl Fn() -> F + Clone + Send + 'static,
) -> f64
where
    F: Future<Output = ()> + Send,
{
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..at_a_time {
        let act = act.clone();
        let part = count / at_a_time + usize::from(worker < count % at_a_time);
        workers.spawn(async move {
            for _ in 0..part {
                act().await;
            }
        });
    }
    workers.join_all().await;
    started.elapsed().as_secs_f64()
}

/// Streams over several sessions at once; gives MiB/s and the proxy's CPU seconds per GiB.
async fn transfer<F>(
    proxy: &Proxy,
    load: &Load,
    act: impl Fn(Imap, usize) -> F,
) -> (f64, Option<f64>)
where
    F: Future<Output = Imap> + Send + 'static,
{
    let clients = open(proxy, load.streams, 1).await;
    let before = proxy.child.as_ref().map(|child| child.usage().cpu);
    let started = Instant::now();
    let mut transfers = JoinSet::new();
    for client in clients {
        transfers.spawn(act(client, load.stream_len));
    }
    let clients = transfers.join_all().await;
    let took = started.elapsed().as_secs_f64();
    let used = proxy.child.as_ref().map(|child| child.usage().cpu);
    for client in clients {
        client.logout().await;
    }
    let mib = (load.stream_len * load.streams) as f64 / f64::from(1 << 20);
    let cpu = used.zip(before).map(|(used, before)| (used - before).as_secs_f64() * 1_024.0 / mib);
    (mib / took, cpu)
}

/// The median.
pub fn middle(values: Vec<f64>) -> f64 {
    Spread::of(values).expect("something was measured").median
}
