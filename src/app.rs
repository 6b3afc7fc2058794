//! The composition root: makes a running relay of a configuration. The only file that knows all
//! parts.

mod descriptors;
mod page;
mod reload;
mod sockets;
mod wanted;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

use self::page::OpenPage;
pub use self::page::PageBound;
use self::sockets::Sockets;
use self::wanted::wanted;
use crate::account::LocalPassword;
use crate::account::directory::Directory;
use crate::account::password::{Passwords, RandomError};
use crate::config::Config;
use crate::names::AccountPattern;
use crate::net::listen::ListenError;
use crate::net::tls::certificates::{self, Certificates};
use crate::net::tls::server::CertificateError;
use crate::oauth::{TokenState, Tokens};
use crate::provider::{GrantId, Protocol};
use crate::relay::listener::Listener;
use crate::relay::{ListenerSettings, Relay, Service, ServiceError, Shutdown};
use crate::store::Store;
use crate::web::admin::AdminTokenError;
use crate::web::consents::Consents;
use crate::web::control::{self, ControlSocket};
use crate::web::operator::{Operator, Reload, Serving};

/// How long sessions may take to close when they are cut off.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many orders to reload may wait. Whoever sends one more waits, too.
const RELOADS_WAITING_MAX: usize = 4;

/// What an [`App`] stands on besides its configuration.
pub struct Backing {
    /// What outlives the process.
    pub store: Store,
    /// The state directory, where the control socket comes; none without it.
    pub state_directory: Option<PathBuf>,
    /// The configuration file, to be read again by a reload.
    pub file: Option<PathBuf>,
    /// Called with `log.level` of each configuration that a reload puts in force.
    pub set_log_level: Box<dyn Fn(tracing::Level) + Send + Sync>,
}

impl Backing {
    /// Nothing that outlives the process, and no way to reload.
    pub fn in_memory() -> Self {
        Self {
            store: Store::in_memory(),
            state_directory: None,
            file: None,
            set_log_level: Box::new(|_| {}),
        }
    }
}

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backing").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A relay whose listeners are bound.
pub struct App {
    relay: Arc<Relay>,
    tokens: Tokens,
    passwords: Arc<Passwords>,
    store: Store,
    consents: Consents,
    /// The accounts of the configuration in force.
    directory: watch::Sender<Arc<Directory>>,
    sockets: Sockets,
    control: Option<ControlSocket>,
    page: Option<OpenPage>,
    /// What listeners and the page show.
    certificates: watch::Sender<Certificates>,
    grace: Duration,
    file: Option<PathBuf>,
    /// The configuration that it was started with.
    started_with: Arc<Config>,
    set_log_level: Box<dyn Fn(tracing::Level) + Send + Sync>,
    reloads: (mpsc::Sender<Reload>, mpsc::Receiver<Reload>),
    shutdown: Shutdown,
}

/// A bound address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The listener's name in the file.
    pub listener: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where; the port is the real one.
    pub address: SocketAddr,
}

impl Bound {
    fn new(settings: &ListenerSettings, address: SocketAddr) -> Self {
        Self { listener: settings.name.clone(), protocol: settings.protocol, address }
    }
}

