//! A request that tells of what happens while it is carried out.
//!
//! In:  POST, a JSON object, as for an [`Ask`](super::Ask). Out: 200, and JSON objects of a line each
//!      (NDJSON), as they come: [`Told::Line`] any number of times, then [`Told::Done`] or
//!      [`Told::Failed`]. A body that ends without either was broken off.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::post;
use hyper::body::Frame;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Failure, failed, not_stored, read_ask};
use crate::web::operator::{Operator, OperatorError};

/// One kind of such request.
pub trait Telling: Serialize + DeserializeOwned + Send + 'static {
    /// Where it is sent.
    const PATH: &'static str;
    /// What is told meanwhile.
    type Line: Serialize + DeserializeOwned + Send + 'static;
    /// What comes back at the end.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// When it is not done.
    fn carry_out(
        self,
        operator: Operator,
        teller: Teller<Self::Line>,
    ) -> impl Future<Output = Result<Self::Answer, OperatorError>> + Send;
}

/// A line of the answer.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told<L, A> {
    /// Something that happened.
    Line(L),
    /// It is done.
    Done(A),
    /// It is not done.
    Failed(Failure),
}

/// Takes what is to be told. Whoever asked may be gone: then nobody hears it.
///
/// Nothing bounds what waits to be sent: whoever tells has a bounded number of things to tell.
#[derive(Debug)]
pub struct Teller<L> {
    lines: mpsc::UnboundedSender<Bytes>,
    kind: PhantomData<fn(L)>,
}

impl<L: Serialize> Teller<L> {
    /// Tells `line`.
    pub fn tell(&self, line: L) {
        self.write::<()>(&Told::Line(line));
    }

    fn write<A: Serialize>(&self, told: &Told<L, A>) {
        // What is told has neither maps with odd keys nor anything else that JSON has no word for.
        if let Ok(mut line) = serde_json::to_vec(told) {
            line.push(b'\n');
            let _ = self.lines.send(line.into());
        }
    }
}

/// The lines, as the body of a response.
struct Lines(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

pub(super) fn route<T: Telling>(router: Router<Operator>) -> Router<Operator> {
    router.route(T::PATH, post(answer::<T>))
}

async fn answer<T: Telling>(
    State(operator): State<Operator>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let ask: T = match read_ask(T::PATH, body) {
        Ok(ask) => ask,
        Err(error) => return failed(&error),
    };
    let (sender, lines) = mpsc::unbounded_channel();
    // Whoever asked may be gone by Ctrl-C at any time; what has begun goes on to its end all the
    // same, because a new refresh token may be on its way.
    tokio::spawn(async move {
        let teller = |lines| Teller::<T::Line> { lines, kind: PhantomData };
        let last = teller(sender.clone());
        match ask.carry_out(operator, teller(sender)).await {
            Ok(answer) => last.write(&Told::Done(answer)),
            Err(error) => last.write::<T::Answer>(&Told::Failed(Failure::new(&error))),
        }
    });
    let mut response = not_stored(Response::new(Body::new(Lines(lines))));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
    response
}
