//! The accounts, each with its state and what can be done.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Room, Visitor};
use crate::names::Username;
use crate::oauth::ErrorKind;
use crate::web::accounts::{AccountRow, DeviceRow, LastError, NotGranted};
use crate::web::consents::Method;
use crate::web::html;
use crate::web::moment::Moment;
use crate::web::operator::{Operator, OperatorError};

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% for account in accounts %}<section>
<div class="head"><h2 id="account-{{ loop.index }}">{{ account.row.account }}</h2><span class="{{ account.tone() }}">{{ account.row.token }}</span></div>
<dl>
<dt>Provider</dt><dd>{{ account.row.provider }}</dd>
<dt>Grant</dt><dd>{{ account.row.grant }}</dd>
{% if let Some(owner) = account.owner %}<dt>Uses the consent of</dt><dd>{{ owner }}</dd>
{% endif %}{% if let Some(user) = account.row.user %}<dt>Consent of</dt><dd>{{ user }}</dd>
{% endif %}{% for (what, when) in account.moments() %}<dt>{{ what }}</dt><dd>{{ when }}</dd>
{% endfor %}{% for device in account.row.devices %}<dt>Device {{ device.device }}</dt><dd>{{ device.known_by() }}; {{ account.last_use(device) }}</dd>
{% endfor %}</dl>
{% if account.row.untried %}<p class="dim">Nobody has tried mailbearer's settings for this provider there.</p>
{% endif %}{% if let Some(error) = account.row.last_error %}<div class="trouble">
<p><strong>Last error:</strong> {{ error.cause }}</p>
<p><strong>What to do:</strong> {{ account.fix(error) }}</p>
{% if let Some(id) = error.trace_id %}<p class="dim">Trace id {{ id }}</p>
{% endif %}{% if let Some(id) = error.correlation_id %}<p class="dim">Correlation id {{ id }}</p>
{% endif %}</div>
{% endif %}{% if let Some(error) = account.row.mail_error %}<div class="trouble">
<p><strong>Mail error</strong>{% if error.account != account.row.account %} of {{ error.account }}{% endif %} by {{ error.protocol }} on {{ error.when() }}: {{ error.reply }}</p>
<p><strong>Cause:</strong> {{ error.cause }}</p>
<p><strong>What to do:</strong> {{ error.fix }}</p>
</div>
{% endif %}{% if let Some(lacks) = account.row.not_granted %}<div class="trouble">
<p><strong>Not granted:</strong> {{ lacks.cause() }}</p>
<p><strong>What to do:</strong> {{ account.fix_of_lack(lacks) }}</p>
</div>
{% endif %}{% if let Some(problem) = account.row.unsaved %}<div class="trouble"><p class="bad">The newest refresh token is in memory alone.</p><p>{{ problem }}</p></div>
{% endif %}{% if account.takes_consent() %}<form method="post">
<input type="hidden" name="form_token" value="{{ form_token }}">
<div class="acts">{% if account.by_browser() %}<button formaction="{{ account.path }}/authorize" aria-describedby="account-{{ loop.index }}">{{ account.verb() }} by browser</button>
{% endif %}{% if account.by_device() %}<button formaction="{{ account.path }}/device" aria-describedby="account-{{ loop.index }}"{% if account.by_browser() %} class="plain"{% endif %}>{{ account.verb() }} by code on another device</button>
{% endif %}</div>
<details><summary aria-describedby="account-{{ loop.index }}">Somebody else signs in</summary>
<label for="as-{{ loop.index }}">Who may sign in besides {{ account.row.account }}</label>
<input id="as-{{ loop.index }}" name="as" autocomplete="off" spellcheck="false"></details>
</form>
{% endif %}</section>
{% else %}<p>The configuration has no accounts.</p>
{% endfor %}"#
)]
struct Accounts<'a> {
    accounts: Vec<Account>,
    form_token: &'a str,
}

struct Account {
    row: AccountRow,
    /// Where its forms lead.
    path: String,
    /// How its person can be asked.
    methods: Vec<Method>,
    /// Whose consent it uses, if another account's.
    owner: Option<Username>,
}

