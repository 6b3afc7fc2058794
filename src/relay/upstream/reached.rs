//! A connection on which a sign-in can begin, whether it was dialled for it or made ahead.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};

use super::connection::{Connection, Failed};
use super::{Destination, SignInError, SignedIn, UpstreamStream};
use crate::net::socket::end_unacknowledged_after;
use crate::proto::{AwaitToken, Input, Upstream};
use crate::provider::MailHost;
use crate::secret::AccessToken;

/// How long what is shown on a connection made ahead may stay unacknowledged.
///
/// Nobody knows whether such a connection still leads anywhere: a NAT may have forgotten it, or the
/// route be gone. Where a round trip takes less than half a second, TCP has sent four times by then, so
/// a live one is hardly ever given up; and with the dial behind it the client hears within the 30 s
/// after which impatient ones leave.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A connection on which a sign-in can begin.
pub(crate) struct Reached<A> {
    /// How long the server's answers took so far.
    pub(super) talked: Duration,
    pub(super) stream: UpstreamStream,
    /// What it said that was not due.
    pub(super) input: Input,
    pub(super) awaiting: A,
}

impl<A: AwaitToken> Reached<A> {
    /// Signs in at `destination`, which is where it leads, with `token`.
    pub(crate) async fn authenticate(
        self,
        destination: &Destination<'_>,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, SignInError> {
        self.show(destination, token).await.map_err(|failed| failed.error)
    }

    /// The same, with what is known of a failure.
    async fn show(
        self,
        destination: &Destination<'_>,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, Failed> {
        let Self { stream, input, awaiting, .. } = self;
        let connection = Connection { input, ..Connection::new(stream, destination.host) };
        connection.authenticate(awaiting, destination, token).await
    }

    /// The same on a connection made ahead: it is found to have broken once what is shown there has
    /// not been acknowledged for `UNACKNOWLEDGED_MAX`. A server that takes its time acknowledges.
    pub(super) async fn show_ahead(
        self,
        destination: &Destination<'_>,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, Failed> {
        end_unacknowledged_after(self.stream.get_ref(), Some(UNACKNOWLEDGED_MAX));
        let signed_in = self.show(destination, token).await?;
        end_unacknowledged_after(signed_in.stream.get_ref(), None);
        Ok(signed_in)
    }

    /// Goes as far into the sign-in as no token is needed for. Its server is `host`.
    pub(crate) async fn begin(self, host: &MailHost) -> Result<Self, SignInError> {
        let Self { talked, stream, input, awaiting } = self;
        let connection = Connection { input, ..Connection::new(stream, host) };
        let (connection, awaiting) = connection.begin(awaiting).await?;
        let Connection { stream, input, .. } = connection;
        Ok(Self { talked, stream, input, awaiting })
    }

    /// Waits until the server says something that nobody asked for, or closes.
    pub(crate) fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() {
            return Poll::Ready(());
        }
        let mut byte = [0];
        Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).map(drop)
    }

    /// The machine.
    pub(crate) fn awaiting(&mut self) -> &mut A {
        &mut self.awaiting
    }

    /// The connection, where no sign-in begins.
    pub(crate) fn into_stream(self) -> UpstreamStream {
        self.stream
    }
}
