//! The forecast: what of a grant ends, and when, and the warnings before.
//!
//! In:  what is kept of a grant, and what the configuration names for it. Out: for `accounts` two
//!      times; in the log one line a day for each thing that is about to end.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tracing::warn;

use super::Wanted;
use super::client_key::certificate_end;
use super::desk::{Desk, foreign};
use super::endpoint::host_of;
use super::error::TokenError;
use super::moment::Moment;
use crate::net::tls::validity::ENDS_SOON;
use crate::provider::{ClientAuth, Grant, GrantId};
use crate::secret::SecretSource;
use crate::store::StoredGrant;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end a client secret is warned of, as a certificate is.
pub const CREDENTIAL_WARNED: Duration = ENDS_SOON;

/// How long before its end a refresh token is warned of at most; of a short life, a quarter.
const REFRESH_TOKEN_WARNED_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often it is warned of the same thing.
const WARNED_AGAIN: Duration = DAY;

/// Lines of each kind at once: who reads twenty knows, and `accounts` shows all.
const TOLD_MAX: usize = 20;

/// How often it is looked for what ends.
const LOOKED_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long a use to keep a grant alive may take before it counts as failed.
const KEEPING_ALIVE_MAX: Duration = Duration::from_secs(60);

/// How old a consent is that Google ends because its consent screen is in testing: seven days, half
/// a day more or less for a request that came late.
const TESTING_AGE: (Duration, Duration) =
    (Duration::from_secs(13 * 12 * 60 * 60), Duration::from_secs(15 * 12 * 60 * 60));

/// Where Google gives tokens, and where it tells so.
const GOOGLE: [&str; 2] = ["oauth2.googleapis.com", "accounts.google.com"];

/// The last second that has four digits for its year, since 1970.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// Of what a refresh token dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiesOf {
    /// Nobody uses it; each use puts its death off.
    Disuse,
    /// It is as old as the provider lets it become, whatever happens.
    Age,
}

impl DiesOf {
    /// The word that `accounts` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disuse => "disuse",
            Self::Age => "age",
        }
    }
}

/// The death of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Death {
    /// When, since 1970.
    pub(super) at: Duration,
    pub(super) of: DiesOf,
    /// How long its life is, from its consent or its last use.
    life: Duration,
}

/// When the refresh token in `stored` dies, by what is known: the earlier of what the provider lets
/// all of them live without use and what it told of this one.
pub(super) fn death(grant: &Grant, stored: &StoredGrant) -> Option<Death> {
    let unused = grant.refresh_idle.and_then(|life| {
        let at = stored.refreshed_at.checked_add(life)?;
        Some(Death { at, of: DiesOf::Disuse, life })
    });
    let told = stored.ends_at.map(|at| {
        // Google tells the end of the consent, others how long the token lasts without use
        // (Keycloak's `refresh_expires_in`).
        let (of, from) = if is_google(grant.source()) {
            (DiesOf::Age, stored.consented_at)
        } else {
            (DiesOf::Disuse, stored.refreshed_at)
        };
        Death { at, of, life: at.saturating_sub(from) }
    });
    unused.into_iter().chain(told).min_by_key(|death| death.at)
}

/// How long the refresh token in `stored` lives without use, if that is known.
pub(super) fn idle_life(grant: &Grant, stored: &StoredGrant) -> Option<Duration> {
    let told = stored.ends_at.filter(|_| !is_google(grant.source()));
    let told = told.map(|at| at.saturating_sub(stored.refreshed_at));
    grant.refresh_idle.into_iter().chain(told).min()
}

/// Whether `source` is a token endpoint or an issuer of Google's.
pub(super) fn is_google(source: &str) -> bool {
    GOOGLE.contains(&host_of(source).as_str())
}

/// Adds to `error`, by which the refresh token in `stored` was refused, what its age tells: Google
/// says `invalid_grant` whatever the reason.
pub(super) fn add_age(error: &mut TokenError, grant: &Grant, stored: &StoredGrant) {
    let Some(refused) = &stored.refused else { return };
    if refused.error != "invalid_grant" || refused.aadsts.is_some() {
        return;
    }
    let age = refused.at.saturating_sub(stored.consented_at);
    let (youngest, oldest) = TESTING_AGE;
    if is_google(grant.source()) && (youngest..=oldest).contains(&age) {
        error.cause.push_str(
            "; it was given 7 days before, and Google ends it then while the consent screen is \
             External and in testing",
        );
        error.fix =
            format!("set the consent screen to In production or Internal, then {}", error.fix);
    } else if stored.ends_at.is_some_and(|ends_at| ends_at <= refused.at) {
        error.cause.push_str("; the provider had told that it would end by then");
    }
}

