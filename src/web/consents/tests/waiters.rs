//! How long a consent waits for its person while nobody waits for it.

use tokio::net::TcpStream;
use tokio::time::advance;

use super::*;
use crate::web::consents::waiter::SILENCE_MAX;

const SECOND: Duration = Duration::from_secs(1);

/// Asks for the consent of `account` as a command does.
async fn command(operator: &Operator, account: &str) -> ConsentId {
    let begun =
        operator.begin_consent(&name(account), Method::Browser, Vec::new(), Waiter::Command).await;
    let Ok(Begun::Browser { id, .. }) = begun else { panic!("{begun:?}") };
    id
}

/// Lets `time` pass, and then everybody do what they have to do.
async fn pass(time: Duration) {
    advance(time).await;
    tokio::time::sleep(Duration::from_millis(1)).await; // the timer's own grain
}

/// Whether the consent `id` is at its end; unlike a question, this counts for nothing.
fn has_ended(operator: &Operator, id: &ConsentId) -> bool {
    operator.consents.lock().iter().find(|pending| pending.id == *id).unwrap().has_ended()
}

#[tokio::test(start_paused = true)]
async fn consent_of_a_command_that_was_never_heard_of_again_ends_after_a_minute() {
    let operator = alice();
    let id = command(&operator, ALICE).await;
    pass(SILENCE_MAX - SECOND).await;
    assert!(!has_ended(&operator, &id));
    pass(SECOND).await;
    assert!(has_ended(&operator, &id));
    let error = ended(&operator, &id).await;
    assert_eq!((&error, error.class()), (&ConsentError::Abandoned.into(), Class::Failed));
    assert!(error.to_string().contains("for a minute") && SILENCE_MAX.as_secs() == 60);
}

#[tokio::test(start_paused = true)]
async fn consent_of_a_command_lives_a_minute_longer_with_each_question() {
    let operator = alice();
    let id = command(&operator, ALICE).await;
    for _ in 0..5 {
        pass(SILENCE_MAX - SECOND).await;
        assert!(waits(&operator, &id).await);
    }
    // What was pasted in vain shows as well that somebody is there.
    pass(SILENCE_MAX - SECOND).await;
    operator.answer_by_paste(&id, "0.code").await.unwrap_err();
    pass(SILENCE_MAX - SECOND).await;
    assert!(!has_ended(&operator, &id));
    pass(SECOND).await;
    assert_eq!(ended(&operator, &id).await, ConsentError::Abandoned.into());
}

#[tokio::test(start_paused = true)]
async fn consent_of_a_command_that_goes_on_asking_waits_ten_minutes_and_no_longer() {
    let operator = alice();
    let begun_at = Instant::now();
    let id = command(&operator, ALICE).await;
    let outcome = loop {
        let progress = operator.consent_progress(&id, Duration::MAX).await.unwrap();
        if let Progress::Ended(outcome) = progress {
            break outcome;
        }
    };
    assert_eq!(outcome, Err(ConsentError::Expired.into()));
    assert_eq!(begun_at.elapsed().as_secs(), PATIENCE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn consent_of_the_page_waits_for_its_person_though_nobody_looks() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Browser).await.unwrap();
    pass(PATIENCE - SECOND).await;
    assert!(!has_ended(&operator, &asked.id));
    let query = format!("error=access_denied&state={}", asked.state());
    let denied = operator.answer_consent(&query).await.unwrap_err();
    assert!(matches!(denied, OperatorError::Consent(AuthorizeError::Denied { .. })), "{denied:?}");
}

#[tokio::test]
async fn consent_that_is_given_up_holds_no_place_and_no_port() {
    let people: Vec<_> = (0..65).map(|number| format!("user{number}@contoso.com")).collect();
    let operator = with(people.iter().map(|it| of_person(it)).collect(), None);
    let mut ids = Vec::new();
    for person in &people[..64] {
        ids.push(command(&operator, person).await);
    }
    let begun = begin(&operator, &people[64], Method::Paste).await;
    assert_eq!(begun.map(|_| ()).unwrap_err(), ConsentError::TooMany.into());
    let uri = operator.consents.with(&ids[0], |pending| pending.redirect.clone().unwrap().uri);
    let address = uri.unwrap().replace("http://", "").replace('/', "");
    TcpStream::connect(&address).await.unwrap();

    tokio::time::pause();
    pass(SILENCE_MAX).await;
    assert!(ids.iter().all(|id| has_ended(&operator, id)));
    tokio::time::resume();
    TcpStream::connect(&address).await.unwrap_err();
    begin(&operator, &people[64], Method::Paste).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn consent_that_the_provider_was_slow_to_begin_does_not_end_a_later_one() {
    let operator = alice();
    let wanted_at = Instant::now();
    pass(SECOND).await;
    let later = command(&operator, ALICE).await;
    let id = ConsentId::draw().unwrap();
    let slow = operator.consents.add(id, name(ALICE), None, Waiter::Command, wanted_at);
    assert_eq!(slow.map(|_| ()), Err(ConsentError::Replaced));
    assert!(waits(&operator, &later).await);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_at_once_when_enough_others_wait() {
    let operator = alice();
    let id = command(&operator, ALICE).await;
    let begun_at = Instant::now();
    let question = |operator: &Operator| {
        let (operator, id) = (operator.clone(), id.clone());
        tokio::spawn(async move { operator.consent_progress(&id, Duration::MAX).await })
    };
    let waiting: Vec<_> = (0..QUESTIONS_MAX).map(|_| question(&operator)).collect();
    tokio::task::yield_now().await;
    let one_more = question(&operator).await.unwrap();
    assert_eq!((one_more, begun_at.elapsed()), (Ok(Progress::Waiting), Duration::ZERO));
    for question in waiting {
        assert_eq!(question.await.unwrap(), Ok(Progress::Waiting));
    }
    assert_eq!(begun_at.elapsed().as_secs(), 25);
    question(&operator).await.unwrap().unwrap();
    assert_eq!(begun_at.elapsed().as_secs(), 50, "there are places again");

    let _waiting: Vec<_> = (0..QUESTIONS_MAX).map(|_| question(&operator)).collect();
    tokio::task::yield_now().await;
    let ended = operator.end_consent(&id).await.unwrap();
    assert_eq!(ended, Progress::Ended(Err(ConsentError::BrokenOff.into())), "ending needs none");
}