impl Account {
    fn new(row: AccountRow, operator: &Operator) -> Self {
        let path = format!("/accounts/{}", encoded(&row.account));
        // Nobody consents for a wildcard, which is no name.
        let name = Username::parse(&row.account).ok();
        let (methods, owner) = match name.map(|name| operator.page_methods(&name)) {
            Some(Ok(methods)) => (methods, None),
            Some(Err(OperatorError::ConsentOfAnother { owner, .. })) => (Vec::new(), Some(owner)),
            Some(Err(_)) | None => (Vec::new(), None),
        };
        Self { row, path, methods, owner }
    }

    /// The class of the style that its token's state has.
    fn tone(&self) -> &'static str {
        match self.row.token.as_str() {
            "ready" => "good",
            "not asked yet" => "dim",
            _ => "bad",
        }
    }

    fn by_browser(&self) -> bool {
        self.methods.contains(&Method::Browser)
    }

    fn by_device(&self) -> bool {
        self.methods.contains(&Method::Device)
    }

    fn takes_consent(&self) -> bool {
        !self.methods.is_empty()
    }

    /// What to do about `error`, where the page may have a button for it.
    fn fix(&self, error: &LastError) -> String {
        if error.kind == ErrorKind::Consent.name() {
            self.consent_here().unwrap_or_else(|| error.fix.clone())
        } else {
            error.fix.clone()
        }
    }

    /// What to do about `lacks`, likewise.
    fn fix_of_lack(&self, lacks: &NotGranted) -> String {
        let consent = self.consent_here();
        consent.map_or_else(
            || lacks.fix.clone(),
            |consent| format!("{consent}, and leave every box ticked"),
        )
    }

    /// The consent that helps, where the page has a button for it.
    fn consent_here(&self) -> Option<String> {
        let again = if self.has_consented() { " again" } else { "" };
        match &self.owner {
            Some(owner) => Some(format!("consent{again} for {owner}")),
            None => self.takes_consent().then(|| format!("consent{again}, by a button below")),
        }
    }

    fn verb(&self) -> &'static str {
        if self.has_consented() { "Consent again" } else { "Consent" }
    }

    fn has_consented(&self) -> bool {
        self.row.consented_at.is_some()
    }

    /// When a device of it was last let in, in a clause.
    #[expect(clippy::unused_self, reason = "templates call methods alone")]
    fn last_use(&self, device: &DeviceRow) -> String {
        device.last_used_at.map_or_else(
            || "no use since the relay started".to_owned(),
            |moment| format!("last used {}", String::from(moment)),
        )
    }

    /// What is known of times.
    fn moments(&self) -> Vec<(&'static str, String)> {
        let row = &self.row;
        let is_of_disuse = row.dies_of.as_deref() == Some("disuse");
        let dies = if is_of_disuse { "Dies unused on" } else { "Dies on" };
        let day = |moment: Option<Moment>| moment.map(Moment::day);
        [
            ("Consented on", day(row.consented_at)),
            ("Last renewed on", day(row.refreshed_at)),
            ("Access token ends", row.access_token_ends_at.map(String::from)),
            (dies, day(row.dies_at)),
            ("Credential ends on", day(row.credential_ends_at)),
        ]
        .into_iter()
        .filter_map(|(what, when)| Some((what, when?)))
        .collect()
    }
}

/// The page of the accounts.
pub(super) async fn show(
    State(room): State<Room>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    let operator = &room.desk.operator;
    match operator.accounts().await {
        Ok(rows) => {
            let accounts = rows.into_iter().map(|row| Account::new(row, operator)).collect();
            let page = Accounts { accounts, form_token: &visitor.form_token };
            visitor.page(StatusCode::OK, "Accounts", &html::rendered(&page))
        }
        Err(error) => visitor.trouble("The accounts cannot be shown", &error),
    }
}

/// `name` as one segment of a path (RFC 3986 section 2.3).
fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path += &format!("%{byte:02X}");
        }
        path
    })
}
