//! The gate's promises one by one, on a clock that stands still until everybody waits.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn mailbox(user: &str) -> Mailbox {
    Mailbox::new("microsoft", &Username::parse(user).unwrap(), Protocol::Submission)
}

fn places(count: u32) -> Option<NonZeroU32> {
    Some(NonZeroU32::new(count).unwrap())
}

/// A gate for one mailbox, and what happens at it.
#[derive(Clone, Default)]
struct Scene {
    gates: Gates,
}

impl Scene {
    /// Enters where a place must be free: nothing is waited for.
    async fn enter(&self, count: u32) -> Permit {
        let entered = self.gates.enter(mailbox("scan@a.example"), places(count), Instant::now());
        entered.await.unwrap()
    }

    /// Begins to wait, behind all that wait already.
    async fn wait(&self, count: u32, patience: Duration) -> JoinHandle<Result<Permit, Full>> {
        let (gates, deadline) = (self.gates.clone(), Instant::now() + patience);
        let task = tokio::spawn(async move {
            gates.enter(mailbox("scan@a.example"), places(count), deadline).await
        });
        settled().await;
        task
    }

    fn known(&self) -> usize {
        self.gates.lock().gates.len()
    }

    fn queue(&self) -> usize {
        self.gates.lock().gates.values().map(|gate| gate.queue.len()).sum()
    }

    /// Lets one through after any closing is over, after which nothing may be left.
    async fn assert_forgotten(&self) {
        advance(2 * CLOSED_FOR).await;
        let other = self.gates.enter(mailbox("other@a.example"), None, Instant::now()).await;
        drop(other.unwrap());
        assert_eq!(self.known(), 0, "{:?}", self.gates);
    }
}