/// What an application shows that ends some day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Credential {
    Secret,
    Certificate,
}

/// When the client's secret or certificate ends, since 1970, as far as that is known. Reads the
/// certificate's file; a program is not run for this.
fn credential_end(grant: &Grant) -> Option<(Duration, Credential)> {
    let client = grant.way.client()?;
    match &client.auth {
        ClientAuth::SecretPost(_) | ClientAuth::SecretBasic(_) => {
            Some((client.secret_ends_at?, Credential::Secret))
        }
        ClientAuth::PrivateKeyJwt(key) => match &key.certificate {
            None | Some(SecretSource::Command(_)) => None,
            Some(SecretSource::Value(_) | SecretSource::Env { .. } | SecretSource::File(_)) => {
                Some((certificate_end(key)?, Credential::Certificate))
            }
        },
        ClientAuth::None | ClientAuth::AssertionFile(_) => None,
    }
}

/// When the client's secret or certificate ends, since 1970. Blocks for the read of a file.
pub(super) fn credential_ends_at(grant: &Grant) -> Option<Duration> {
    credential_end(grant).map(|(at, _)| at)
}

/// The ends of certificates by their files: many people's consents have one client.
#[derive(Debug, Default)]
struct Certificates(HashMap<PathBuf, Option<(Duration, Credential)>>);

impl Certificates {
    /// As [`credential_end`], and reads each file once.
    fn credential_end(&mut self, grant: &Grant) -> Option<(Duration, Credential)> {
        let auth = grant.way.client().map(|client| &client.auth);
        let Some(ClientAuth::PrivateKeyJwt(key)) = auth else { return credential_end(grant) };
        let Some(SecretSource::File(path)) = &key.certificate else { return credential_end(grant) };
        *self.0.entry(path.clone()).or_insert_with(|| credential_end(grant))
    }
}

/// Something that is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ending {
    Credential(Credential),
    RefreshToken(DiesOf),
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Credential(Credential::Secret) => "the client secret",
            Self::Credential(Credential::Certificate) => "the certificate",
            Self::RefreshToken(_) => "the refresh token",
        }
    }

    /// What to do about it for `grant`, in a clause.
    fn fix(self, grant: &GrantId) -> String {
        match self {
            Self::Credential(Credential::Secret) => {
                "make a new one at the provider, and write it and `client_secret_expires`"
                    .to_owned()
            }
            Self::Credential(Credential::Certificate) => {
                "make a new one, upload it at the provider, and write `certificate` and \
                 `private_key`"
                    .to_owned()
            }
            Self::RefreshToken(DiesOf::Disuse) => {
                format!("it cannot be renewed: mend its last error, or {}", authorize(grant))
            }
            Self::RefreshToken(DiesOf::Age) => format!(
                "{} before; a consent of 7 days comes of a consent screen in testing",
                authorize(grant)
            ),
        }
    }
}

fn authorize(grant: &GrantId) -> String {
    super::verdict::fix_of_consent(grant)
}

/// Whose ending it is, which is warned of once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    Grant(GrantId),
    /// A client's credential, whoever's consents need it. Another end is another credential.
    Client {
        source: String,
        id: String,
        ends_at: Duration,
    },
}

/// Something that ends soon.
#[derive(Debug)]
struct Notice {
    whose: Whose,
    ending: Ending,
    /// Since 1970.
    ends_at: Duration,
    /// The grant that it is of, or the first of them by name.
    grant: GrantId,
    /// How many it is of.
    grants: usize,
}

/// What was warned of, and when it is looked again.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    warned: HashMap<(Whose, Ending), Moment>,
    looked: Option<(Moment, Arc<[Wanted]>)>,
}

impl Desk {
    /// Warns of what is about to end, at the first call, when the configuration has changed and from
    /// time to time.
    pub(super) async fn foresee(self: &Arc<Self>, foresight: &mut Foresight) {
        let (wanted, now) = (self.wanted(), Moment::now());
        let is_recent = foresight.looked.as_ref().is_some_and(|(at, looked_at)| {
            Arc::ptr_eq(looked_at, &wanted) && now.since(*at) < LOOKED_EVERY
        });
        if is_recent {
            return;
        }
        foresight.looked = Some((now, Arc::clone(&wanted)));
        let desk = Arc::clone(self);
        // Certificates are read from their files.
        let endings = tokio::task::spawn_blocking(move || desk.endings(&wanted, now)).await;
        // It is cut off only when the program ends.
        foresight.warn(endings.unwrap_or_default(), now);
    }

