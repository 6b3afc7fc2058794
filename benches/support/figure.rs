//! What is measured, and which goal each figure has.

use std::collections::BTreeMap;

use super::peer::Peer;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    DownloadCpu,
    DownloadRate,
    UploadCpu,
    UploadRate,
    Ping,
    SessionCpu,
    Sessions,
    Verdict,
    Dial,
    Messages,
    IdlePss,
    RestPss,
    CrowdPss,
    CrowdCpu,
    CrowdOpened,
    FarImap,
    FarImapWarm,
    FarStartTls,
    FarStartTlsWarm,
    FarMessage,
    FarMessageWarm,
}

/// What mailbearer's figure has to be.
#[derive(Clone, Copy)]
pub enum Goal {
    /// The figure itself, at most.
    Limit(f64),
    /// So many times that peer's, as the median of the rounds' ratios.
    NoMoreThan(f64, Peer),
    NoLessThan(f64, Peer),
}

impl Figure {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::DownloadCpu,
        Self::DownloadRate,
        Self::UploadCpu,
        Self::UploadRate,
        Self::Ping,
        Self::SessionCpu,
        Self::Sessions,
        Self::Verdict,
        Self::Dial,
        Self::Messages,
        Self::IdlePss,
        Self::RestPss,
        Self::CrowdPss,
        Self::CrowdCpu,
        Self::CrowdOpened,
        Self::FarImap,
        Self::FarImapWarm,
        Self::FarStartTls,
        Self::FarStartTlsWarm,
        Self::FarMessage,
        Self::FarMessageWarm,
    ];

    /// What it is, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::DownloadCpu => "download, proxy CPU s/GiB",
            Self::DownloadRate => "download, MiB/s",
            Self::UploadCpu => "upload, proxy CPU s/GiB",
            Self::UploadRate => "upload, MiB/s",
            Self::Ping => "question and answer after the sign-in, µs",
            Self::SessionCpu => "proxy CPU s per 1,000 sign-ins",
            Self::Sessions => "sessions/s, 16 at a time",
            Self::Verdict => "connect to verdict, one at a time, ms",
            Self::Dial => "last sign-in byte to SYN, µs",
            Self::Messages => "10 KiB messages/s, one a session, 8 at a time",
            Self::IdlePss => "idle IMAP session, PSS KiB",
            Self::RestPss => "at rest, one account, PSS MiB",
            Self::CrowdPss => "9,000 idle sessions, PSS MiB",
            Self::CrowdCpu => "9,000 idle sessions, CPU ms/s",
            Self::CrowdOpened => "9,000 idle sessions opened in, s",
            Self::FarImap => "IMAP sign-in over 40 ms, cold, round trips",
            Self::FarImapWarm => "IMAP sign-in over 40 ms, warm, round trips",
            Self::FarStartTls => "submission with STARTTLS over 40 ms, cold, round trips",
            Self::FarStartTlsWarm => "submission with STARTTLS over 40 ms, warm, round trips",
            Self::FarMessage => "10 KiB message over 40 ms, cold, round trips",
            Self::FarMessageWarm => "10 KiB message over 40 ms, warm, round trips",
        }
    }

    /// What mailbearer's has to be.
    pub fn goal(self) -> Option<Goal> {
        Some(match self {
            Self::DownloadCpu => Goal::Limit(1.2),
            Self::DownloadRate => Goal::NoLessThan(1.4, Peer::Haproxy),
            Self::UploadCpu => Goal::Limit(1.3),
            Self::UploadRate => Goal::NoLessThan(1.3, Peer::Haproxy),
            // It has to keep up with the tunnel, by no margin that noise would not exceed.
            Self::Ping => return None,
            Self::SessionCpu => Goal::NoMoreThan(1.12, Peer::Ideal),
            Self::Sessions | Self::Messages => Goal::NoLessThan(0.95, Peer::Ideal),
            Self::Verdict => Goal::NoMoreThan(1.25, Peer::Ideal),
            Self::Dial => Goal::Limit(50.0),
            Self::IdlePss => Goal::Limit(10.0),
            Self::RestPss => Goal::Limit(6.0),
            Self::CrowdPss => Goal::Limit(100.0),
            Self::CrowdCpu => Goal::Limit(1.0),
            Self::CrowdOpened => Goal::NoMoreThan(1.3, Peer::Direct),
            Self::FarImap | Self::FarStartTls => Goal::NoMoreThan(1.03, Peer::Direct),
            Self::FarImapWarm | Self::FarStartTlsWarm => Goal::Limit(1.3),
            Self::FarMessage => Goal::NoMoreThan(1.02, Peer::Direct),
            Self::FarMessageWarm => Goal::Limit(5.3),
        })
    }
}

impl Goal {
    /// As the table writes it.
    pub fn text(self) -> String {
        match self {
            Self::Limit(limit) => format!("≤ {limit}"),
            Self::NoMoreThan(times, peer) => format!("≤ {times} × {}", peer.name()),
            Self::NoLessThan(times, peer) => format!("≥ {times} × {}", peer.name()),
        }
    }
}

/// What all rounds measured.
#[derive(Default)]
pub struct Figures {
    rounds: BTreeMap<(Figure, Peer), BTreeMap<usize, f64>>,
}

/// The rounds of one figure.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Figures {
    /// Keeps what a round measured of a peer.
    pub fn add(&mut self, figure: Figure, peer: Peer, round: usize, value: f64) {
        self.rounds.entry((figure, peer)).or_default().insert(round, value);
    }

    /// The rounds of `peer`, if there is one.
    pub fn spread(&self, figure: Figure, peer: Peer) -> Option<Spread> {
        Spread::of(self.rounds.get(&(figure, peer))?.values().copied())
    }

    /// Whether mailbearer's figure is as its goal wants, and what was compared: the figure, or the
    /// ratio to the peer that the goal names.
    pub fn verdict(&self, figure: Figure) -> Option<(bool, Spread)> {
        let goal = figure.goal()?;
        let own = self.rounds.get(&(figure, Peer::Mailbearer))?;
        let ratios = |peer| {
            let others = self.rounds.get(&(figure, peer))?;
            Spread::of(own.iter().filter_map(|(round, value)| Some(value / others.get(round)?)))
        };
        Some(match goal {
            Goal::Limit(limit) => {
                let spread = Spread::of(own.values().copied())?;
                (spread.median <= limit, spread)
            }
            Goal::NoMoreThan(times, peer) => {
                let spread = ratios(peer)?;
                (spread.median <= times, spread)
            }
            Goal::NoLessThan(times, peer) => {
                let spread = ratios(peer)?;
                (spread.median >= times, spread)
            }
        })
    }
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Self { median: median(&values)?, least: *values.first()?, most: *values.last()? })
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}
