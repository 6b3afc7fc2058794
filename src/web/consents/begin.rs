//! A consent from its request on: how the person is asked, and the task that carries it to its end.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::super::callback::{Callback, Listening};
use super::super::operator::{Obtained, Operator, OperatorError, expected};
use super::{
    Begun, Carried, ConsentError, ConsentId, End, Kept, Method, Outcome, PATIENCE, Redirect,
    Silence, Stage, Waiter,
};
use crate::account::directory::Account;
use crate::names::Username;
use crate::net::listen::ListenAddress;
use crate::oauth::{AuthorizeError, Authorized, CodeRequest, DeviceRequest};
use crate::provider::{Grant, GrantKind, LoopbackRedirect};

/// What is asked for, and of whom.
#[derive(Debug)]
struct Wish {
    account: Username,
    grant: Arc<Grant>,
    scopes: Vec<String>,
    /// Who may consent besides the account and its mailboxes.
    users: Vec<Username>,
    /// Who may consent.
    expected: Vec<Username>,
    /// Who probably does.
    hint: Username,
    wanted_at: Instant,
}

/// Where a browser brings the answer.
#[derive(Debug)]
struct Destination {
    uri: String,
    register: String,
    /// Our listener, where it is one for this answer alone.
    callback: Option<Callback>,
}

impl Operator {
    /// How the person of the account `name` is asked if nobody says: as the grant of the file does.
    ///
    /// # Errors
    /// When there is no such account, or its grant is no person's.
    pub fn usual_method(&self, name: &Username) -> Result<Method, OperatorError> {
        let account = self.consenting(name)?;
        let by_device = account.settings().grant.kind() == GrantKind::DeviceCode;
        Ok(if by_device { Method::Device } else { Method::Browser })
    }

    /// In which ways a person can be asked on the page for the consent of the account `name`, as
    /// far as that is known before its provider is asked.
    ///
    /// # Errors
    /// When there is no such account, or its grant is no person's or another account's.
    pub fn page_methods(&self, name: &Username) -> Result<Vec<Method>, OperatorError> {
        let account = self.consenting(name)?;
        let Grant { server, way, .. } = &*account.settings().grant;
        let is_there = |endpoint: &Option<String>| server.is_discovered || endpoint.is_some();
        let by_browser =
            way.kind() == GrantKind::AuthorizationCode && is_there(&server.authorization_endpoint);
        let by_device =
            server.no_device_flow.is_none() && is_there(&server.device_authorization_endpoint);
        let methods = [(Method::Browser, by_browser), (Method::Device, by_device)];
        Ok(methods.into_iter().filter_map(|(method, is)| is.then_some(method)).collect())
    }

    /// Asks for the consent of the account `name`; one of `users` may give it besides the account
    /// and its mailboxes. An answer to a listener of this process, or a code that is entered, ends
    /// it without more; see [`Self::consent_progress`]. If `waiter` has to ask for that and does not
    /// for a minute, it is given up.
    ///
    /// # Errors
    /// When there is no such account, its grant is no person's, or the provider cannot be asked.
    pub async fn begin_consent(
        &self,
        name: &Username,
        method: Method,
        users: Vec<Username>,
        waiter: Waiter,
    ) -> Result<Begun, OperatorError> {
        let account = self.consenting(name)?;
        let wish = Wish::new(&account, users);
        match method {
            Method::Browser | Method::Paste => self.begin_by_browser(wish, method, waiter).await,
            Method::Device => self.begin_by_device(wish, waiter).await,
        }
    }

    async fn begin_by_browser(
        &self,
        wish: Wish,
        method: Method,
        waiter: Waiter,
    ) -> Result<Begun, OperatorError> {
        let Destination { uri, register, callback } = self.destination(&wish.grant, method)?;
        let (grant, scopes) = (&wish.grant, &wish.scopes);
        let request = self.tokens.code_request(grant, scopes, &uri, &wish.hint).await?;
        let id = ConsentId::draw()?;
        let state = request.state().to_owned();
        let redirect = Redirect { uri: uri.clone(), state: state.clone() };
        let account = wish.account.clone();
        let carried =
            self.consents.add(id.clone(), account, Some(redirect), waiter, wish.wanted_at)?;
        info!(account = wish.account.as_str(), method = "browser", "consent asked for");
        let authorize_url = request.url().to_owned();
        let listening = callback.map(|callback| callback.serve(self.clone(), state));
        let (operator, ends_at) = (self.clone(), Instant::now() + PATIENCE);
        tokio::spawn(async move {
            operator.carry_by_browser(wish, request, carried, listening, ends_at).await;
        });
        Ok(Begun::Browser { id, authorize_url, redirect_uri: uri, register })
    }

