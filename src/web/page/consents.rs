//! Consents: what a person is asked to do, and what came of it.
//!
//! A browser is led to the provider by a link, not by a redirect: Chromium would hold each of the
//! provider's own redirects against `form-action`. So what has to be registered is shown first.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{Fields, Room, Visitor, carried_through, qr, see_other};
use crate::names::Username;
use crate::web::consents::{Begun, ConsentId, Method, Progress, Waiter};
use crate::web::html::{self, Place};
use crate::web::operator::OperatorError;

/// How soon a browser asks again how far a consent is that is given elsewhere. A page that comes
/// again is read aloud from its start, and takes the focus off its links, so not too soon.
const REFRESH: Duration = Duration::from_secs(15);

/// What people were asked to do: the last of each account, so there are as many as accounts.
#[derive(Default)]
pub(super) struct Shown(Mutex<HashMap<Username, Begun>>);

impl Shown {
    fn keep(&self, account: Username, begun: Begun) {
        self.lock().insert(account, begun);
    }

    fn find(&self, id: &ConsentId) -> Option<(Username, Begun)> {
        let shown = self.lock();
        let (account, begun) = shown.iter().find(|(_, begun)| id_of(begun) == id)?;
        Some((account.clone(), begun.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Username, Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id_of(begun: &Begun) -> &ConsentId {
    match begun {
        Begun::Browser { id, .. } | Begun::Device { id, .. } => id,
    }
}

/// Begins a consent by browser.
pub(super) async fn by_browser(
    State(room): State<Room>,
    Path(name): Path<String>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Response {
    begin(&room, &visitor, &name, &fields, Method::Browser).await
}

/// Begins a consent by a code.
pub(super) async fn by_device(
    State(room): State<Room>,
    Path(name): Path<String>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Response {
    begin(&room, &visitor, &name, &fields, Method::Device).await
}

async fn begin(
    room: &Room,
    visitor: &Visitor,
    name: &str,
    fields: &Fields,
    method: Method,
) -> Response {
    match try_begin(room, name, fields.get("as"), method).await {
        Ok(begun) => see_other(&format!("/consents/{}", id_of(&begun).0)),
        Err(error) => visitor.trouble("No consent can be asked for", &error),
    }
}

async fn try_begin(
    room: &Room,
    name: &str,
    user: &str,
    method: Method,
) -> Result<Begun, OperatorError> {
    let name = Username::parse(name)?;
    let users = match user.trim() {
        "" => Vec::new(),
        user => vec![Username::parse(user)?],
    };
    let (operator, account) = (room.desk.operator.clone(), name.clone());
    let begin = async move { operator.begin_consent(&account, method, users, Waiter::Page).await };
    let begun = carried_through(begin).await?;
    room.desk.shown.keep(name.folded(), begun.clone());
    Ok(begun)
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<section>
<p>The provider sends the answer to <code>{{ redirect_uri }}</code></p>
<p>Before the first time, register there {{ register }}.</p>
{% if let Some(url) = link %}<div class="acts"><a class="button" href="{{ url }}" rel="noreferrer">Go to the provider and sign in as {{ account }}</a></div>
{% else %}<p>Open this address: <code>{{ authorize_url }}</code></p>
{% endif %}</section>
<p class="dim">Was it done in another window? <a href="/consents/{{ id }}">See what came of it</a></p>
"#
)]
struct ByBrowser<'a> {
    account: &'a str,
    id: &'a str,
    redirect_uri: &'a str,
    register: &'a str,
    link: Option<&'a str>,
    authorize_url: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<section>
<p>On any device, open {% if let Some(url) = link %}<a href="{{ url }}" rel="noreferrer">{{ verification_uri }}</a>{% else %}<code>{{ verification_uri }}</code>{% endif %}, sign in as <strong>{{ account }}</strong> and enter this code:</p>
<p class="code">{{ user_code }}</p>
{% if let Some(svg) = svg %}{{ svg|safe }}
{% endif %}<p class="dim">It is good for {{ minutes }} minutes. Enter it nowhere else, and give it to nobody: whoever asks you for a code is after your mailbox.</p>
</section>
<p class="dim">This page shows what comes of it. <a href="/consents/{{ id }}">Look again</a></p>
"#
)]
struct ByDevice<'a> {
    account: &'a str,
    id: &'a str,
    verification_uri: &'a str,
    link: Option<&'a str>,
    user_code: &'a str,
    svg: Option<String>,
    minutes: u64,
}

/// How far a consent is.
pub(super) async fn show(
    State(room): State<Room>,
    Path(id): Path<String>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let id = ConsentId(id);
    let outcome = match room.desk.operator.consent_progress(&id, Duration::ZERO).await {
        Ok(Progress::Ended(outcome)) => outcome,
        Ok(Progress::Waiting) => {
            let begun = room.desk.shown.find(&id);
            // Whose next step is a link on this very page has to find it in peace.
            let is_here = matches!(begun, Some((_, Begun::Browser { .. })));
            let refresh = (!is_here).then_some(REFRESH);
            let body = match begun {
                Some((account, begun)) => asked(&account, &begun),
                None => "<p>Somebody was asked elsewhere and has not answered yet.</p>".to_owned(),
            };
            let (status, title) = (StatusCode::OK, "Waiting for consent");
            return visitor.page_that_comes_again(status, title, &body, refresh);
        }
        Err(_) => {
            let body = "<p>There is no such consent: it was replaced by another one, or is long \
                        over.</p><p><a href=\"/\">Back to the accounts</a></p>";
            return visitor.page(StatusCode::NOT_FOUND, "No such consent", body);
        }
    };
    let unsaved = outcome.as_ref().ok().and_then(|kept| kept.unsaved.as_deref());
    let note = unsaved.map(|problem| html::rendered(&Unsaved { problem })).unwrap_or_default();
    let (title, body) = html::ended(outcome.as_ref().map(|kept| &kept.it), Place::Page);
    let body = body + &note + "<p><a href=\"/\">Back to the accounts</a></p>";
    visitor.page(StatusCode::OK, title, &body)
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<div class="trouble"><p class="bad">The refresh token is in memory alone.</p><p>{{ problem }}</p></div>
"#
)]
struct Unsaved<'a> {
    problem: &'a str,
}

