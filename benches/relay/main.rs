//! mailbearer beside a bare TLS tunnel, in one run on one machine: `cargo bench --bench relay`.
//!
//! The yardstick, "ideal", is a TCP listener that opens TLS to the same upstream and runs tokio's
//! `copy_bidirectional`; it rewrites nothing. Each is a process of its own, so that its CPU time and
//! memory are the operating system's figures. Rounds alternate; the table gives medians.
//!
//! `-- --quick` runs one short round, to see that it works.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench reads the real clock, prints its table and fails by panicking"
)]

mod client;
mod ideal;
mod process;
mod relay;
mod upstream;

use std::time::Duration;

use client::{Client, SignIn};
use process::{Child, Usage};

/// The sizes of one run.
struct Scale {
    rounds: usize,
    /// Sessions of the sign-in measurement, and how many at a time.
    sign_ins: usize,
    at_a_time: usize,
    /// Sessions of the streaming measurements, and the bytes of each.
    streams: usize,
    stream_len: u64,
    /// Sessions of the memory measurement.
    idle: usize,
}

const FULL: Scale = Scale {
    rounds: 5,
    sign_ins: 2_000,
    at_a_time: 16,
    streams: 8,
    stream_len: 128 << 20,
    idle: 1_000,
};

const QUICK: Scale =
    Scale { rounds: 1, sign_ins: 100, at_a_time: 16, streams: 2, stream_len: 8 << 20, idle: 100 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.first().map(String::as_str) {
        Some("role") => runtime.block_on(process::play(&arguments[1], &arguments[2])),
        _ if arguments.iter().any(|argument| argument == "--quick") => {
            runtime.block_on(compare(&QUICK));
        }
        _ => runtime.block_on(compare(&FULL)),
    }
}

/// What one round measured of one proxy.
#[derive(Default)]
struct Figures {
    sign_ins_per_s: Vec<f64>,
    sign_in_cpu_us: Vec<f64>,
    verdict_ms: Vec<f64>,
    down_mib_per_s: Vec<f64>,
    down_cpu_s_per_gib: Vec<f64>,
    up_mib_per_s: Vec<f64>,
    up_cpu_s_per_gib: Vec<f64>,
    idle_kib: Vec<f64>,
}

async fn compare(scale: &Scale) {
    let dir = tempfile::tempdir().unwrap();
    process::write_certificates(dir.path());
    let upstream = Child::start("upstream", dir.path());
    std::fs::write(dir.path().join("upstream.port"), upstream.port.to_string()).unwrap();
    let (mut ideal, mut relay) = (Figures::default(), Figures::default());
    for round in 1..=scale.rounds {
        eprintln!("round {round} of {}", scale.rounds);
        for (role, sign_in, figures) in
            [("ideal", SignIn::Xoauth2, &mut ideal), ("mailbearer", SignIn::Login, &mut relay)]
        {
            // A process of its own for each round: what one left behind is no other's burden.
            measure(&Child::start(role, dir.path()), sign_in, scale, figures).await;
        }
    }
    print(&ideal, &relay);
}

