//! The kinds of grant that the token endpoint knows, each judged (RFC 6749 sections 4 and 6, RFC
//! 7523, RFC 8628).

use std::sync::PoisonError;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::assertion::Assertion;
use super::client::Client;
use super::codes::Flaw;
use super::conduct::{Allowed, Asked};
use super::devices::DEVICE_LIFE;
use super::issuer::{self, IssuerError};
use super::refusal::{
    INCOMPLETE, INVALID_ASSERTION, INVALID_CODE, INVALID_GRANT, INVALID_PASSWORD, INVALID_SCOPE,
    NO_RANDOM, Refusal, UNSUPPORTED_GRANT_TYPE, error,
};
use super::token::{TokenEndpoint, TokenRequest, TokenSettings};
use super::{random_hex, user_code};
use crate::names::Username;
use crate::provider::Protocol;

/// Every `grant_type` that it knows.
pub(super) const GRANT_TYPES: [&str; 6] = [
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
];

/// What an answer gives.
struct Given {
    subject: String,
    protocols: Vec<Protocol>,
    /// The scopes, where they are not those that were asked for.
    scope: Option<String>,
    refresh_token: Option<String>,
    /// Whether an `id_token` names the subject.
    is_named: bool,
}

impl TokenEndpoint {
    /// Judges a request for a token.
    pub(super) fn grant(
        &self,
        headers: &HeaderMap,
        request: &TokenRequest,
    ) -> Result<Response, Refusal> {
        let client = Client::read(headers, request);
        let given = match request.grant_type.as_deref() {
            Some("authorization_code") => self.redeem_code(&client, request),
            Some("refresh_token") => self.refresh(&client, request),
            Some("urn:ietf:params:oauth:grant-type:device_code") => self.poll(&client, request),
            Some("password") => self.sign_in(&client, request),
            // The assertion shows who asks (RFC 7523 section 3.1): there is no client.
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => self.delegate(request),
            grant_type => {
                self.authenticate(&client)?;
                if grant_type != Some("client_credentials") {
                    return Err(UNSUPPORTED_GRANT_TYPE);
                }
                let scope = request.scope.as_deref().unwrap_or_default();
                let protocols = issuer::protocols_of(scope).ok_or(INVALID_SCOPE)?;
                let TokenSettings { subject, client_id, .. } = &self.settings;
                Ok(Given::alone(subject.as_ref().unwrap_or(client_id), protocols))
            }
        };
        given.map(|given| self.answer(&given))
    }

    /// Judges a code (RFC 6749 section 4.1.3). One that comes again ends what was given for it
    /// (section 4.1.2); access tokens live on to their end, as JWTs do.
    fn redeem_code(&self, client: &Client<'_>, request: &TokenRequest) -> Result<Given, Refusal> {
        self.identify(client)?;
        let TokenRequest { code, code_verifier, redirect_uri, .. } = request;
        let (Some(code), Some(verifier), Some(redirect_uri)) = (code, code_verifier, redirect_uri)
        else {
            return Err(INCOMPLETE);
        };
        let redeemed = self.codes.redeem(code, verifier, redirect_uri, |it| self.consent(it));
        match redeemed {
            Ok((allowed, refresh_token)) => Ok(self.given(allowed, refresh_token)),
            Err(Flaw::Unknown | Flaw::Reused(None)) => Err(INVALID_CODE),
            Err(Flaw::Reused(Some(refresh_token))) => {
                self.settings.consents.end(&refresh_token);
                Err(INVALID_CODE)
            }
        }
    }

    /// Judges a refresh token. Nothing becomes of it when something else is wrong.
    fn refresh(&self, client: &Client<'_>, request: &TokenRequest) -> Result<Given, Refusal> {
        self.identify(client)?;
        let token = request.refresh_token.as_deref().ok_or(INCOMPLETE)?;
        let consented = self.settings.consents.protocols(token).ok_or(INVALID_GRANT)?;
        // Left out, it is what was consented to (RFC 6749 section 6).
        let asked = match request.scope.as_deref() {
            Some(scope) => issuer::protocols_among(scope).ok_or(INVALID_SCOPE)?,
            None => consented.clone(),
        };
        let both = asked.iter().filter(|it| consented.contains(it)).copied();
        let protocols = both.collect::<Vec<_>>();
        if protocols.is_empty() {
            return Err(INVALID_SCOPE);
        }
        let redeemed = self.settings.consents.redeem(token).ok_or(INVALID_GRANT)?;
        self.count(&self.refreshes);
        let scopes = protocols.iter().map(|&it| issuer::scope(it)).collect::<Vec<_>>();
        Ok(Given {
            subject: redeemed.user.to_string(),
            scope: (protocols != asked).then(|| scopes.join(" ")),
            protocols,
            refresh_token: redeemed.successor,
            is_named: self.settings.tells_user,
        })
    }