/// What the person is asked to do, in HTML.
fn asked(account: &Username, begun: &Begun) -> String {
    let account = account.as_str();
    match begun {
        Begun::Browser { id, authorize_url, redirect_uri, register } => {
            html::rendered(&ByBrowser {
                account,
                id: &id.0,
                redirect_uri,
                register,
                link: is_web(authorize_url).then_some(authorize_url),
                authorize_url,
            })
        }
        Begun::Device {
            id,
            verification_uri,
            verification_uri_complete,
            user_code,
            expires_in,
        } => {
            let complete = verification_uri_complete.as_deref().unwrap_or(verification_uri);
            html::rendered(&ByDevice {
                account,
                id: &id.0,
                verification_uri,
                link: is_web(complete).then_some(complete),
                user_code,
                svg: is_web(complete).then(|| qr::svg(complete)).flatten(),
                minutes: expires_in.as_secs().div_ceil(60),
            })
        }
    }
}

/// Whether a browser may be led there: a provider that says `javascript:` may not.
fn is_web(url: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_web_address_is_a_link() {
        let id = || ConsentId("0".repeat(32));
        let begun = |url: &str| {
            let by_browser = Begun::Browser {
                id: id(),
                authorize_url: url.to_owned(),
                redirect_uri: "http://localhost:8587/oauth/callback".to_owned(),
                register: String::new(),
            };
            let by_device = |complete: Option<&str>| Begun::Device {
                id: id(),
                verification_uri: url.to_owned(),
                verification_uri_complete: complete.map(str::to_owned),
                user_code: "ABCD".to_owned(),
                expires_in: Duration::from_secs(900),
            };
            [by_browser, by_device(None), by_device(Some(url))]
        };
        let alice = Username::parse("alice@contoso.com").unwrap();
        for (url, is_link) in [
            ("https://login.example/a", true),
            ("http://127.0.0.1:9/a", true),
            ("javascript:alert(1)", false),
            ("data:text/html,a", false),
        ] {
            for begun in begun(url) {
                let shown = asked(&alice, &begun);
                assert_eq!(shown.contains(&format!("href=\"{url}\"")), is_link, "{shown}");
                assert!(shown.contains(url), "{shown}");
            }
        }
    }
}