    async fn begin_by_device(&self, wish: Wish, waiter: Waiter) -> Result<Begun, OperatorError> {
        let request = self.tokens.device_request(&wish.grant, &wish.scopes).await?;
        let id = ConsentId::draw()?;
        let account = wish.account.clone();
        let carried = self.consents.add(id.clone(), account, None, waiter, wish.wanted_at)?;
        info!(account = wish.account.as_str(), method = "device", "consent asked for");
        let begun = Begun::Device {
            id,
            verification_uri: request.verification_uri.clone(),
            verification_uri_complete: request.verification_uri_complete.clone(),
            user_code: request.user_code.clone(),
            expires_in: request.expires_in,
        };
        let operator = self.clone();
        tokio::spawn(async move { operator.carry_by_device(wish, request, carried).await });
        Ok(begun)
    }

    /// Where the answer comes: to the page if browsers reach it, else to a listener for it alone.
    fn destination(&self, grant: &Grant, method: Method) -> Result<Destination, ConsentError> {
        if let Some(public_url) = self.consents.public_url() {
            let uri = format!("{public_url}/oauth/callback");
            if method == Method::Browser && self.serving.is_none() {
                return Err(ConsentError::NoRelay { redirect_uri: uri });
            }
            let register = format!(
                "{uri}, exactly so, as the redirect URI of a web application (Entra: platform Web; \
                 Google: type Web application)"
            );
            return Ok(Destination { uri, register, callback: None });
        }
        let listeners = ListenAddress::Localhost(0).bind(&[]);
        let listeners = listeners.map_err(|error| ConsentError::NoPort(error.to_string()))?;
        let callback = Callback::new(listeners, grant.server.loopback_redirect)
            .map_err(|error| ConsentError::NoPort(error.to_string()))?;
        let register = match grant.server.loopback_redirect {
            LoopbackRedirect::Localhost => {
                "http://localhost, without a port, as a redirect URI under Mobile and desktop \
                 applications; the port of this one is not compared"
            }
            LoopbackRedirect::Address => {
                "http://127.0.0.1/ as a redirect URI, with any port; a Google client of the type \
                 Desktop app has it already"
            }
        };
        Ok(Destination {
            uri: callback.redirect_uri().to_owned(),
            register: register.to_owned(),
            // Whoever pastes has the browser elsewhere, so nobody would come.
            callback: (method == Method::Browser).then_some(callback),
        })
    }

    async fn carry_by_browser(
        self,
        wish: Wish,
        request: CodeRequest,
        carried: Carried,
        listening: Option<Listening>,
        ends_at: Instant,
    ) {
        let Carried { end, stage, silence } = carried;
        let flooded = async {
            match &listening {
                Some(listening) => listening.flooded().await,
                None => std::future::pending().await,
            }
        };
        let end = async {
            tokio::select! {
                biased;
                end = self.end_of_wait(&wish, end, silence) => end,
                () = flooded => End::Drop(ConsentError::Flooded),
            }
        };
        let outcome = match timeout_at(ends_at, end).await {
            Err(_) => Err(ConsentError::Expired.into()),
            Ok(End::Drop(reason)) => Err(reason.into()),
            Ok(End::Answer(redirected)) => {
                let Wish { grant, scopes, expected, .. } = &wish;
                let redeemed = self.tokens.redeem(grant, scopes, request, redirected, expected);
                self.kept(&wish.account, redeemed.await).await
            }
        };
        tell(&wish.account, &outcome);
        stage.send_replace(Stage::Answered(outcome.clone()));
        // A command without a relay ends with its consent, and its listener with it.
        if let Some(listening) = listening {
            listening.close().await;
        }
        stage.send_replace(Stage::Ended(outcome));
    }

