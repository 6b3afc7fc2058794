//! The gate under random arrivals, departures, closings and second entries. Futures are polled only
//! when they were woken, so a lost wake-up is seen as one who waits before a free place.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::advance;

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    Arrives {
        places: Option<u32>,
        patience_ms: u64,
    },
    /// One who waits or is inside is no more; several at the same instant.
    Leave(Vec<Index>),
    Closes(Index),
    EntersAgain(Index, u64),
    Passes {
        ms: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let patience = || prop_oneof![Just(0_u64), 1..30_000_u64, Just(CLOSED_FOR_MS)];
    prop_oneof![
        5 => (proptest::option::weighted(0.95, 1..5_u32), patience())
            .prop_map(|(places, patience_ms)| Event::Arrives { places, patience_ms }),
        4 => vec(any::<Index>(), 1..4).prop_map(Event::Leave),
        1 => any::<Index>().prop_map(Event::Closes),
        1 => (any::<Index>(), patience()).prop_map(|(who, ms)| Event::EntersAgain(who, ms)),
        3 => prop_oneof![Just(CLOSED_FOR_MS), 1..12_000_u64].prop_map(|ms| Event::Passes { ms }),
    ]
}

const CLOSED_FOR_MS: u64 = 10_000;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Entering = Pin<Box<dyn Future<Output = Result<Permit, Full>>>>;

/// One who came, by the number of its arrival.
struct Guest {
    number: usize,
    deadline: Instant,
    state: State,
    woken: Arc<Woken>,
}

enum State {
    Waits(Entering),
    Inside(Permit),
}

/// The gate and what should be true of it.
struct Model {
    gates: Gates,
    guests: Vec<Guest>,
    arrived: usize,
    places: Option<u32>,
    closed_until: Option<Instant>,
}

impl Model {
    fn inside(&self) -> usize {
        self.guests.iter().filter(|guest| matches!(guest.state, State::Inside(_))).count()
    }

    fn begin(&mut self, number: usize, deadline: Instant, entering: Entering) {
        // Polled first when it begins, as a task is.
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.guests.push(Guest { number, deadline, state: State::Waits(entering), woken });
        self.run();
    }

    fn arrive(&mut self, places: Option<u32>, patience_ms: u64) {
        let deadline = Instant::now() + Duration::from_millis(patience_ms);
        let user = Username::parse("scan@a.example").unwrap();
        let mailbox = Mailbox::new("microsoft", &user, Protocol::Submission);
        let (gates, number) = (self.gates.clone(), self.arrived);
        self.arrived += 1;
        self.places = places;
        let places = places.map(|places| NonZeroU32::new(places).unwrap());
        let entering = async move { gates.enter(mailbox, places, deadline).await };
        self.begin(number, deadline, Box::pin(entering));
    }

    fn leave(&mut self, who: &[Index]) {
        for who in who {
            if !self.guests.is_empty() {
                drop(self.guests.swap_remove(who.index(self.guests.len())));
            }
        }
        self.run();
    }

    /// One of those who are inside.
    fn insider(&self, who: Index) -> Option<usize> {
        let inside: Vec<_> = self
            .guests
            .iter()
            .enumerate()
            .filter(|(_, guest)| matches!(guest.state, State::Inside(_)))
            .map(|(index, _)| index)
            .collect();
        (!inside.is_empty()).then(|| *who.get(&inside))
    }

    fn close(&mut self, who: Index) {
        let Some(insider) = self.insider(who) else { return };
        if let State::Inside(permit) = &self.guests[insider].state {
            permit.close_gate();
            self.closed_until = Some(Instant::now() + CLOSED_FOR);
        }
        self.run();
    }

    fn enter_again(&mut self, who: Index, patience_ms: u64) {
        let Some(insider) = self.insider(who) else { return };
        let guest = self.guests.swap_remove(insider);
        let State::Inside(permit) = guest.state else { unreachable!() };
        let deadline = Instant::now() + Duration::from_millis(patience_ms);
        self.begin(guest.number, deadline, Box::pin(permit.enter_again(deadline)));
    }

    /// Polls who was woken until nobody is, and looks whom the gate let in.
    fn run(&mut self) {
        let now = Instant::now();
        let is_closed = self.closed_until.is_some_and(|until| until > now);
        let mut let_in = Vec::new();
        while let Some(index) =
            self.guests.iter().position(|guest| guest.woken.0.swap(false, Ordering::SeqCst))
        {
            let guest = &mut self.guests[index];
            let State::Waits(entering) = &mut guest.state else { continue };
            let waker = Waker::from(Arc::clone(&guest.woken));
            match entering.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => {}
                Poll::Ready(Ok(permit)) => {
                    let_in.push(guest.number);
                    guest.state = State::Inside(permit);
                }
                Poll::Ready(Err(Full)) => {
                    assert!(guest.deadline <= now, "it gave up early");
                    self.guests.swap_remove(index);
                }
            }
        }
        self.check(&let_in, is_closed);
    }

    fn check(&self, let_in: &[usize], is_closed: bool) {
        let now = Instant::now();
        let places = self.places.map_or(usize::MAX, |places| places.try_into().unwrap());
        assert!(let_in.is_empty() || !is_closed, "closed, it let {let_in:?} in");
        assert!(let_in.is_empty() || self.inside() <= places, "{} are inside", self.inside());
        let mut waiting = self.guests.iter().filter(|guest| matches!(guest.state, State::Waits(_)));
        assert!(waiting.clone().all(|guest| guest.deadline > now), "one waits for too long");
        let has_place = !is_closed && self.inside() < places;
        assert!(!has_place || waiting.clone().next().is_none(), "one waits before a free place");
        let last_in = let_in.iter().max();
        assert!(waiting.all(|guest| last_in.is_none_or(|last| *last < guest.number)), "overtaken");
        let gates = self.gates.lock();
        let counted = gates.gates.values().map(|gate| gate.inside).sum::<u32>();
        assert_eq!(usize::try_from(counted).unwrap(), self.inside());
    }

    async fn pass(&mut self, ms: u64) {
        // In steps that end when something is due, so that the model sees each of them.
        let end = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < end {
            let now = Instant::now();
            let due = self.guests.iter().map(|guest| guest.deadline).chain(self.closed_until);
            let next = due.filter(|due| *due > now).chain([end]).min().unwrap().min(end);
            advance(next - now).await;
            tokio::task::yield_now().await;
            self.run();
        }
    }
}

async fn play(events: Vec<Event>) {
    let gates = Gates::default();
    let mut model = Model {
        gates: gates.clone(),
        guests: Vec::new(),
        arrived: 0,
        places: None,
        closed_until: None,
    };
    for event in events {
        match event {
            Event::Arrives { places, patience_ms } => model.arrive(places, patience_ms),
            Event::Leave(who) => model.leave(&who),
            Event::Closes(who) => model.close(who),
            Event::EntersAgain(who, patience_ms) => model.enter_again(who, patience_ms),
            Event::Passes { ms } => model.pass(ms).await,
        }
    }
    // Whoever is left goes, inside or not, and the gate opens again.
    while let Some(guest) = model.guests.pop() {
        drop(guest);
        model.run();
    }
    advance(2 * CLOSED_FOR).await;
    model.arrive(None, 0);
    model.guests.clear();
    assert_eq!(gates.lock().gates.len(), 0, "{gates:?}");
}

proptest! {
    #[test]
    fn gate_keeps_order_and_places_whatever_happens(events in vec(event(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(events));
    }
}
