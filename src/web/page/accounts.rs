//! The accounts, each with its state and what can be done.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Room, Visitor};
use crate::provider::GrantKind;
use crate::web::accounts::AccountRow;
use crate::web::html;
use crate::web::moment::Moment;

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"{% for account in accounts %}<section>
<div class="head"><h2>{{ account.row.account }}</h2><span class="{{ account.tone() }}">{{ account.row.token }}</span></div>
<dl>
<dt>Provider</dt><dd>{{ account.row.provider }}</dd>
<dt>Grant</dt><dd>{{ account.row.grant }}</dd>
{% if let Some(user) = account.row.user %}<dt>Consent of</dt><dd>{{ user }}</dd>
{% endif %}{% for (what, when) in account.moments() %}<dt>{{ what }}</dt><dd>{{ when }}</dd>
{% endfor %}</dl>
{% if let Some(error) = account.row.last_error %}<div class="trouble">
<p><strong>Last error:</strong> {{ error.cause }}</p>
<p><strong>What to do:</strong> {{ error.fix }}</p>
{% if let Some(id) = error.trace_id %}<p class="dim">Trace id {{ id }}</p>
{% endif %}{% if let Some(id) = error.correlation_id %}<p class="dim">Correlation id {{ id }}</p>
{% endif %}</div>
{% endif %}{% if let Some(problem) = account.row.unsaved %}<div class="trouble"><p class="bad">The newest refresh token is in memory alone.</p><p>{{ problem }}</p></div>
{% endif %}{% if account.takes_consent() %}<form method="post">
<input type="hidden" name="form_token" value="{{ form_token }}">
<div class="acts">{% if account.by_browser() %}<button formaction="{{ account.path }}/authorize">{{ account.verb() }} by browser</button>
{% endif %}<button formaction="{{ account.path }}/device"{% if account.by_browser() %} class="plain"{% endif %}>{{ account.verb() }} by code on another device</button></div>
<details><summary>Somebody else signs in</summary>
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
}

impl Account {
    fn new(row: AccountRow) -> Self {
        let path = format!("/accounts/{}", encoded(&row.account));
        Self { row, path }
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
        self.row.grant == GrantKind::AuthorizationCode.name()
    }

    fn takes_consent(&self) -> bool {
        self.by_browser() || self.row.grant == GrantKind::DeviceCode.name()
    }

    fn verb(&self) -> &'static str {
        if self.row.consented_at.is_some() { "Consent again" } else { "Consent" }
    }

    /// What is known of times.
    fn moments(&self) -> Vec<(&'static str, String)> {
        let row = &self.row;
        let day = |moment: Option<Moment>| moment.map(Moment::day);
        [
            ("Consented on", day(row.consented_at)),
            ("Last renewed on", day(row.refreshed_at)),
            ("Access token ends", row.access_token_ends_at.map(String::from)),
            ("Dies unused on", day(row.dies_at)),
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
    match room.desk.operator.accounts().await {
        Ok(rows) => {
            let accounts = rows.into_iter().map(Account::new).collect();
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
