//! The mail servers: a listener for each, a task for each connection.
//!
//! Limits: [`CONNECTIONS_MAX`] connections of one protocol at once; further ones wait in the
//! system's queue. No deadlines: how long a client waits is what tests are about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::conversation::{Conversation, Cue, End};
use super::issuer::Issuer;
use super::mailboxes::Mailboxes;
use super::record::Record;
use super::script::{Script, Step};
use super::sign_in::{Claim, SignIn, SignInRefusal};
use super::throttle::{Gauge, Place, TurnsAway};
use super::{ImapWelcome, imap, pop3, smtp};
use crate::names::{AccountPattern, Username};
use crate::provider::{Mechanism, PerProtocol, Protocol, UpstreamTls};

/// How many connections of one protocol are open at once.
pub const CONNECTIONS_MAX: usize = 10_240;

/// How long nothing is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(super) struct Shared {
    pub(super) covered: Vec<AccountPattern>,
    pub(super) mailboxes: Mailboxes,
    pub(super) issuer: Arc<Issuer>,
    pub(super) record: Record,
    pub(super) gauge: Gauge,
    pub(super) script: Script,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) begin_tls: PerProtocol<UpstreamTls>,
    pub(super) imap_welcome: ImapWelcome,
    pub(super) changes: watch::Sender<()>,
    pub(super) queue_ids: AtomicU64,
}

/// Serves `protocol` until it is dropped; so are its connections then.
pub(super) async fn serve(listener: TcpListener, protocol: Protocol, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut conversations = JoinSet::new();
    loop {
        while conversations.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((tcp, _)) = listener.accept().await else {
            // The client left again, or descriptors ran out.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        conversations.spawn(async move {
            converse(tcp, protocol, &shared).await;
            drop(place);
        });
    }
}

async fn converse(tcp: TcpStream, protocol: Protocol, shared: &Shared) {
    // Without it Nagle's algorithm holds the second of two small replies back.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let recorder = shared.record.open(protocol);
    let mut talk = Conversation::new(tcp, protocol, recorder, shared.script.clone());
    match talk.cue(Step::Connect, "*").await {
        // Nobody reads clear text before TLS as a sign to go on.
        Ok(Cue::Skip) => return talk.close(End::Orderly).await,
        Ok(_) => {}
        Err(end) => return talk.close(end).await,
    }
    match protocol {
        Protocol::Submission => smtp::converse(talk, shared).await,
        Protocol::Imap => imap::converse(talk, shared).await,
        Protocol::Pop3 => pop3::converse(talk, shared).await,
    }
}

/// What becomes of a sign-in.
pub(super) struct Verdict {
    /// Who is signed in now, or why nobody is.
    pub(super) result: Result<SignedIn, SignInRefusal>,
    /// The script has answered in the server's place.
    pub(super) answered: bool,
}

/// A client whose token was good.
pub(super) struct SignedIn {
    /// The mailbox that is open, folded.
    pub(super) user: Username,
    /// What counts it; none while it is one too many for its mailbox. It has to be dropped before the
    /// connection is closed, so that whoever saw the close finds the place free.
    pub(super) place: Option<Place>,
}

impl Shared {
    /// The number of the next accepted message.
    pub(super) fn next_queue_id(&self) -> u64 {
        self.queue_ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks the script about a token, else judges it, and puts the outcome on record.
    pub(super) async fn judge(
        &self,
        talk: &mut Conversation,
        mechanism: Mechanism,
        response: &[u8],
        tag: &str,
    ) -> Result<Verdict, End> {
        let protocol = talk.protocol();
        let cue = talk.cue(Step::Token, tag).await?;
        let claim = Claim::read(mechanism, response).ok_or(SignInRefusal::Malformed);
        let user = claim.as_ref().ok().map(|claim| claim.user.clone());
        let judged = match cue {
            Cue::Skip | Cue::RefuseToken => Err(SignInRefusal::Scripted),
            Cue::AcceptToken => claim,
            Cue::Act => claim.and_then(|it| {
                it.judge(&self.issuer, &self.covered, protocol)?;
                Ok(it)
            }),
        };
        let result = judged.and_then(|claim| {
            let user = claim.user.folded();
            let place = self.gauge.enter(protocol, &user);
            // What a script says instead of the OK is said in any case.
            let may_stay = place.is_some()
                || cue == Cue::AcceptToken
                || (protocol == Protocol::Submission
                    && self.gauge.turns_away() == TurnsAway::AtMail);
            may_stay.then_some(SignedIn { user, place }).ok_or(SignInRefusal::Crowded)
        });
        let refusal = result.as_ref().err().copied();
        talk.signed_in(&SignIn { protocol, mechanism, user, refusal });
        Ok(Verdict { result, answered: cue == Cue::Skip })
    }
}
