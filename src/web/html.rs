//! What browsers are shown: pages made on the server, without scripts, and the headers that keep
//! foreign pages out of them.
//!
//! Whatever stands in a page is escaped by its template; what is put in raw is made here, of
//! templates.

use std::sync::LazyLock;
use std::time::Duration;

use askama::Template;
use aws_lc_rs::digest;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::consents::Kept;
use super::operator::OperatorError;

/// The one style sheet, which stands in each page.
const STYLE: &str = include_str!("style.css");

/// The Content-Security-Policy of every page. Nothing is loaded and nothing runs; the one style is
/// known by its hash. Forms lead to this page alone: Chromium applies that to the redirects behind
/// a form, too, so a provider is gone to by a link.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// What a page tells others of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Referrer {
    /// Nothing: a code may stand in it.
    Nobody,
    /// Its own origin alone is told. Under `no-referrer` browsers would send `Origin: null` with
    /// its forms (Fetch, "append a request `Origin` header").
    Own,
}

/// A page, whose `body` is HTML.
pub(super) struct Document<'a> {
    /// What it is about.
    pub(super) title: &'a str,
    /// After how long a browser is to ask for it again.
    pub(super) refresh: Option<Duration>,
    /// What a form needs that signs out, if somebody is signed in.
    pub(super) signs_out: Option<&'a str>,
    /// Whether "/" leads to the accounts.
    pub(super) has_home: bool,
    /// What it says.
    pub(super) body: &'a str,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{% if let Some(seconds) = refresh %}<meta http-equiv="refresh" content="{{ seconds }}">
{% endif %}<title>{{ title }} · mailbearer</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header>
{% if has_home %}<a href="/">mailbearer</a>{% else %}<span>mailbearer</span>{% endif %}
{% if let Some(token) = signs_out %}<form method="post" action="/logout"><input type="hidden" name="form_token" value="{{ token }}"><button class="plain">Sign out</button></form>{% endif %}
</header>
<main>
<h1>{{ title }}</h1>
{{ body|safe }}
</main>
</body>
</html>
"#
)]
struct Frame<'a> {
    title: &'a str,
    style: &'static str,
    refresh: Option<u64>,
    signs_out: Option<&'a str>,
    has_home: bool,
    body: &'a str,
}

impl Document<'_> {
    /// The whole page.
    pub(super) fn render(&self) -> String {
        rendered(&Frame {
            title: self.title,
            style: STYLE,
            refresh: self.refresh.map(|time| time.as_secs()),
            signs_out: self.signs_out,
            has_home: self.has_home,
            body: self.body,
        })
    }
}

/// The text of `template`.
pub(super) fn rendered(template: &impl Template) -> String {
    // Only writing could fail, and a String takes everything.
    template.render().unwrap_or_default()
}

/// An answer with the page `html`.
pub(crate) fn answer(status: StatusCode, html: String, referrer: Referrer) -> Response {
    guarded((status, Html(html)).into_response(), referrer)
}

/// The answer with the headers that keep foreign pages out, and it out of caches.
///
/// There is no Strict-Transport-Security: it would hold for every port of the host, also for what
/// is not ours. A proxy may add it.
pub(crate) fn guarded(mut response: Response, referrer: Referrer) -> Response {
    let referrer = match referrer {
        Referrer::Nobody => "no-referrer",
        Referrer::Own => "same-origin",
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, referrer),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = POLICY.clone() {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Where somebody reads what came of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the page, which has buttons.
    Page,
    /// Behind the redirect of a command, which has options.
    Command,
}

/// The page at the end of a consent that a command waits for.
pub(crate) fn consent_ended(outcome: Result<&Kept, &OperatorError>) -> String {
    let (title, body) = ended(outcome, Place::Command);
    Document { title, refresh: None, signs_out: None, has_home: false, body: &body }.render()
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<section>
<p>{% if let Some(user) = user %}<strong>{{ user }}</strong> signed in, and{% else %}The provider does not tell who signed in. The consent is kept, and{% endif %} mailbearer now signs in for <strong>{{ account }}</strong>.</p>
{% if !missing.is_empty() %}<div class="trouble"><p class="bad">Not everything was granted.</p>
<ul>{% for scope in missing %}<li><code>{{ scope }}</code></li>{% endfor %}</ul>
<p>What needs it will be refused. Consent once more and leave every box ticked, or let an administrator grant it.</p></div>
{% else %}<p>Nothing has to be started again: the mail client signs in with its local password.</p>
{% endif %}<p>{% if place == Place::Command %}To see the account's state: <code>mailbearer accounts</code>. {% endif %}This window can be closed.</p>
</section>
"#
)]
struct Done<'a> {
    account: &'a str,
    user: Option<&'a str>,
    missing: &'a [String],
    place: Place,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<section class="trouble">
<p>{{ cause }}.</p>
{% if !fix.is_empty() %}<p>What to do: {{ fix }}.</p>
{% endif %}</section>
"#
)]
struct Trouble {
    cause: String,
    fix: String,
}