    async fn carry_by_device(self, wish: Wish, request: DeviceRequest, carried: Carried) {
        let Carried { end, stage, silence } = carried;
        let Wish { grant, scopes, expected, .. } = &wish;
        let mut reason = ConsentError::BrokenOff;
        let given_up = async {
            // No answer belongs to it.
            if let End::Drop(why) = self.end_of_wait(&wish, end, silence).await {
                reason = why;
            }
        };
        let authorized = self.tokens.await_device(grant, scopes, request, expected, given_up);
        let outcome = match authorized.await.transpose() {
            Some(authorized) => self.kept(&wish.account, authorized).await,
            None => Err(reason.into()),
        };
        tell(&wish.account, &outcome);
        stage.send_replace(Stage::Ended(outcome));
    }

    /// Waits for what ends the wait for the person.
    async fn end_of_wait(
        &self,
        wish: &Wish,
        end: oneshot::Receiver<End>,
        mut silence: Silence,
    ) -> End {
        tokio::select! {
            biased;
            reason = self.called_off(wish) => End::Drop(reason),
            end = end => end.unwrap_or(End::Drop(ConsentError::BrokenOff)),
            () = silence.falls() => End::Drop(ConsentError::Abandoned),
        }
    }

    /// Waits until the relay stops, or a reload takes away what `wish` asks for; gives the reason.
    async fn called_off(&self, wish: &Wish) -> ConsentError {
        let outdated = async {
            let mut directory = self.directory.clone();
            while self.would_still_ask(wish) {
                // Nobody changes the accounts of a command.
                if directory.changed().await.is_err() {
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            () = self.consents.stopped() => ConsentError::Stopping,
            () = outdated => ConsentError::Outdated,
        }
    }

    /// Whether the same would be asked of the same people by the file as it is now.
    fn would_still_ask(&self, wish: &Wish) -> bool {
        self.consenting(&wish.account).is_ok_and(|account| {
            let now = Wish::new(&account, wish.users.clone());
            now.grant.way.is_same_as(&wish.grant.way)
                && now.grant.server == wish.grant.server
                && now.scopes == wish.scopes
                && now.expected == wish.expected
        })
    }

    /// What is told of `authorized`, which `account` has now.
    async fn kept(
        &self,
        account: &Username,
        authorized: Result<Authorized, AuthorizeError>,
    ) -> Outcome {
        let Authorized { user, missing, unsaved } = authorized?;
        let it = Kept { account: account.clone(), user, missing };
        Ok(Obtained { it, unsaved: self.settle_consent(unsaved).await? })
    }
}

impl Wish {
    fn new(account: &Account, users: Vec<Username>) -> Self {
        let settings = account.settings();
        let is_address = |name: &&Username| name.domain().is_some();
        // Whoever was named for this consent is more likely than the account, which may be a
        // shared mailbox or a short name.
        let hint = users.first().filter(is_address).cloned();
        let expected = expected(account, users.clone());
        let hint = hint.or_else(|| expected.iter().find(is_address).cloned());
        Self {
            account: account.name().clone(),
            grant: Arc::clone(&settings.grant),
            scopes: settings.consent_scopes(),
            users,
            expected,
            hint: hint.unwrap_or_else(|| account.name().clone()),
            wanted_at: Instant::now(),
        }
    }
}

/// Writes the one log line of a consent's end.
fn tell(account: &Username, outcome: &Outcome) {
    let account = account.as_str();
    match outcome {
        Ok(Obtained { it: Kept { user, missing, .. }, .. }) => {
            let user = user.as_ref().map(Username::as_str);
            let missing = (!missing.is_empty()).then(|| missing.join(" "));
            info!(account, user, missing, "consent kept");
        }
        Err(error) => {
            let user =
                if let OperatorError::WrongUser { user, .. } = error { Some(user) } else { None };
            let user = user.map(Username::as_str);
            warn!(account, user, cause = error.to_string(), "no consent kept");
        }
    }
}