async fn measure(proxy: &Child, sign_in: SignIn, scale: &Scale, figures: &mut Figures) {
    // The first session fetches the token and warms everything up.
    Client::sign_in(proxy.port, sign_in).await.logout().await;

    let mut verdicts = Vec::new();
    for _ in 0..scale.sign_ins / 10 {
        let started = std::time::Instant::now();
        let client = Client::sign_in(proxy.port, sign_in).await;
        verdicts.push(started.elapsed().as_secs_f64() * 1e3);
        client.logout().await;
    }
    figures.verdict_ms.push(median(&mut verdicts));

    let before = proxy.usage();
    let started = std::time::Instant::now();
    let mut workers = Vec::new();
    for _ in 0..scale.at_a_time {
        let (port, sessions) = (proxy.port, scale.sign_ins / scale.at_a_time);
        workers.push(tokio::spawn(async move {
            for _ in 0..sessions {
                Client::sign_in(port, sign_in).await.logout().await;
            }
        }));
    }
    join(workers).await;
    let sessions = (scale.sign_ins / scale.at_a_time * scale.at_a_time) as f64;
    figures.sign_ins_per_s.push(sessions / started.elapsed().as_secs_f64());
    figures.sign_in_cpu_us.push(proxy.usage().since(before).cpu.as_secs_f64() * 1e6 / sessions);

    let (rate, cpu) = stream(proxy, sign_in, scale, Client::download).await;
    figures.down_mib_per_s.push(rate);
    figures.down_cpu_s_per_gib.push(cpu);
    let (rate, cpu) = stream(proxy, sign_in, scale, Client::upload).await;
    figures.up_mib_per_s.push(rate);
    figures.up_cpu_s_per_gib.push(cpu);

    let before = proxy.usage();
    let mut idle = Vec::new();
    for _ in 0..scale.idle {
        idle.push(Client::sign_in(proxy.port, sign_in).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = proxy.usage().pss_kib.saturating_sub(before.pss_kib);
    figures.idle_kib.push(grown as f64 / scale.idle as f64);
}

/// Streams over several sessions at once; gives MiB/s and the proxy's CPU seconds per GiB.
async fn stream<F>(
    proxy: &Child,
    sign_in: SignIn,
    scale: &Scale,
    transfer: impl Fn(Client, u64) -> F,
) -> (f64, f64)
where
    F: Future<Output = Client> + Send + 'static,
{
    let mut clients = Vec::new();
    for _ in 0..scale.streams {
        clients.push(Client::sign_in(proxy.port, sign_in).await);
    }
    let before: Usage = proxy.usage();
    let started = std::time::Instant::now();
    let transfers =
        clients.into_iter().map(|client| tokio::spawn(transfer(client, scale.stream_len)));
    let clients = join(transfers.collect()).await;
    let (elapsed, used) = (started.elapsed(), proxy.usage().since(before));
    for client in clients {
        client.logout().await;
    }
    let bytes = (scale.stream_len * scale.streams as u64) as f64;
    (
        bytes / f64::from(1 << 20) / elapsed.as_secs_f64(),
        used.cpu.as_secs_f64() / (bytes / f64::from(1 << 30)),
    )
}

async fn join<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(ideal: &Figures, relay: &Figures) {
    println!("| what | ideal | mailbearer | ratio (min–max of the rounds) |");
    println!("|---|---|---|---|");
    let row = |what: &str, ideal: &[f64], relay: &[f64]| {
        let mut ratios: Vec<f64> =
            relay.iter().zip(ideal).map(|(relay, ideal)| relay / ideal).collect();
        let ratio = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let (ideal, relay) = (median(&mut ideal.to_vec()), median(&mut relay.to_vec()));
        println!("| {what} | {ideal:.2} | {relay:.2} | {ratio:.2} ({least:.2}–{most:.2}) |");
    };
    row("sign-ins per second, 16 at a time", &ideal.sign_ins_per_s, &relay.sign_ins_per_s);
    row("proxy CPU per session, µs", &ideal.sign_in_cpu_us, &relay.sign_in_cpu_us);
    row("connect to verdict, one at a time, ms", &ideal.verdict_ms, &relay.verdict_ms);
    row("download, MiB/s", &ideal.down_mib_per_s, &relay.down_mib_per_s);
    row("download, proxy CPU s/GiB", &ideal.down_cpu_s_per_gib, &relay.down_cpu_s_per_gib);
    row("upload, MiB/s", &ideal.up_mib_per_s, &relay.up_mib_per_s);
    row("upload, proxy CPU s/GiB", &ideal.up_cpu_s_per_gib, &relay.up_cpu_s_per_gib);
    row("idle session, PSS KiB", &ideal.idle_kib, &relay.idle_kib);
}