/// Lets every task run as far as it can, without any time passing.
async fn settled() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn gate_lets_in_as_many_as_there_are_places_and_the_rest_in_order() {
    let scene = Scene::default();
    let mut inside = vec![scene.enter(3).await, scene.enter(3).await, scene.enter(3).await];
    let first = scene.wait(3, 60 * SECOND).await;
    let second = scene.wait(3, 60 * SECOND).await;
    advance(5 * SECOND).await;
    assert!(!first.is_finished() && !second.is_finished());
    inside.pop();
    settled().await;
    assert!(first.is_finished() && !second.is_finished());
    assert_eq!(first.await.unwrap().unwrap().waited(), 5 * SECOND);
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.waited(), 5 * SECOND, "the first one's permit was dropped at once");
    drop((inside, second));
    assert_eq!(scene.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn gate_never_lets_anybody_pass_those_who_wait() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    let waiter = scene.wait(1, 60 * SECOND).await;
    drop(inside);
    // The place is free and the waiter has not run yet. It has the place all the same.
    let late = scene.gates.enter(mailbox("scan@a.example"), places(1), Instant::now()).await;
    assert_eq!(late.unwrap_err(), Full);
    assert!(waiter.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn gate_is_one_for_a_mailbox_however_its_user_is_written() {
    let gates = Gates::default();
    let at_once = |mailbox| gates.enter(mailbox, places(1), Instant::now());
    let _inside = at_once(mailbox("scan@a.example")).await.unwrap();
    assert_eq!(at_once(mailbox("Scan@A.example")).await.unwrap_err(), Full);
    let user = Username::parse("scan@a.example").unwrap();
    for other in [
        mailbox("other@a.example"),
        Mailbox::new("google", &user, Protocol::Submission),
        Mailbox::new("microsoft", &user, Protocol::Imap),
    ] {
        assert!(at_once(other.clone()).await.is_ok(), "{other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn gate_lets_everybody_in_where_no_limit_is_known() {
    let gates = Gates::default();
    let mut inside = Vec::new();
    for _ in 0..1_000 {
        let entered = gates.enter(mailbox("scan@a.example"), None, Instant::now()).await;
        inside.push(entered.unwrap());
    }
    assert_eq!(inside.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn waiter_is_told_at_its_deadline_that_the_gate_stayed_full() {
    let scene = Scene::default();
    let begun = Instant::now();
    let inside = scene.enter(1).await;
    let waiter = scene.wait(1, 60 * SECOND).await;
    let patient = scene.wait(1, 70 * SECOND).await;
    assert_eq!(waiter.await.unwrap().unwrap_err(), Full);
    assert_eq!(begun.elapsed(), 60 * SECOND);
    assert_eq!(scene.queue(), 1, "it left the queue");
    drop(inside);
    assert!(patient.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiter_whose_deadline_is_past_gets_a_place_that_is_free() {
    let scene = Scene::default();
    let past = Instant::now();
    advance(SECOND).await;
    let enter = || scene.gates.enter(mailbox("scan@a.example"), places(1), past);
    let inside = enter().await.unwrap();
    assert_eq!(inside.waited(), Duration::ZERO);
    assert_eq!(enter().await.unwrap_err(), Full);
    drop(inside);
    assert!(enter().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn waiter_that_gives_up_leaves_the_queue_to_the_next() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    let [first, second] = [scene.wait(1, 60 * SECOND).await, scene.wait(1, 60 * SECOND).await];
    first.abort();
    settled().await;
    assert_eq!(scene.queue(), 1);
    drop(inside);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(scene.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn place_goes_on_to_the_next_when_its_waiter_gives_up_at_that_instant() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    let [first, second] = [scene.wait(1, 60 * SECOND).await, scene.wait(1, 60 * SECOND).await];
    drop(inside);
    assert_eq!(scene.queue(), 1, "the first has it, without having run");
    first.abort();
    assert!(second.await.unwrap().is_ok());
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(scene.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn closed_gate_opens_after_ten_seconds_and_lets_in_as_many_as_fit() {
    let scene = Scene::default();
    let begun = Instant::now();
    let inside = scene.enter(2).await;
    inside.close_gate();
    drop(inside);
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(scene.wait(2, 60 * SECOND).await);
    }
    let last = waiters.pop().unwrap();
    let mut let_in = Vec::new();
    for waiter in waiters {
        let_in.push(waiter.await.unwrap().unwrap());
        assert_eq!(begun.elapsed(), 10 * SECOND);
    }
    settled().await;
    assert!(!last.is_finished());
    drop(let_in);
    assert!(last.await.unwrap().is_ok());
    scene.assert_forgotten().await;
}

#[tokio::test(start_paused = true)]
async fn closed_gate_holds_those_who_waited_before_it_was_closed() {
    let scene = Scene::default();
    let [inside, other] = [scene.enter(2).await, scene.enter(2).await];
    let waiter = scene.wait(2, 60 * SECOND).await;
    let begun = Instant::now();
    inside.close_gate();
    drop(other);
    assert!(waiter.await.unwrap().is_ok());
    assert_eq!(begun.elapsed(), 10 * SECOND, "though there was a place, and nobody else came");
    drop(inside);
}

#[tokio::test(start_paused = true)]
async fn closed_gate_counts_from_the_last_432() {
    let scene = Scene::default();
    let inside = scene.enter(2).await;
    let begun = Instant::now();
    inside.close_gate();
    let waiter = scene.wait(2, 60 * SECOND).await;
    advance(7 * SECOND).await;
    inside.close_gate();
    let waited = waiter.await.unwrap().unwrap().waited();
    assert_eq!((begun.elapsed(), waited), (17 * SECOND, 17 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn closed_gate_is_watched_by_the_next_when_the_first_gives_up() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    inside.close_gate();
    drop(inside);
    let begun = Instant::now();
    let short = scene.wait(1, 4 * SECOND).await;
    let gone = scene.wait(1, 60 * SECOND).await;
    let patient = scene.wait(1, 60 * SECOND).await;
    assert_eq!(short.await.unwrap().unwrap_err(), Full);
    assert_eq!(begun.elapsed(), 4 * SECOND);
    gone.abort();
    assert!(patient.await.unwrap().is_ok());
    assert_eq!(begun.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn closed_gate_is_watched_by_one_who_waited_before_it_was_closed() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    let begun = Instant::now();
    let first = scene.wait(1, 60 * SECOND).await;
    inside.close_gate();
    let second = scene.wait(2, 60 * SECOND).await;
    let first = first.await.unwrap().unwrap();
    assert_eq!(begun.elapsed(), 10 * SECOND, "by the second one's places, and nobody left");
    drop((inside, first));
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn gate_that_opens_at_the_deadline_lets_the_waiter_in() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    inside.close_gate();
    drop(inside);
    let [first, second] = [scene.wait(1, CLOSED_FOR).await, scene.wait(1, CLOSED_FOR).await];
    let _inside = first.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap().unwrap_err(), Full);
}

#[tokio::test(start_paused = true)]
async fn who_enters_again_is_before_all_that_had_no_place_yet() {
    let scene = Scene::default();
    let [one, two] = [scene.enter(2).await, scene.enter(2).await];
    let third = scene.wait(2, 60 * SECOND).await;
    one.close_gate();
    let deadline = Instant::now() + 60 * SECOND;
    // The second comes back first, and is still behind the first.
    let (told, mut order) = mpsc::unbounded_channel();
    for (name, permit) in [("two", two), ("one", one)] {
        let told = told.clone();
        tokio::spawn(async move {
            let permit = permit.enter_again(deadline).await.unwrap();
            told.send((name, permit.waited())).unwrap();
            sleep(SECOND).await;
        });
        settled().await;
    }
    let fourth = scene.wait(1, 60 * SECOND).await;
    assert_eq!(order.recv().await, Some(("one", 10 * SECOND)), "one place alone is left");
    assert_eq!(order.recv().await, Some(("two", 11 * SECOND)));
    assert_eq!(third.await.unwrap().unwrap().waited(), 12 * SECOND);
    assert!(fourth.await.unwrap().is_ok());
    scene.assert_forgotten().await;
}

#[tokio::test(start_paused = true)]
async fn who_enters_again_frees_its_place_when_it_gives_up() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    inside.close_gate();
    let again = inside.enter_again(Instant::now() + 3 * SECOND).await;
    assert_eq!(again.unwrap_err(), Full);
    let inside = scene.wait(1, 60 * SECOND).await.await.unwrap().unwrap();
    inside.close_gate();
    let again = tokio::spawn(inside.enter_again(Instant::now() + 60 * SECOND));
    settled().await;
    again.abort();
    assert!(scene.wait(1, 60 * SECOND).await.await.unwrap().is_ok());
    scene.assert_forgotten().await;
}

#[tokio::test(start_paused = true)]
async fn who_enters_again_is_inside_at_once_when_nothing_is_in_the_way() {
    let scene = Scene::default();
    let inside = scene.enter(1).await;
    let waiter = scene.wait(1, 60 * SECOND).await;
    advance(SECOND).await;
    let inside = inside.enter_again(Instant::now()).await.unwrap();
    assert_eq!(inside.waited(), Duration::ZERO);
    settled().await;
    assert!(!waiter.is_finished(), "it passed nobody by");
    drop(inside);
    assert!(waiter.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn changed_number_of_places_counts_from_the_next_entry_on() {
    let scene = Scene::default();
    let mut inside = vec![scene.enter(2).await, scene.enter(2).await];
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(scene.wait(2, 60 * SECOND).await);
    }
    waiters.push(scene.wait(4, 60 * SECOND).await);
    let finished = |waiters: &[JoinHandle<_>]| -> Vec<bool> {
        waiters.iter().map(JoinHandle::is_finished).collect()
    };
    assert_eq!(finished(&waiters), [true, true, false, false], "the first come in by it");
    waiters.push(scene.wait(1, 60 * SECOND).await);
    inside.clear();
    settled().await;
    assert_eq!(finished(&waiters), [true, true, false, false, false], "two are inside yet");
    for _ in 0..2 {
        drop(waiters.remove(0).await);
    }
    settled().await;
    assert_eq!(finished(&waiters), [true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn gate_serves_two_thousand_waiters_in_order_three_at_a_time() {
    const WAITERS: usize = 2_000;
    let scene = Scene::default();
    let (told, mut order) = mpsc::unbounded_channel();
    let inside = Arc::new(Mutex::new((0, 0)));
    let deadline = Instant::now() + 3_600 * SECOND;
    let mut tasks = Vec::new();
    for number in 0..WAITERS {
        let (gates, told, inside) = (scene.gates.clone(), told.clone(), Arc::clone(&inside));
        tasks.push(tokio::spawn(async move {
            let permit = gates.enter(mailbox("scan@a.example"), places(3), deadline).await;
            let permit = permit.unwrap();
            told.send(number).unwrap();
            {
                let (now, most) = &mut *inside.lock().unwrap();
                *now += 1;
                *most = (*most).max(*now);
            }
            if number % 500 == 0 {
                permit.close_gate();
            }
            sleep(SECOND).await;
            inside.lock().unwrap().0 -= 1;
            drop(permit);
        }));
        if number % 100 == 0 {
            settled().await;
        }
    }
    drop(told);
    let mut expected = 0..WAITERS;
    while let Some(number) = order.recv().await {
        assert_eq!(Some(number), expected.next());
    }
    assert_eq!(expected.next(), None);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*inside.lock().unwrap(), (0, 3));
    scene.assert_forgotten().await;
}
