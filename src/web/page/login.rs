//! Signing in by the admin token, and out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{error, info, warn};

use super::sessions::Cookie;
use super::{Fields, Room, Visitor, plain, see_other};
use crate::secret::SecretString;
use crate::web::admin::{AdminToken, Stamp};
use crate::web::html;

/// How many admin tokens are looked at at once; others wait, each for its turn. With
/// [`WRONG_DELAY`] that is four guesses a second, whoever makes them.
pub(super) const TURNS: usize = 4;

/// How long a wrong admin token takes.
const WRONG_DELAY: Duration = Duration::from_secs(1);

/// The field of the form that holds the admin token.
const ADMIN_TOKEN: &str = "admin_token";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<section>
{% if let Some(problem) = problem %}<p class="bad" role="alert">{{ problem }}</p>
{% endif %}<form method="post" action="/login">
<input type="hidden" name="form_token" value="{{ form_token }}">
<label for="admin_token">Admin token</label>
<input id="admin_token" name="admin_token" type="password" autocomplete="current-password" required autofocus>
<div class="acts"><button>Sign in</button></div>
</form>
<p class="dim">It is <code>web.admin_token</code> of mailbearer's configuration.</p>
</section>
"#
)]
struct LoginForm<'a> {
    form_token: &'a str,
    problem: Option<&'a str>,
}

/// The form.
pub(super) async fn show(
    State(room): State<Room>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    if room.admin_token.is_none() || visitor.is_signed_in {
        return see_other("/");
    }
    form(&visitor, StatusCode::OK, None)
}

/// Begins a session if the right admin token is shown.
pub(super) async fn begin(
    State(room): State<Room>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let Some(admin_token) = room.admin_token.clone() else { return see_other("/") };
    let client = visitor.visit.client;
    let Ok(turn) = Arc::clone(&room.desk.turns).acquire_owned().await else {
        return see_other("/");
    };
    let shown = SecretString::from(fields.get(ADMIN_TOKEN));
    // Whoever hangs up has guessed all the same, so the turn ends when the guess does.
    let guessed = tokio::spawn(guess(room, admin_token, shown, client, turn)).await;
    match guessed {
        Ok(Guess::Right(cookie)) => {
            let mut response = see_other("/");
            if let Some(cookie) = cookie.header(visitor.visit.is_https) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        Ok(Guess::Wrong) => {
            form(&visitor, StatusCode::FORBIDDEN, Some("That is not the admin token."))
        }
        Ok(Guess::Undecided(problem)) => {
            form(&visitor, StatusCode::SERVICE_UNAVAILABLE, Some(problem))
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "mailbearer is shutting down"),
    }
}

/// What came of an admin token that was shown.
enum Guess {
    /// It is the one; this is the cookie of the session.
    Right(Cookie),
    /// It is not.
    Wrong,
    /// Nobody can tell, in a sentence.
    Undecided(&'static str),
}

/// Compares what was `shown` with the admin token as it is now. A wrong one holds its `turn` for
/// [`WRONG_DELAY`].
async fn guess(
    room: Room,
    admin_token: AdminToken,
    shown: SecretString,
    client: IpAddr,
    turn: OwnedSemaphorePermit,
) -> Guess {
    let sessions = &room.desk.sessions;
    let key = sessions.key().clone();
    let due = match tokio::task::spawn_blocking(move || admin_token.stamp(&key)).await {
        Ok(Ok(due)) => due,
        Ok(Err(problem)) => {
            error!(problem = problem.to_string(), "nobody can sign in at the page");
            return Guess::Undecided("The admin token cannot be read: see mailbearer's log.");
        }
        Err(_) => return Guess::Undecided("mailbearer is shutting down."),
    };
    if due != Stamp::of(&shown, sessions.key()) {
        warn!(%client, "a wrong admin token was shown at the page");
        tokio::time::sleep(WRONG_DELAY).await;
        drop(turn);
        return Guess::Wrong;
    }
    match sessions.begin(due) {
        Ok(cookie) => {
            info!(%client, "signed in at the page");
            Guess::Right(cookie)
        }
        Err(problem) => {
            error!(problem = problem.to_string(), "nobody can sign in at the page");
            Guess::Undecided("The system yields no random numbers.")
        }
    }
}

/// Ends the session.
pub(super) async fn end(
    State(room): State<Room>,
    Extension(visitor): Extension<Visitor>,
) -> Response {
    room.desk.sessions.end(&visitor.cookie);
    see_other("/login")
}

fn form(visitor: &Visitor, status: StatusCode, problem: Option<&str>) -> Response {
    let form = LoginForm { form_token: &visitor.form_token, problem };
    visitor.page(status, "Sign in", &html::rendered(&form))
}