    /// What of `wanted` is about to end, what ends first before the others. Blocks for the read of
    /// certificates.
    fn endings(&self, wanted: &[Wanted], now: Moment) -> Vec<Notice> {
        let (mut notices, mut certificates) = (Vec::new(), Certificates::default());
        let mut of_clients: HashMap<(Whose, Ending), Notice> = HashMap::new();
        for Wanted { grant, .. } in wanted {
            let notice = |whose, ending, ends_at, grants| {
                let grant = grant.id.clone();
                Notice { whose, ending, ends_at, grant, grants }
            };
            if let Some(death) = self.death_to_warn_of(grant, now) {
                let (whose, ending) =
                    (Whose::Grant(grant.id.clone()), Ending::RefreshToken(death.of));
                notices.push(notice(whose, ending, death.at, 1));
            }
            if let Some((at, credential)) = certificates.credential_end(grant)
                && at.saturating_sub(now.unix_time) < CREDENTIAL_WARNED
            {
                let (source, id) = (grant.source().to_owned(), grant.client_id().to_owned());
                let whose = Whose::Client { source, id, ends_at: at };
                let ending = Ending::Credential(credential);
                let shared = of_clients.entry((whose.clone(), ending));
                shared.or_insert_with(|| notice(whose, ending, at, 0)).grants += 1;
            }
        }
        notices.extend(of_clients.into_values());
        notices.sort_by(|one, other| (one.ends_at, &one.grant).cmp(&(other.ends_at, &other.grant)));
        notices
    }

    /// The death of the refresh token of `grant`, if it is near and nothing is known to have ended
    /// the consent already.
    fn death_to_warn_of(&self, grant: &Grant, now: Moment) -> Option<Death> {
        if !grant.kind().is_kept() {
            return None;
        }
        let stored = self.ledger.store().load(&grant.id)?;
        if stored.refused.is_some() || foreign(grant, &stored).is_some() {
            return None;
        }
        let death = death(grant, &stored)?;
        let is_near =
            death.at.saturating_sub(now.unix_time) < (death.life / 4).min(REFRESH_TOKEN_WARNED_MAX);
        // Each use puts it off, and the keeper uses it by now: so only if that has failed.
        let is_mended = || {
            let tried_at = self.cache.kept_alive_at(&grant.id);
            tried_at.is_none_or(|at| now.since(at) < KEEPING_ALIVE_MAX)
        };
        (is_near && (death.of == DiesOf::Age || !is_mended())).then_some(death)
    }
}

impl Foresight {
    /// Writes a line for each of `notices` that none was written for today; of many of a kind the
    /// first ones, and how many others there are.
    fn warn(&mut self, notices: Vec<Notice>, now: Moment) {
        let is_of_today = |at: &Moment| now.since(*at) < WARNED_AGAIN;
        self.warned.retain(|_, at| is_of_today(at));
        let (mut refresh_tokens, mut credentials) = (0_usize, 0_usize);
        for notice in notices {
            let Notice { whose, ending, ends_at, grant, grants } = notice;
            let Vacant(unwarned) = self.warned.entry((whose, ending)) else { continue };
            unwarned.insert(now);
            let told = match ending {
                Ending::RefreshToken(_) => &mut refresh_tokens,
                Ending::Credential(_) => &mut credentials,
            };
            *told += 1;
            if *told > TOLD_MAX {
                continue;
            }
            let day = humantime::format_rfc3339_seconds(UNIX_EPOCH + ends_at.min(LAST)).to_string();
            let left = ends_at.saturating_sub(now.unix_time);
            let days = left.as_secs() / DAY.as_secs();
            let message = if left.is_zero() { "has ended" } else { "ends soon" };
            let (ends, fix) = (ending.name(), ending.fix(&grant));
            warn!(grant = %grant, grants, ends_at = day, days_left = days, fix, "{ends} {message}");
        }
        let hint = "mailbearer accounts";
        if let Some(others @ 1..) = refresh_tokens.checked_sub(TOLD_MAX) {
            warn!(grants = others, hint, "other refresh tokens end soon or have ended");
        }
        if let Some(others @ 1..) = credentials.checked_sub(TOLD_MAX) {
            warn!(clients = others, hint, "credentials of other clients end soon or have ended");
        }
    }
}
