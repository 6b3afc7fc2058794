//! The pace's promises, on a clock that stands still.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::names::Username;
use crate::provider::Protocol;

const SECOND: Duration = Duration::from_secs(1);

fn mailbox(user: &str) -> Mailbox {
    Mailbox::new("microsoft", &Username::parse(user).unwrap(), Protocol::Submission)
}

fn pace(paces: &Paces, per_minute: u32) -> Pace {
    paces.of(&mailbox("scan@a.example"), NonZeroU32::new(per_minute).unwrap())
}

/// How long a turn is waited for.
fn wait_of(turn: &Turn) -> Duration {
    turn.at() - Instant::now()
}

#[tokio::test(start_paused = true)]
async fn pace_gives_as_many_turns_at_once_as_a_minute_may_have() {
    let pace = pace(&Paces::default(), 40);
    for _ in 0..40 {
        let turn = pace.take_turn().unwrap();
        assert_eq!(wait_of(&turn), Duration::ZERO);
        turn.used();
    }
    let next = pace.take_turn().unwrap();
    assert_eq!(wait_of(&next), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn pace_slides_so_that_each_message_makes_room_for_one_a_minute_later() {
    let pace = pace(&Paces::default(), 2);
    pace.take_turn().unwrap().used();
    advance(20 * SECOND).await;
    pace.take_turn().unwrap().used();
    advance(30 * SECOND).await;
    let [third, fourth] = [(); 2].map(|()| pace.take_turn().unwrap());
    assert_eq!(wait_of(&third), 10 * SECOND);
    assert_eq!(wait_of(&fourth), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pace_gives_no_turn_that_would_come_later_than_in_a_minute() {
    let pace = pace(&Paces::default(), 1);
    pace.take_turn().unwrap().used();
    let second = pace.take_turn().unwrap();
    assert_eq!(wait_of(&second), MINUTE);
    assert!(pace.take_turn().is_none());
    advance(MINUTE - SECOND).await;
    assert!(pace.take_turn().is_none(), "it would come in 61 s");
    advance(SECOND).await;
    second.used();
    assert_eq!(wait_of(&pace.take_turn().unwrap()), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn turn_that_is_dropped_is_given_back() {
    let pace = pace(&Paces::default(), 1);
    drop(pace.take_turn().unwrap());
    pace.take_turn().unwrap().used();
    drop(pace.take_turn().unwrap());
    assert_eq!(wait_of(&pace.take_turn().unwrap()), MINUTE, "not behind the one given back");
}

#[tokio::test(start_paused = true)]
async fn turn_that_was_given_back_lets_nobody_pass_those_who_wait() {
    let pace = pace(&Paces::default(), 2);
    pace.take_turn().unwrap().used();
    advance(10 * SECOND).await;
    pace.take_turn().unwrap().used();
    let [first, second] = [(); 2].map(|()| pace.take_turn().unwrap());
    assert_eq!((wait_of(&first), wait_of(&second)), (50 * SECOND, MINUTE));
    drop(first);
    assert_eq!(wait_of(&pace.take_turn().unwrap()), MINUTE);
}

#[tokio::test(start_paused = true)]
async fn turn_counts_from_when_its_message_began() {
    let pace = pace(&Paces::default(), 1);
    let late = pace.take_turn().unwrap();
    advance(5 * SECOND).await;
    late.used();
    advance(10 * SECOND).await;
    assert_eq!(wait_of(&pace.take_turn().unwrap()), 50 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pace_is_one_for_all_sessions_of_a_mailbox_and_changes_with_the_next_turn() {
    let paces = Paces::default();
    let old = pace(&paces, 1);
    old.take_turn().unwrap().used();
    let new = pace(&paces, 3);
    for pace in [&old, &new] {
        let turn = pace.take_turn().unwrap();
        assert_eq!(wait_of(&turn), Duration::ZERO);
        turn.used();
    }
    assert_eq!(wait_of(&old.take_turn().unwrap()), MINUTE);
    let less = pace(&paces, 1);
    advance(30 * SECOND).await;
    assert_eq!(wait_of(&less.take_turn().unwrap()), 30 * SECOND);
    let other = paces.of(&mailbox("other@a.example"), NonZeroU32::MIN);
    assert_eq!(wait_of(&other.take_turn().unwrap()), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pace_remembers_two_minutes_at_most_and_nothing_of_idle_mailboxes() {
    let paces = Paces::default();
    let own = pace(&paces, 100);
    let mut turns = Vec::new();
    for _ in 0..1_000 {
        turns.extend(own.take_turn());
        advance(SECOND / 10).await;
        let due = |turn: &mut Turn| turn.at() <= Instant::now();
        turns.extract_if(.., due).for_each(Turn::used);
        assert!(own.0.lock().len() <= 200, "{}", own.0.lock().len());
    }
    drop((own, turns));
    for number in 0..100 {
        let one = paces.of(&mailbox(&format!("{number}@a.example")), NonZeroU32::MIN);
        one.take_turn().unwrap().used();
    }
    assert_eq!(paces.0.count(), 101);
    advance(MINUTE - SECOND).await;
    let held = paces.of(&mailbox("1@a.example"), NonZeroU32::MIN);
    advance(2 * MINUTE).await;
    pace(&paces, 1);
    assert_eq!(paces.0.count(), 2, "one is held, one was asked for");
    drop(held);
}

proptest! {
    #[test]
    fn pace_never_begins_more_messages_in_any_minute_than_it_may(
        per_minute in 1..6_u32,
        steps in vec((0..20_000_u64, 0..10_u8), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let begun = runtime.block_on(play(per_minute, steps));
        let most = usize::try_from(per_minute).unwrap();
        for (first, beyond) in begun.iter().zip(begun.iter().skip(most)) {
            prop_assert!(*beyond - *first >= MINUTE, "{:?}", begun);
        }
    }
}

/// When messages began whose clients come at random; one in ten leaves before its turn.
async fn play(per_minute: u32, steps: Vec<(u64, u8)>) -> Vec<Instant> {
    let pace = pace(&Paces::default(), per_minute);
    let mut turns: Vec<Turn> = Vec::new();
    let mut begun = Vec::new();
    let mut last_at = Instant::now();
    for (ms, choice) in steps {
        if let Some(turn) = pace.take_turn() {
            assert!(turn.at() >= last_at, "first come, first served");
            assert!(wait_of(&turn) <= MINUTE);
            last_at = turn.at();
            turns.push(turn);
        }
        if choice == 0 && !turns.is_empty() {
            drop(turns.remove(turns.len() / 2));
        }
        let end = Instant::now() + Duration::from_millis(ms);
        while turns.first().is_some_and(|turn| turn.at() <= end) {
            let turn = turns.remove(0);
            advance(turn.at().saturating_duration_since(Instant::now())).await;
            begun.push(Instant::now());
            turn.used();
        }
        advance(end - Instant::now()).await;
    }
    begun
}
