//! The composition root: makes a running relay of a configuration. The only file that knows all
//! parts.

mod backing;
mod descriptors;
mod lacks;
mod notify;
mod page;
mod probes;
mod reload;
mod sockets;
mod start_error;
mod wanted;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

pub use self::backing::Backing;
pub use self::notify::Supervisor;
use self::notify::Vitals;
use self::page::OpenPage;
pub use self::page::PageBound;
use self::probes::OpenProbes;
use self::sockets::Sockets;
pub use self::start_error::StartError;
use self::wanted::wanted;
use crate::account::directory::Directory;
use crate::account::password::Passwords;
use crate::config::Config;
use crate::net::listen::socket::BoundAddress;
use crate::net::tls::certificates::{self, Certificates};
use crate::oauth::Tokens;
use crate::provider::Protocol;
use crate::relay::listener::Listener;
use crate::relay::{ListenerSettings, Relay, Service, Shutdown};
use crate::store::Store;
use crate::web::consents::Consents;
use crate::web::control::{self, ControlSocket};
use crate::web::operator::{Operator, Reload, Serving};
use crate::web::probes::Probes;

/// How long sessions may take to close when they are cut off.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many orders to reload may wait. Whoever sends one more waits, too.
const RELOADS_WAITING_MAX: usize = 4;

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
    probes: OpenProbes,
    /// What listeners and the page show.
    certificates: watch::Sender<Certificates>,
    grace: Duration,
    file: Option<PathBuf>,
    /// The configuration that it was started with, without its tables of listeners and accounts.
    started_with: Arc<Config>,
    set_log_level: Box<dyn Fn(tracing::Level) + Send + Sync>,
    reloads: (mpsc::Sender<Reload>, mpsc::Receiver<Reload>),
    shutdown: Shutdown,
    /// Told how the relay is, which is its `vitals`.
    supervisor: Arc<Supervisor>,
    vitals: Vitals,
}

/// A bound address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The listener's name in the file.
    pub listener: String,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where; the port is the real one.
    pub address: BoundAddress,
}

impl Bound {
    fn new(settings: &ListenerSettings, address: BoundAddress) -> Self {
        Self { listener: settings.name.clone(), protocol: settings.protocol, address }
    }
}

impl App {
    /// Makes the relay and binds every address of `config`, and the control socket.
    ///
    /// # Errors
    /// When an address is taken or the relay cannot be made. Without a control socket it goes on.
    pub fn bind(config: Config, backing: Backing) -> Result<Self, StartError> {
        let Backing { store, state_directory, file, inherited, set_log_level, supervisor } =
            backing;
        let wanted = wanted(&config);
        // What a reload compares stands in none of these, and accounts may be many.
        let started_with = Config {
            listeners: Vec::new(),
            accounts: Vec::new(),
            devices: Vec::new(),
            warnings: Vec::new(),
            store: config.store.clone(),
            web: config.web.clone(),
            egress: config.egress.clone(),
            limits: config.limits.clone(),
            log: config.log.clone(),
            grace: config.grace,
        };
        let started_with = Arc::new(started_with);
        let Config { listeners, accounts, devices, web, egress, mut limits, grace, .. } = config;
        let egress = Arc::new(egress);
        let providers = accounts.iter().map(|it| it.provider.name.as_str());
        let warm = descriptors::warm(limits.warm_connections, providers);
        limits.sessions = descriptors::raise_limit(limits.sessions, warm);
        let shutdown = Shutdown::default();
        let mut certificates = Certificates::default();
        let leaving = Arc::clone(&egress);
        let service =
            Service::new(accounts, devices, &listeners, limits, leaving, &mut certificates)?;
        let service = Arc::new(service);
        let passwords = Arc::new(Passwords::new(store.clone())?);
        let tokens = Tokens::new(store.clone());
        tokens.leave_by(egress);
        tokens.want(wanted);
        let relay = Arc::new(Relay::new(
            Arc::clone(&passwords),
            tokens.clone(),
            Arc::clone(&service),
            shutdown.clone(),
        ));

        let mut sockets = Sockets::new(inherited);
        let plan = sockets.plan(&listeners)?;
        sockets.follow(plan, &listeners_of(&relay, &service, listeners));
        let control = state_directory.and_then(|directory| {
            let bound = control::bind(&directory).map(|socket| socket.about(file.clone()));
            bound.map_err(|error| tell_of_no_control(&error)).ok()
        });
        let directory = watch::Sender::new(Arc::clone(service.directory()));
        let vitals = Vitals {
            relay: Arc::clone(&relay),
            tokens: tokens.clone(),
            directory: directory.subscribe(),
            shutdown: shutdown.clone(),
            addresses: Arc::default(),
        };
        let mut app = Self {
            relay,
            tokens,
            passwords,
            store,
            consents: Consents::new(web.public_url.clone()),
            directory,
            sockets,
            control,
            page: None,
            probes: OpenProbes::bind(&web.probes)?,
            certificates: watch::Sender::default(),
            grace,
            file,
            started_with,
            set_log_level,
            reloads: mpsc::channel(RELOADS_WAITING_MAX),
            shutdown,
            supervisor: Arc::new(supervisor),
            vitals,
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

    /// Every bound address of the probes.
    pub fn probes(&self) -> &[SocketAddr] {
        self.probes.bound()
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
        let serving = Serving {
            reload: self.reloads(),
            not_ready: Arc::new(not_ready),
            troubles: Arc::clone(self.relay.troubles()),
            recent: Arc::clone(self.relay.recent()),
        };
        Operator {
            tokens: self.tokens.clone(),
            passwords: Arc::clone(&self.passwords),
            store: self.store.clone(),
            directory: self.directory.subscribe(),
            consents: self.consents.clone(),
            online: self.relay.online(),
            serving: Some(serving),
        }
    }

    /// Serves until [`Shutdown::drain`], then lets signed-in sessions finish for the grace time or
    /// until [`Shutdown::cut`].
    pub async fn run(self) {
        let (supervisor, vitals) = (Arc::clone(&self.supervisor), self.vitals.clone());
        // One task does both, so it is this one that is found stuck.
        tokio::select! {
            biased;
            () = self.serve_and_drain() => {}
            () = supervisor.beat(&vitals) => {}
        }
    }

    async fn serve_and_drain(mut self) {
        self.sockets.serve();
        // Through the drain too: who asks for its health hears that it is shutting down, and other
        // commands find the store locked.
        let stop = self.shutdown.cut.child_token();
        let control = self
            .control
            .take()
            .map(|socket| tokio::spawn(socket.serve(self.operator(), stop.clone())));
        // The same holds for probes.
        let probes = Probes::new(self.operator(), self.relay.meter());
        self.probes.serve(&probes, &stop);
        let tokens = self.tokens.clone();
        let keeping = tokio::spawn(async move { tokens.keep().await });
        let showing = tokio::spawn(certificates::keep(self.certificates.subscribe()));

        if let Some(page) = &mut self.page {
            page.serve();
        }

        self.tell_ready();
        self.serve_orders().await;
        self.sockets.close();
        self.supervisor.stopping(self.grace, &self.vitals);
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
        self.probes.stopped().await;
        // An answer that is under way may hold the only refresh token that is still good.
        self.tokens.settled().await;
        info!("stopped");
    }

    /// Tells the supervisor that everything is bound.
    fn tell_ready(&self) {
        self.vitals.addresses.store(self.bound().count(), Ordering::Relaxed);
        self.supervisor.ready(&self.vitals);
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
