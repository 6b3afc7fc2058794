//! The measurements of one proxy before an upstream that is far away, in round trips.

use std::time::{Duration, Instant};

use super::client::{Imap, Submission};
use super::delay::ROUND_TRIP;
use super::figure::Figure;
use super::load::Load;
use super::measure::{Measured, middle};
use super::peer::Proxy;

/// Whether connections may be ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Temperature {
    Cold,
    Warm,
}

/// How long a busy application waits from one session to the next: time for a connection to get
/// ready, which takes seven round trips at most.
const PAUSE: Duration = Duration::from_millis(400);

/// Sessions that come before those which are measured: the first fetches the token, and connections
/// are kept ready in proportion to them.
const FIRST: usize = 2;

/// IMAP sign-ins, and messages from the connect to the reply that takes them.
pub async fn implicit(proxy: &Proxy, load: &Load, temperature: Temperature) -> Vec<Measured> {
    let sign_in = measure(load, temperature, async || {
        let started = Instant::now();
        let client = Imap::sign_in(&proxy.door, proxy.steps).await;
        let took = started.elapsed();
        client.logout().await;
        took
    })
    .await;
    let message = measure(load, temperature, async || {
        let started = Instant::now();
        let mut session = Submission::sign_in(&proxy.door).await;
        session.deliver(load.message_len).await;
        let took = started.elapsed();
        session.quit().await;
        took
    })
    .await;
    match temperature {
        Temperature::Cold => vec![(Figure::FarImap, sign_in), (Figure::FarMessage, message)],
        Temperature::Warm => {
            vec![(Figure::FarImapWarm, sign_in), (Figure::FarMessageWarm, message)]
        }
    }
}

/// Submission sign-ins behind STARTTLS.
pub async fn starttls(proxy: &Proxy, load: &Load, temperature: Temperature) -> Vec<Measured> {
    let sign_in = measure(load, temperature, async || {
        let started = Instant::now();
        let session = Submission::sign_in(&proxy.door).await;
        let took = started.elapsed();
        session.quit().await;
        took
    })
    .await;
    let figure = match temperature {
        Temperature::Cold => Figure::FarStartTls,
        Temperature::Warm => Figure::FarStartTlsWarm,
    };
    vec![(figure, sign_in)]
}

/// The median of what `act` took, in round trips.
async fn measure(load: &Load, temperature: Temperature, act: impl AsyncFn() -> Duration) -> f64 {
    let mut round_trips = Vec::new();
    for session in 0..FIRST + load.far {
        let took = act().await;
        if session >= FIRST {
            round_trips.push(took.as_secs_f64() / ROUND_TRIP.as_secs_f64());
        }
        if temperature == Temperature::Warm {
            tokio::time::sleep(PAUSE).await;
        }
    }
    middle(round_trips)
}