/// Title and body of the page at the end of a consent.
pub(super) fn ended(
    outcome: Result<&Kept, &OperatorError>,
    place: Place,
) -> (&'static str, String) {
    match outcome {
        Ok(Kept { account, user, missing }) => {
            let user = user.as_ref().map(|user| user.as_str());
            let done = Done { account: account.as_str(), user, missing, place };
            ("Consent is given", rendered(&done))
        }
        Err(error) => ("No consent was kept", trouble(error, place)),
    }
}

/// What went wrong and what to do, in HTML.
pub(super) fn trouble(error: &OperatorError, place: Place) -> String {
    let fix = match place {
        Place::Page => error.fix_on_page(),
        Place::Command => error.fix(),
    };
    rendered(&Trouble { cause: error.to_string(), fix })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Username;
    use crate::oauth::AuthorizeError;
    use crate::web::consents::ConsentError;

    fn user(name: &str) -> Username {
        Username::parse(name).unwrap()
    }

    fn kept(who: Option<&str>, missing: &[&str]) -> String {
        let missing = missing.iter().map(|scope| (*scope).to_owned()).collect();
        let kept = Kept { account: user("alice@contoso.com"), user: who.map(user), missing };
        consent_ended(Ok(&kept))
    }

    #[test]
    fn consent_page_says_who_signed_in_for_which_account_and_what_is_next() {
        let page = kept(Some("Alice@contoso.com"), &[]);
        for told in ["Alice@contoso.com", "alice@contoso.com", "mailbearer accounts"] {
            assert!(page.contains(told), "{told}");
        }
        assert!(!page.contains("Not everything"));
        assert!(kept(None, &[]).contains("does not tell who signed in"));
    }

    #[test]
    fn consent_page_names_what_was_not_granted() {
        let page = kept(None, &["https://outlook.office.com/SMTP.Send"]);
        assert!(page.contains("<code>https://outlook.office.com/SMTP.Send</code>"));
        assert!(page.contains("Consent once more"));
    }

    #[test]
    fn consent_page_tells_cause_and_fix_of_a_failure() {
        let error = OperatorError::WrongUser {
            user: user("mallory@contoso.com"),
            expected: "alice@contoso.com".to_owned(),
        };
        let page = consent_ended(Err(&error));
        assert!(page.contains("mallory@contoso.com consented, not alice@contoso.com"));
        assert!(page.contains(&format!("What to do: {}.", error.fix())));
    }

    #[test]
    fn page_names_its_own_buttons_and_no_commands() {
        let [alice, bob] = [user("alice@contoso.com"), user("bob@contoso.com")];
        let as_bob = OperatorError::WrongUser { user: bob.clone(), expected: alice.to_string() };
        let of_bob = OperatorError::ConsentOfAnother { account: alice.clone(), owner: bob };
        let unknown = OperatorError::NoSuchAccount { name: alice, near: None };
        for (error, told) in [
            (as_bob, "enter bob@contoso.com under"),
            (of_bob, "consent for bob@contoso.com instead"),
            (unknown, "the accounts there are"),
            (ConsentError::Flooded.into(), "begin again"),
            (ConsentError::NoPort("none".to_owned()).into(), "web.public_url"),
            (OperatorError::BrokenOff, "log"),
        ] {
            let (_, body) = ended(Err(&error), Place::Page);
            assert!(body.contains(told), "{body}");
            assert!(!body.contains("mailbearer a") && !body.contains("--"), "{body}");
        }
        let kept = Kept { account: user("alice@contoso.com"), user: None, missing: Vec::new() };
        assert!(!ended(Ok(&kept), Place::Page).1.contains("mailbearer accounts"));
    }

    #[test]
    fn nothing_that_a_provider_says_is_html() {
        let script = "<script>alert(1)</script>\"'&";
        let denied = AuthorizeError::Denied { cause: script.to_owned(), fix: script.to_owned() };
        for page in [
            kept(Some("<script>alert(1)</script>"), &[script]),
            consent_ended(Err(&OperatorError::Consent(denied))),
            consent_ended(Err(&OperatorError::Malformed(script.to_owned()))),
        ] {
            assert!(!page.contains("<script"), "{page}");
            assert!(page.contains("&#60;script&#62;"), "{page}");
        }
    }

    #[test]
    fn answers_let_nothing_load_and_nobody_frame_or_keep_them() {
        let response = answer(StatusCode::OK, String::new(), Referrer::Nobody);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(response.headers().get("strict-transport-security").is_none());
        assert!(response.headers().get("access-control-allow-origin").is_none());
    }

    #[test]
    fn style_is_the_one_that_the_policy_allows() {
        let page = kept(None, &[]);
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        let policy = POLICY.clone().unwrap();
        assert!(policy.to_str().unwrap().contains(&hash));
        assert_eq!(page.matches("style=").count(), 0, "no style of an element is allowed");
    }
}
