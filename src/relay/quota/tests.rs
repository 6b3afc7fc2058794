//! The quota's promises, on a clock that stands still.

use tokio::time::advance;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn quota(quotas: &Quotas, per_hour: u32) -> Quota {
    quotas.of("scanner-2", NonZeroU32::new(per_hour).unwrap())
}

#[tokio::test(start_paused = true)]
async fn quota_takes_as_many_messages_as_an_hour_may_have() {
    let quota = quota(&Quotas::default(), 200);
    assert!((0..200).all(|_| quota.take()));
    assert!(!quota.take());
    advance(HOUR - Duration::from_millis(1)).await;
    assert!(!quota.take(), "what was refused does not count either");
    advance(Duration::from_millis(1)).await;
    assert!((0..200).all(|_| quota.take()));
    assert!(!quota.take());
}

#[tokio::test(start_paused = true)]
async fn quota_slides_message_by_message() {
    let quota = quota(&Quotas::default(), 2);
    assert!(quota.take());
    advance(30 * MINUTE).await;
    assert!(quota.take() && !quota.take());
    advance(30 * MINUTE).await;
    assert!(quota.take() && !quota.take());
    advance(30 * MINUTE).await;
    assert!(quota.take() && !quota.take());
}

#[tokio::test(start_paused = true)]
async fn message_that_is_given_back_does_not_count() {
    let quota = quota(&Quotas::default(), 1);
    quota.give_back();
    assert!(quota.take() && !quota.take());
    quota.give_back();
    quota.give_back();
    assert!(quota.take() && !quota.take(), "what was never taken is not given back");
}

#[tokio::test(start_paused = true)]
async fn session_gives_back_its_own_message_and_no_other() {
    let quotas = Quotas::default();
    let [first, second] = [quota(&quotas, 2), quota(&quotas, 2)];
    assert!(first.take());
    advance(30 * MINUTE).await;
    assert!(second.take() && !first.take());
    first.give_back();
    first.give_back();
    assert!(first.take());
    advance(30 * MINUTE).await;
    assert!(!second.take(), "two began half an hour ago, whoever gave back");
}

#[tokio::test(start_paused = true)]
async fn quota_is_one_for_all_sessions_of_a_device_and_changes_at_once() {
    let quotas = Quotas::default();
    let old = quota(&quotas, 1);
    assert!(old.take() && !old.take());
    let new = quota(&quotas, 3);
    assert!(old.take() && new.take() && !new.take());
    let less = quota(&quotas, 1);
    assert!(!less.take());
    assert!(quotas.of("scanner-3", NonZeroU32::MIN).take());
}

#[tokio::test(start_paused = true)]
async fn quota_outlives_the_session_and_is_forgotten_an_hour_later() {
    let quotas = Quotas::default();
    assert!(quota(&quotas, 1).take());
    advance(HOUR - MINUTE).await;
    assert!(!quota(&quotas, 1).take());
    assert_eq!(quotas.0.count(), 1);
    advance(MINUTE).await;
    quotas.of("scanner-3", NonZeroU32::MIN);
    assert_eq!(quotas.0.count(), 1, "the first is forgotten");
}
