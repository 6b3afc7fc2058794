//! Faults: what goes wrong at the token endpoint by order, before or behind its own judgement.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::script::Times;

/// Something that goes wrong at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status, content type and body.
    Status(u16, String, String),
    /// This status, and these headers and body. What is no header is left out.
    Answer {
        /// The status.
        status: u16,
        /// Names and values: `Retry-After`, `Content-Type`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// 200 with the page of a captive portal.
    Html,
    /// 307 to this URL.
    Redirect(String),
    /// No answer until the sandbox is dropped.
    Hang,
    /// The request is carried out, and a refresh token rotates; the answer waits until
    /// [`Sandbox::release_answers`](super::Sandbox::release_answers).
    Hold,
    /// The connection is closed before the request is read. It counts as a request.
    Close,
}

/// The faults that wait, and the answers that are held.
pub(super) struct Faults {
    queue: Mutex<VecDeque<(Fault, Times)>>,
    released: watch::Sender<()>,
}

/// Lets an answer go when it may.
#[derive(Debug, Clone)]
pub(super) struct Held(Option<watch::Receiver<()>>);

impl Faults {
    /// Nothing has gone wrong yet.
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), released: watch::Sender::new(()) }
    }

    /// Adds a fault, behind those that wait already.
    pub(super) fn add(&self, fault: Fault, times: Times) {
        self.with(|faults| faults.push_back((fault, times)));
    }

    /// Removes all faults. What hangs or is held stays so.
    pub(super) fn clear(&self) {
        self.with(VecDeque::clear);
    }

    /// Lets the answers go that are held, and those of requests that have come.
    pub(super) fn release(&self) {
        self.released.send_replace(());
    }

    /// The fault that is due, counted as done, if it is a `wanted` one.
    pub(super) fn take(&self, wanted: fn(&Fault) -> bool) -> Option<Fault> {
        self.with(|faults| {
            faults.retain(|(_, times)| *times != Times::Next(0));
            let (fault, times) = faults.front_mut().filter(|(fault, _)| wanted(fault))?;
            *times = times.count().1;
            Some(fault.clone())
        })
    }

    /// What holds the answer of a request that meets `fault`.
    pub(super) fn hold(&self, fault: Option<&Fault>) -> Held {
        Held((fault == Some(&Fault::Hold)).then(|| self.released.subscribe()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<(Fault, Times)>) -> T) -> T {
        change(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Held {
    /// Waits until the answer may go, or the sandbox ends.
    pub(super) async fn wait(self, stop: &CancellationToken) {
        let Some(mut released) = self.0 else { return };
        tokio::select! {
            // It fails only when there is nobody left to release it.
            _ = released.changed() => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Fault {
    /// What is answered in the endpoint's place; `None` where it answers itself.
    pub(super) async fn answer(self, stop: &CancellationToken) -> Option<Response> {
        match self {
            Self::Hold | Self::Close => None,
            Self::Status(status, content_type, body) => {
                Some((code(status), [(header::CONTENT_TYPE, content_type)], body).into_response())
            }
            Self::Answer { status, headers, body } => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = code(status);
                response.headers_mut().extend(headers.iter().filter_map(|(name, value)| {
                    let name = HeaderName::try_from(name).ok()?;
                    Some((name, HeaderValue::try_from(value).ok()?))
                }));
                Some(response)
            }
            Self::Html => {
                let page = Html("<html><body>Sign in to the guest network</body></html>");
                Some(page.into_response())
            }
            Self::Redirect(url) => {
                Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response())
            }
            Self::Hang => {
                stop.cancelled().await;
                Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
