//! The page: its sockets, and what a configuration makes of it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::StartError;
use crate::config::WebSettings;
use crate::net::tls::certificates::Certificates;
use crate::net::tls::server::CertificateFiles;
use crate::web::admin::AdminToken;
use crate::web::operator::Operator;
use crate::web::page::{Page, Site};

/// The page with the sockets that it was bound at.
#[derive(Debug)]
pub(super) struct OpenPage {
    page: Page,
    /// Until somebody accepts their connections.
    sockets: Vec<TcpListener>,
    bound: Vec<PageBound>,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

/// A bound address of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBound {
    /// Where; the port is the real one.
    pub address: SocketAddr,
    /// Whether https is spoken there.
    pub is_tls: bool,
}

impl OpenPage {
    /// Binds the page's addresses; none where it is off.
    pub(super) fn bind(
        settings: &WebSettings,
        certificates: &mut Certificates,
        operator: Operator,
    ) -> Result<Option<Self>, StartError> {
        if settings.page.is_none() {
            return Ok(None);
        }
        let site = site(settings, certificates)?;
        let is_tls = site.tls.is_some();
        let page = Page::new(operator, site)?;
        let mut sockets = Vec::new();
        for address in settings.addresses() {
            sockets.extend(address.bind(&[]).map_err(StartError::ListenPage)?);
        }
        let addresses = sockets.iter().filter_map(|socket| socket.local_addr().ok());
        let bound = addresses.map(|address| PageBound { address, is_tls }).collect();
        let (stop, serving) = (CancellationToken::new(), JoinSet::new());
        Ok(Some(Self { page, sockets, bound, stop, serving }))
    }

    /// Where it is.
    pub(super) fn bound(&self) -> &[PageBound] {
        &self.bound
    }

    /// Begins to answer.
    pub(super) fn serve(&mut self) {
        for socket in self.sockets.drain(..) {
            self.serving.spawn(self.page.serve(socket, self.stop.clone()));
        }
        for PageBound { address, is_tls } in &self.bound {
            info!(%address, tls = is_tls, "page");
        }
    }

    /// Puts another configuration in force.
    pub(super) fn change(&mut self, site: Site) {
        for bound in &mut self.bound {
            bound.is_tls = site.tls.is_some();
        }
        self.page.change(site);
    }

    /// Accepts no more connections, and lets the requests that run end.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }
}

/// What `settings` make of the page, with its certificate from `certificates`. Reads that and the
/// admin token, so it blocks.
pub(super) fn site(
    settings: &WebSettings,
    certificates: &mut Certificates,
) -> Result<Site, StartError> {
    let Some(page) = &settings.page else { return Ok(Site::default()) };
    let tls = match page.tls.clone() {
        Some((certificate, private_key)) => {
            Some(certificates.read(&CertificateFiles { certificate, private_key })?)
        }
        None => None,
    };
    let admin_token = page.admin_token.clone().map(AdminToken::new).transpose()?;
    Ok(Site {
        public_url: settings.public_url.clone(),
        tls,
        behind_proxy: page.behind_proxy.clone(),
        admin_token,
    })
}
