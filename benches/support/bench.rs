//! One run: round by round, each peer in its turn, each with fresh processes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::arguments::Arguments;
use super::capture;
use super::delayed::{Temperature, implicit, starttls};
use super::figure::{Figure, Figures};
use super::load::Load;
use super::measure::{Measured, crowd, dial, memory, sign_ins, streams};
use super::peer::{Peer, Proxy, Warm};
use super::scene::{Scene, Way};

/// Measurements that are made of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Memory,
    SignIns,
    Dial,
    Streams,
    Crowd,
    Far,
}

/// How long one measurement may take: four times what the slowest peer's takes.
const PATIENCE: Duration = Duration::from_secs(180);

impl Row {
    pub const ALL: [Self; 6] =
        [Self::Memory, Self::SignIns, Self::Dial, Self::Streams, Self::Crowd, Self::Far];

    /// The name in arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::SignIns => "sign-ins",
            Self::Dial => "dial",
            Self::Streams => "streams",
            Self::Crowd => "crowd",
            Self::Far => "far",
        }
    }
}

/// All rounds; gives what they measured, and what failed.
pub fn run(arguments: &Arguments) -> (Figures, Vec<String>) {
    let scene = Scene::start(arguments.program.clone());
    let mut run = Run {
        runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
        scene: &scene,
        load: if arguments.smoke { Load::SMOKE } else { Load::FULL },
        round: 0,
        row: Row::Memory,
        figures: Figures::default(),
        failures: Vec::new(),
    };
    for round in 1..=arguments.rounds {
        run.round = round;
        for &row in &arguments.rows {
            run.row = row;
            for &peer in &arguments.peers {
                eprintln!("round {round} of {}: {}, {}", arguments.rounds, row.name(), peer.name());
                run.measure(row, peer);
            }
        }
    }
    (run.figures, run.failures)
}

struct Run<'a> {
    runtime: Runtime,
    scene: &'a Scene,
    load: Load,
    round: usize,
    row: Row,
    figures: Figures,
    failures: Vec<String>,
}

impl Run<'_> {
    fn measure(&mut self, row: Row, peer: Peer) {
        let load = self.load.divided(peer.slowness());
        match row {
            Row::Memory => {
                self.with(peer, Way::Near, Warm::Default, async |proxy| memory(proxy, &load).await)
            }
            Row::SignIns => self
                .with(peer, Way::Near, Warm::Default, async |proxy| sign_ins(proxy, &load).await),
            Row::Dial if !capture::is_possible() => {
                eprintln!("left out: watching packets takes root (CAP_NET_RAW) and python3");
            }
            Row::Dial if peer.dials_last() => {
                let upstream = self.scene.upstream(Way::Near).imap;
                self.with(peer, Way::Near, cold(peer), async |proxy| {
                    dial(proxy, upstream, &load).await
                });
            }
            // The others dial before their client has said anything.
            Row::Dial => {}
            Row::Streams => {
                self.with(peer, Way::Near, Warm::Default, async |proxy| streams(proxy, &load).await)
            }
            Row::Crowd if peer.holds_crowds() => {
                self.with(peer, Way::Near, Warm::Default, async |proxy| crowd(proxy, &load).await);
            }
            Row::Crowd => {}
            Row::Far => self.far(peer, &load),
        }
    }

    fn far(&mut self, peer: Peer, load: &Load) {
        let keeps = peer.keeps_connections();
        let warm = keeps.then_some((Temperature::Warm, Warm::Default));
        for (temperature, warm) in [(Temperature::Cold, cold(peer))].into_iter().chain(warm) {
            self.with(peer, Way::Far, warm, async |proxy| implicit(proxy, load, temperature).await);
            self.with(peer, Way::FarStartTls, warm, async |proxy| {
                starttls(proxy, load, temperature).await
            });
        }
    }

    /// Measures a fresh process; a peer that fails is told of and spoils nothing.
    fn with(
        &mut self,
        peer: Peer,
        way: Way,
        warm: Warm,
        act: impl AsyncFnOnce(&Proxy) -> Vec<Measured>,
    ) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let proxy = peer.start(self.scene, way, warm)?;
            let measured = self.runtime.block_on(async { timeout(PATIENCE, act(&proxy)).await });
            Some(measured.expect("it is measured in time"))
        }));
        match result {
            Ok(measured) => {
                for (figure, value) in measured.into_iter().flatten() {
                    // It shares its pages with the load and the upstream, which are this program too.
                    if (figure, peer) == (Figure::RestPss, Peer::Ideal) {
                        continue;
                    }
                    self.figures.add(figure, peer, self.round, value);
                }
            }
            Err(_) => {
                let (peer, row) = (peer.name(), self.row.name());
                self.failures.push(format!("{peer} failed at {row} in round {}", self.round));
            }
        }
    }
}

/// Without connections that are kept ready, as far as a peer has any.
fn cold(peer: Peer) -> Warm {
    if peer.keeps_connections() { Warm::Off } else { Warm::Default }
}
