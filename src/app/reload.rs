//! A reload: another configuration put in force, all of it or nothing.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::page::site;
use super::wanted::wanted;
use super::{App, descriptors, listeners_of};
use crate::config::{Config, Secrets};
use crate::net::tls::certificates::Certificates;
use crate::relay::Service;
use crate::web::page::Site;

impl App {
    /// Reads the configuration file again and puts it in force; gives its warnings.
    ///
    /// # Errors
    /// Why everything is as it was, for people.
    pub(super) async fn reload(&mut self) -> Result<Vec<String>, String> {
        self.supervisor.reloading();
        let outcome = self.try_reload().await;
        match &outcome {
            Ok(warnings) => {
                for warning in warnings {
                    warn!(warning, "configuration");
                }
                info!(listeners = self.bound().count(), "configuration reloaded");
            }
            Err(problem) => warn!(problem, "configuration not reloaded, the old one stays"),
        }
        self.tell_ready();
        outcome
    }

    async fn try_reload(&mut self) -> Result<Vec<String>, String> {
        let file = self.file.clone().ok_or("this relay has no configuration file")?;
        let started_with = Arc::clone(&self.started_with);
        // Reads files: the configuration, its secrets, certificates.
        let prepared = tokio::task::spawn_blocking(move || prepare(&file, &started_with)).await;
        let Prepared { config, service, site, certificates, warnings } =
            prepared.map_err(|_| "the relay is shutting down")??;
        let plan = self.sockets.plan(&config.listeners).map_err(|error| error.to_string())?;

        // From here on nothing can fail.
        self.tokens.leave_by(Arc::new(config.egress.clone()));
        self.tokens.want(wanted(&config));
        let listeners = listeners_of(&self.relay, &service, config.listeners);
        self.directory.send_replace(Arc::clone(service.directory()));
        self.relay.change(service);
        self.sockets.follow(plan, &listeners);
        self.sockets.serve();
        self.consents.move_to(config.web.public_url);
        if let Some(page) = &mut self.page {
            page.change(site);
        }
        self.certificates.send_replace(certificates);
        self.grace = config.grace;
        (self.set_log_level)(config.log.level);
        self.tell_of_lacks();
        Ok(warnings)
    }
}

/// A configuration that can be put in force.
struct Prepared {
    config: Config,
    service: Arc<Service>,
    site: Site,
    certificates: Certificates,
    warnings: Vec<String>,
}

fn prepare(file: &Path, started_with: &Config) -> Result<Prepared, String> {
    let mut config = Config::load(file, Secrets::Verify).map_err(|error| error.to_string())?;
    let changes = started_with.unreloadable_changes(&config);
    if !changes.is_empty() {
        return Err(format!("{}: {}", file.display(), changes.join(", ")));
    }
    let providers = config.accounts.iter().map(|it| it.provider.name.as_str());
    let warm = descriptors::warm(config.limits.warm_connections, providers);
    config.limits.sessions = descriptors::raise_limit(config.limits.sessions, warm);
    let (accounts, devices) = (config.accounts.clone(), config.devices.clone());
    let mut certificates = Certificates::default();
    let service = Service::new(
        accounts,
        devices,
        &config.listeners,
        config.limits.clone(),
        Arc::new(config.egress.clone()),
        &mut certificates,
    )
    .map_err(|error| error.to_string())?;
    let site = site(&config.web, &mut certificates).map_err(|error| error.to_string())?;
    let warnings = config.warnings.iter().map(|it| it.in_file(file).to_string()).collect();
    Ok(Prepared { config, service: Arc::new(service), site, certificates, warnings })
}
