//! How often a command asks how far a consent is.

use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

use super::*;
use crate::web::control::Ask as _;

/// What came of a consent, and at which seconds it was asked about. The relay answers the first
/// question after `first`, three at once as if it had many to answer, and then that it is kept.
async fn asked(first: Duration) -> (ConsentKept, Vec<u64>) {
    let begun_at = Instant::now();
    let questions = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&questions);
    let answer = async move || {
        let count = {
            let mut heard = heard.lock().unwrap();
            heard.push(begun_at.elapsed().as_secs());
            heard.len()
        };
        let kept = json!({"account": "alice", "user": null, "missing": [], "unsaved": null});
        match count {
            1 => tokio::time::sleep(first).await,
            2..=4 => {}
            _ => return Json(kept),
        }
        Json(Value::Null)
    };
    let router = Router::new().route(ConsentProgress::PATH, post(answer));
    let interrupts = signal(SignalKind::interrupt()).unwrap();
    let consent = "id".to_owned();
    let waiting = Waiting { consent, interrupts, inputs: None, ask_at: Instant::now() };
    let kept = waiting.wait(&mut Visit::to(router)).await.unwrap();
    let questions = questions.lock().unwrap().clone();
    (kept, questions)
}

#[tokio::test(start_paused = true)]
async fn progress_is_asked_for_at_once_after_a_wait_and_else_two_seconds_later() {
    for (first, expected) in [(0, [0, 2, 4, 6, 8]), (1, [0, 2, 4, 6, 8]), (25, [0, 25, 27, 29, 31])]
    {
        let (kept, questions) = asked(Duration::from_secs(first)).await;
        assert_eq!((kept.account.as_str(), &questions[..]), ("alice", &expected[..]), "{first}");
    }
}