/// Why a relay does not start, or does not take another configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("listeners.{listener}.address: {source}")]
    Listen {
        /// The listener's name in the file.
        listener: String,
        /// What is wrong.
        source: ListenError,
    },
    /// An address cannot be listened on beside another one of this relay.
    #[error(
        "listeners.{listener}.address: port {port} is in use by this relay under another address: \
         restart it instead"
    )]
    Overlap {
        /// The listener's name in the file.
        listener: String,
        /// The port that both have.
        port: u16,
    },
    /// An address of the page cannot be listened on.
    #[error("web.address: {0}")]
    ListenPage(#[source] ListenError),
    /// The page's certificate cannot be shown.
    #[error("web.certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Nobody could sign in at the page.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// Accounts or listeners cannot be served.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Local passwords cannot be kept secret.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl App {
    /// Makes the relay and binds every address of `config`, and the control socket.
    ///
    /// # Errors
    /// When an address is taken or the relay cannot be made. Without a control socket it goes on.
    pub fn bind(config: Config, backing: Backing) -> Result<Self, StartError> {
        let Backing { store, state_directory, file, set_log_level } = backing;
        let (wanted, started_with) = (wanted(&config), Arc::new(config.clone()));
        let Config { listeners, accounts, web, mut limits, grace, .. } = config;
        limits.sessions = descriptors::raise_limit(limits.sessions);
        let shutdown = Shutdown::default();
        let mut certificates = Certificates::default();
        let service = Service::new(accounts, &listeners, limits, &mut certificates)?;
        let service = Arc::new(service);
        let passwords = Arc::new(Passwords::new(store.clone())?);
        let tokens = Tokens::new(store.clone());
        tokens.want(wanted);
        let relay = Arc::new(Relay::new(
            Arc::clone(&passwords),
            tokens.clone(),
            Arc::clone(&service),
            shutdown.clone(),
        ));

        let mut sockets = Sockets::default();
        let plan = sockets.plan(&listeners)?;
        sockets.follow(plan, &listeners_of(&relay, &service, listeners));
        let control = state_directory.and_then(|directory| {
            control::bind(&directory).map_err(|error| tell_of_no_control(&error)).ok()
        });
        let mut app = Self {
            relay,
            tokens,
            passwords,
            store,
            consents: Consents::new(web.public_url.clone()),
            directory: watch::Sender::new(Arc::clone(service.directory())),
            sockets,
            control,
            page: None,
            certificates: watch::Sender::default(),
            grace,
            file,
            started_with,
            set_log_level,
            reloads: mpsc::channel(RELOADS_WAITING_MAX),
            shutdown,
        };
        app.page = OpenPage::bind(&web, &mut certificates, app.operator())?;
        app.certificates.send_replace(certificates);
        app.tell_of_lacks();
        Ok(app)
    }

    /// Every bound address, in the file's order.
    pub fn bound(&self) -> impl Iterator<Item = &Bound> {
        self.sockets.bound()
    }

    /// Every bound address of the page.
    pub fn page(&self) -> &[PageBound] {
        self.page.as_ref().map_or(&[], OpenPage::bound)
    }

    /// How to stop it.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// How to let it read its configuration file again.
    pub fn reloads(&self) -> mpsc::Sender<Reload> {
        self.reloads.0.clone()
    }

    /// What whoever runs it acts on.
    pub fn operator(&self) -> Operator {
        let drain = self.shutdown.drain.clone();
        let not_ready = move || {
            let draining = drain.is_cancelled().then(|| "it is shutting down".to_owned());
            draining.into_iter().collect()
        };
        let serving = Serving { reload: self.reloads(), not_ready: Arc::new(not_ready) };
        Operator {
            tokens: self.tokens.clone(),
            passwords: Arc::clone(&self.passwords),
            store: self.store.clone(),
            directory: self.directory.subscribe(),
            consents: self.consents.clone(),
            serving: Some(serving),
        }
    }

    /// Serves until [`Shutdown::drain`], then lets signed-in sessions finish for the grace time or
    /// until [`Shutdown::cut`].
    pub async fn run(mut self) {
        self.sockets.serve();
        // Through the drain too: who asks for its health hears that it is shutting down, and other
        // commands find the store locked.
        let stop = self.shutdown.cut.child_token();
        let control = self
            .control
            .take()
            .map(|socket| tokio::spawn(socket.serve(self.operator(), stop.clone())));
        let tokens = self.tokens.clone();
        let keeping = tokio::spawn(async move { tokens.keep().await });
        let showing = tokio::spawn(certificates::keep(self.certificates.subscribe()));

        if let Some(page) = &mut self.page {
            page.serve();
        }

        self.serve_orders().await;
        self.sockets.close();
        // While the control socket still tells whoever waits for them.
        self.consents.stop();
        let page = self.page.take().map(|page| tokio::spawn(page.close()));
        self.drain().await;
        keeping.abort();
        showing.abort();
        stop.cancel();
        if let Some(page) = page {
            let _ = page.await;
        }
        if let Some(control) = control {
            // What was asked there ends within the time of a token request.
            let _ = control.await;
        }
        // An answer that is under way may hold the only refresh token that is still good.
        self.tokens.settled().await;
        info!("stopped");
    }

    /// Reloads when it is told to, until the drain begins.
    async fn serve_orders(&mut self) {
        let drain = self.shutdown.drain.clone();
        loop {
            let order = tokio::select! {
                biased;
                () = drain.cancelled() => break,
                order = self.reloads.1.recv() => order,
            };
            let Some(order) = order else { break };
            let outcome = tokio::select! {
                biased;
                () = drain.cancelled() => break,
                outcome = self.reload() => outcome,
            };
            // Whoever gave the order may have gone.
            let _ = order.send(outcome);
        }
        // Who still waits hears that nobody reloads any more.
        self.reloads.1.close();
        while self.reloads.1.try_recv().is_ok() {}
    }

    async fn drain(&self) {
        let sessions = self.relay.sessions();
        sessions.close();
        info!(sessions = sessions.len(), grace = ?self.grace, "draining");
        let cut = &self.shutdown.cut;
        tokio::select! {
            () = sessions.wait() => {}
            () = tokio::time::sleep(self.grace) => {}
            () = cut.cancelled() => {}
        }
        if !sessions.is_empty() {
            warn!(sessions = sessions.len(), "sessions are cut off");
            cut.cancel();
            if timeout(CUT_TIMEOUT, sessions.wait()).await.is_err() {
                warn!(sessions = sessions.len(), "sessions did not close in time");
            }
        }
    }

    /// Says which accounts nobody can use yet, and what to run.
    fn tell_of_lacks(&self) {
        for account in self.directory.borrow().accounts() {
            let name = &account.name;
            let has_password = !matches!(account.local_password, LocalPassword::None);
            if !has_password && !self.passwords.any_made_for(name) {
                let hint = match name {
                    AccountPattern::Exact(name) => format!("mailbearer password {name}"),
                    AccountPattern::Domain(domain) => format!("mailbearer password NAME@{domain}"),
                };
                warn!(account = %name, hint, "nobody can sign in, there is no local password");
            }
            if self.tokens.status(&account.grant).state == TokenState::ConsentNeeded {
                let hint = match &account.grant.id {
                    // Its own name, unless it has `grant_of`.
                    GrantId::Account(owner) => format!("mailbearer authorize {owner}"),
                    GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
                        format!("mailbearer authorize {name}")
                    }
                };
                warn!(account = %name, hint, "consent is needed before anybody can sign in");
            }
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

/// The listeners of `service`.
fn listeners_of(
    relay: &Arc<Relay>,
    service: &Arc<Service>,
    settings: Vec<ListenerSettings>,
) -> Vec<Arc<Listener>> {
    let listeners = settings.into_iter().map(|it| Listener::new(relay, service, it));
    listeners.map(Arc::new).collect()
}

fn tell_of_no_control(error: &io::Error) {
    warn!(
        error = error.to_string(),
        "there is no control socket, so commands cannot reach this relay"
    );
}

#[cfg(test)]
mod tests;