    /// Judges a poll of the device flow (RFC 8628 section 3.4).
    fn poll(&self, client: &Client<'_>, request: &TokenRequest) -> Result<Given, Refusal> {
        self.identify(client)?;
        let device_code = request.device_code.as_deref().ok_or(INCOMPLETE)?;
        let allowed = self.devices.poll(device_code);
        let description = "the device code brings no token now";
        let allowed = allowed.map_err(|error| Refusal { error, description })?;
        let refresh_token = self.consent(&allowed);
        Ok(self.given(allowed, refresh_token))
    }

    /// Judges a person's password (RFC 6749 section 4.3).
    fn sign_in(&self, client: &Client<'_>, request: &TokenRequest) -> Result<Given, Refusal> {
        self.identify(client)?;
        let (Some(username), Some(password)) = (&request.username, &request.password) else {
            return Err(INCOMPLETE);
        };
        let scope = request.scope.as_deref().unwrap_or_default();
        let protocols = issuer::protocols_among(scope).ok_or(INVALID_SCOPE)?;
        let is_right = self.settings.password.as_ref() == Some(password);
        let user = Username::parse(username).ok().filter(|_| is_right).ok_or(INVALID_PASSWORD)?;
        Ok(Given::alone(user.as_str(), protocols))
    }

    /// Judges an assertion in somebody's name (RFC 7523 section 2.1).
    fn delegate(&self, request: &TokenRequest) -> Result<Given, Refusal> {
        let assertion = request.assertion.as_deref().ok_or(INCOMPLETE)?;
        let assertion = Assertion::read(assertion).ok_or(INVALID_ASSERTION)?;
        let (name, scope) = assertion.asks(&self.url()).ok_or(INVALID_ASSERTION)?;
        let scope = request.scope.as_deref().unwrap_or(scope);
        let protocols = issuer::protocols_of(scope).ok_or(INVALID_SCOPE)?;
        Ok(Given::alone(name, protocols))
    }

    /// Begins a device flow (RFC 8628 section 3.2).
    pub(super) fn begin_device(
        &self,
        headers: &HeaderMap,
        request: &TokenRequest,
    ) -> Result<Json<serde_json::Value>, Refusal> {
        self.identify(&Client::read(headers, request))?;
        let asked = request.scope.as_deref().and_then(Asked::read).ok_or(INVALID_SCOPE)?;
        let device_code = random_hex::<32>().map_err(|_| NO_RANDOM)?;
        let device_code = format!("{DEVICE_CODE_PREFIX}{device_code}");
        let user_code = user_code().map_err(|_| NO_RANDOM)?;
        let verification_uri = format!("{}/verify", self.issuer());
        let interval = self.settings.device_interval;
        let answer = serde_json::json!({
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": verification_uri,
            "verification_uri_complete": format!("{verification_uri}?user_code={user_code}"),
            "expires_in": DEVICE_LIFE.as_secs(),
            "interval": interval.as_secs(),
        });
        self.devices.add(device_code, user_code, asked, interval);
        Ok(Json(answer))
    }

    /// Keeps what a person allowed; gives the first refresh token.
    fn consent(&self, allowed: &Allowed) -> Option<String> {
        let Allowed { user, protocols, has_refresh_token, .. } = allowed;
        has_refresh_token.then(|| self.settings.consents.give(user.clone(), protocols.clone()))
    }

    fn given(&self, allowed: Allowed, refresh_token: Option<String>) -> Given {
        let Allowed { user, protocols, scope, is_named, has_refresh_token: _ } = allowed;
        let is_named = is_named || self.settings.tells_user;
        Given { subject: user.to_string(), protocols, scope, refresh_token, is_named }
    }

    /// An answer with what is given (RFC 6749 section 5.1).
    fn answer(&self, given: &Given) -> Response {
        let TokenSettings { client_id, issuer, .. } = &self.settings;
        let Given { subject, protocols, scope, refresh_token, is_named } = given;
        let life = *self.life.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = || -> Result<_, IssuerError> {
            let token = issuer.issue(client_id, subject, protocols, life, self.requests())?;
            let id_token = is_named.then(|| issuer.issue_id_token(client_id, subject, life));
            Ok((token, id_token.transpose()?))
        };
        let (token, id_token) = match signed() {
            Ok(tokens) => tokens,
            Err(problem) => {
                let error = error("server_error", &problem.to_string());
                return (StatusCode::INTERNAL_SERVER_ERROR, error).into_response();
            }
        };
        let mut answer = serde_json::json!({
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
            "access_token": token,
        });
        if let Some(fields) = answer.as_object_mut() {
            let more =
                [("scope", scope), ("refresh_token", refresh_token), ("id_token", &id_token)];
            for (name, value) in more {
                fields.extend(value.clone().map(|value| (name.to_owned(), value.into())));
            }
        }
        Json(answer).into_response()
    }
}

impl Given {
    /// A token and nothing with it.
    fn alone(subject: &str, protocols: Vec<Protocol>) -> Self {
        let subject = subject.to_owned();
        Self { subject, protocols, scope: None, refresh_token: None, is_named: false }
    }
}

/// What every device code begins with, so that a test can search logs for any of them.
const DEVICE_CODE_PREFIX: &str = "sandbox-device-code-";
