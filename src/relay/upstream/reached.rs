//! A connection on which a sign-in can begin, whether it was dialled for it or made ahead.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
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

    /// Waits until the server says something that nobody asked for, or closes. Ready ever after:
    /// what it said is kept.
    pub(crate) fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() {
            return Poll::Ready(());
        }
        let mut byte = [0];
        let mut said = ReadBuf::new(&mut byte);
        // Its end and an error come again with each read.
        let _ = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut said));
        self.input.extend(said.filled());
        Poll::Ready(())
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Waker;

    use rustls::ClientConfig;
    use rustls::version::TLS13;
    use tokio::io::{AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::server;

    use super::*;
    use crate::net::egress::Egress;
    use crate::net::props::{Authority, put};
    use crate::net::tls::server::Shown;
    use crate::proto::pop3::Pop3Upstream;
    use crate::provider::{Mechanism, UpstreamTls};
    use crate::relay::upstream::{Progress, Server, reach};

    /// A connection to a POP3 server on which a sign-in can begin.
    struct Met {
        reached: Reached<<Pop3Upstream as Upstream>::AwaitToken>,
        far: BufReader<server::TlsStream<TcpStream>>,
        host: MailHost,
        tls: Arc<ClientConfig>,
        egress: Arc<Egress>,
    }

    async fn meet() -> Met {
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        let files = put(dir.path(), &authority.issue("127.0.0.1"));
        let acceptor = Shown::read(&files).unwrap().acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = MailHost { host: "127.0.0.1".into(), port, tls: UpstreamTls::Implicit };
        let (tls, egress) = (authority.client(&[&TLS13]), Arc::<Egress>::default());
        let greet = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut far = acceptor.accept(tcp).await.unwrap();
            far.write_all(b"+OK ready\r\n").await.unwrap();
            far.flush().await.unwrap();
            BufReader::new(far)
        };
        let machine = Pop3Upstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
        let server = Server { host: &host, tls: &tls, egress: &egress };
        let mut progress = Progress::default();
        let (reached, far) = tokio::join!(reach(server, machine, &mut progress), greet);
        Met { reached: reached.unwrap_or_else(|error| panic!("{error}")), far, host, tls, egress }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn a_limit_on_what_is_unacknowledged_ends_with_the_verdict() {
        use std::os::fd::AsFd as _;

        use socket2::Socket;
        use tokio::io::AsyncBufReadExt as _;

        use crate::names::Username;

        let Met { reached, mut far, host, tls, egress } = meet().await;
        // A second handle of the same socket.
        let socket = reached.stream.get_ref().as_fd().try_clone_to_owned().unwrap();
        let socket = Socket::from(socket);
        let (mailbox, mechanism) =
            (Username::parse("alice@example.com").unwrap(), Mechanism::Xoauth2);
        let destination =
            Destination { host: &host, tls, egress: &egress, mailbox: &mailbox, mechanism };
        let token = AccessToken::parse("secret-token").unwrap();
        let answer = async {
            let mut heard = String::new();
            far.read_line(&mut heard).await.unwrap();
            far.write_all(b"+ \r\n").await.unwrap();
            far.read_line(&mut heard).await.unwrap();
            let limit = socket.tcp_user_timeout().unwrap();
            far.write_all(b"+OK signed in\r\n").await.unwrap();
            limit
        };
        let (signed_in, limit) = tokio::join!(reached.show_ahead(&destination, &token), answer);
        assert_eq!(limit, Some(UNACKNOWLEDGED_MAX));
        assert!(signed_in.is_ok());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None, "the session is under way");
    }

    #[tokio::test]
    async fn a_connection_on_which_a_byte_was_said_is_disturbed_ever_after() {
        let Met { mut reached, mut far, .. } = meet().await;
        // A record of one byte: there is nothing more to be read.
        far.write_all(b"-").await.unwrap();
        far.flush().await.unwrap();
        poll_fn(|cx| reached.poll_disturbed(cx)).await;
        let again = reached.poll_disturbed(&mut Context::from_waker(Waker::noop()));
        assert!(again.is_ready());
    }
}
