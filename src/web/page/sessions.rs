//! Who is signed in at the page: a cookie for each browser, and the token that its forms carry.
//!
//! Every browser has a cookie of 256 random bits. Where an admin token is set, a browser that
//! showed it gets a new one, whose hash is remembered. A form's token is a tag of the cookie, so
//! it is good for one browser, and nothing is remembered of those that did not sign in.
//!
//! Limits: [`SESSIONS_MAX`] sessions, of [`LIFE`] each; they end with the process, and with the
//!         admin token that they began with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::{constant_time, digest, hmac};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::account::password::RandomError;
use crate::web::admin::Stamp;

/// How long a session lasts: a working day, so that a forgotten browser is signed out over night.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// How many sessions there may be. One more ends the oldest.
const SESSIONS_MAX: usize = 64;

/// Random bytes of a cookie.
const COOKIE_BYTES: usize = 32;

/// Name of the cookie under https: browsers take one of such a name from this very host alone
/// (draft-ietf-httpbis-rfc6265bis, section 4.1.3.2).
const SECURE_NAME: &str = "__Host-mailbearer";

/// Name of the cookie in clear, which is for loopback.
const CLEAR_NAME: &str = "mailbearer";

/// The sessions. They outlive a reload.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Drawn at start.
    key: hmac::Key,
    open: Mutex<HashMap<[u8; digest::SHA256_OUTPUT_LEN], Session>>,
}

#[derive(Debug)]
struct Session {
    ends: Instant,
    /// Of the admin token that it began with.
    stamp: Stamp,
}

/// The cookie of a browser: [`COOKIE_BYTES`] in base64url.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cookie(String);

impl Sessions {
    /// None yet.
    ///
    /// # Errors
    /// When the system yields no random numbers.
    pub(super) fn new() -> Result<Self, RandomError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self { key: key.map_err(|_| RandomError)?, open: Mutex::default() })
    }

    /// The key of the stamps.
    pub(super) fn key(&self) -> &hmac::Key {
        &self.key
    }

    /// Begins a session with the admin token of `stamp`; gives its cookie.
    pub(super) fn begin(&self, stamp: Stamp) -> Result<Cookie, RandomError> {
        let cookie = Cookie::draw()?;
        let mut open = self.lock();
        let now = Instant::now();
        open.retain(|_, session| session.ends > now && session.stamp == stamp);
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, session)| session.ends).map(|(id, _)| *id);
            oldest.map(|id| open.remove(&id));
        }
        open.insert(cookie.hash(), Session { ends: now + LIFE, stamp });
        Ok(cookie)
    }

    /// Whether the browser with that cookie is signed in.
    pub(super) fn knows(&self, cookie: &Cookie) -> bool {
        let open = self.lock();
        open.get(&cookie.hash()).is_some_and(|session| session.ends > Instant::now())
    }

    /// Ends the session of that cookie.
    pub(super) fn end(&self, cookie: &Cookie) {
        self.lock().remove(&cookie.hash());
    }

    /// Ends the sessions that began with another admin token, all of them where there is none.
    pub(super) fn keep_those_of(&self, stamp: Option<Stamp>) {
        self.lock().retain(|_, session| stamp.is_some_and(|stamp| session.stamp == stamp));
    }

    /// What the forms shown to the browser with that cookie carry.
    pub(super) fn form_token(&self, cookie: &Cookie) -> String {
        URL_SAFE_NO_PAD.encode(self.form_tag(cookie))
    }

    /// Whether a form with that token was shown to the browser with that cookie.
    pub(super) fn has_shown(&self, cookie: &Cookie, form_token: &str) -> bool {
        let Ok(shown) = URL_SAFE_NO_PAD.decode(form_token) else { return false };
        constant_time::verify_slices_are_equal(&shown, self.form_tag(cookie).as_ref()).is_ok()
    }

    fn form_tag(&self, cookie: &Cookie) -> hmac::Tag {
        // The prefix keeps these tags apart from the stamps of tokens.
        hmac::sign(&self.key, format!("form {}", cookie.0).as_bytes())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; digest::SHA256_OUTPUT_LEN], Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cookie {
    /// A new one.
    pub(super) fn draw() -> Result<Self, RandomError> {
        let mut bytes = [0; COOKIE_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The one that a browser sends, if it looks like one. Of several it is the first, which is the
    /// one with the longest path (RFC 6265 section 5.4).
    pub(super) fn read(headers: &HeaderMap, is_https: bool) -> Option<Self> {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let (_, value) = pairs
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name(is_https))?;
        let is_one = URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == COOKIE_BYTES);
        is_one.then(|| Self(value.to_owned()))
    }

    /// The header that gives it to a browser.
    ///
    /// Strict, for nothing leads from elsewhere into a session: the answer of a provider comes to
    /// the one path that needs none.
    pub(super) fn header(&self, is_https: bool) -> Option<HeaderValue> {
        let secure = if is_https { "; Secure" } else { "" };
        let (name, life) = (name(is_https), LIFE.as_secs());
        let line =
            format!("{name}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}", self.0);
        let mut line = HeaderValue::from_str(&line).ok()?;
        line.set_sensitive(true);
        Some(line)
    }

    fn hash(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        let mut hash = [0; digest::SHA256_OUTPUT_LEN];
        let digest = digest::digest(&digest::SHA256, self.0.as_bytes());
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        hash
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie([REDACTED])")
    }
}

fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { CLEAR_NAME }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretString;

    fn stamp(sessions: &Sessions, token: &str) -> Stamp {
        Stamp::of(&SecretString::from(token), sessions.key())
    }

    fn sent(line: &str, is_https: bool) -> Option<Cookie> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(line).unwrap());
        Cookie::read(&headers, is_https)
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_after_half_a_day() {
        let sessions = Sessions::new().unwrap();
        let cookie = sessions.begin(stamp(&sessions, "one")).unwrap();
        tokio::time::advance(LIFE - Duration::from_secs(1)).await;
        assert!(sessions.knows(&cookie));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!sessions.knows(&cookie));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new().unwrap();
        let first = sessions.begin(stamp(&sessions, "one")).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = sessions.begin(stamp(&sessions, "one")).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 2..=SESSIONS_MAX {
            sessions.begin(stamp(&sessions, "one")).unwrap();
        }
        assert!(!sessions.knows(&first) && sessions.knows(&second));
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
    }

    #[tokio::test]
    async fn sessions_end_with_their_admin_token() {
        let sessions = Sessions::new().unwrap();
        let old = sessions.begin(stamp(&sessions, "old")).unwrap();
        sessions.keep_those_of(Some(stamp(&sessions, "old")));
        assert!(sessions.knows(&old));
        let new = sessions.begin(stamp(&sessions, "new")).unwrap();
        assert!(!sessions.knows(&old) && sessions.knows(&new));
        sessions.keep_those_of(None);
        assert!(!sessions.knows(&new));
    }

    #[tokio::test]
    async fn session_ends_when_it_is_ended() {
        let sessions = Sessions::new().unwrap();
        let cookie = sessions.begin(stamp(&sessions, "one")).unwrap();
        sessions.end(&cookie);
        assert!(!sessions.knows(&cookie));
    }

    #[test]
    fn form_token_is_good_for_its_browser_alone() {
        let sessions = Sessions::new().unwrap();
        let [one, other] = [Cookie::draw().unwrap(), Cookie::draw().unwrap()];
        let token = sessions.form_token(&one);
        assert!(sessions.has_shown(&one, &token) && !sessions.has_shown(&other, &token));
        assert!(!Sessions::new().unwrap().has_shown(&one, &token));
        for wrong in ["", "x", &token[1..], &format!("{token}AA")] {
            assert!(!sessions.has_shown(&one, wrong), "{wrong}");
        }
    }

    #[test]
    fn cookie_is_read_as_it_was_given_and_nothing_else_is_one() {
        let cookie = Cookie::draw().unwrap();
        let https = cookie.header(true).unwrap();
        let told = https.to_str().unwrap();
        assert!(told.starts_with("__Host-mailbearer="), "{told}");
        assert!(
            told.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure"),
            "{told}"
        );
        let clear = cookie.header(false).unwrap();
        let pair = clear.to_str().unwrap().split(';').next().unwrap();
        assert!(!clear.to_str().unwrap().contains("Secure"));
        assert_eq!(sent(&format!("other=1; {pair}"), false), Some(cookie));
        assert_eq!(sent(pair, true), None, "a cookie of clear http is none of https");
        for wrong in ["mailbearer=", "mailbearer=<script>", "mailbearer", "mailbearer=QUJD"] {
            assert_eq!(sent(wrong, false), None, "{wrong}");
        }
    }
}
