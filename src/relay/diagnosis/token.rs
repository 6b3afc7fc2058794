//! What our own token says, compared with what a mail server wants that does not take it.
//!
//! Exchange refuses every token alike, whatever is wrong with it. What is wrong stands in the token.

use std::time::{Duration, UNIX_EPOCH};

use crate::names::Username;
use crate::oauth::Claims;
use crate::provider::{Grant, Protocol};

/// What the mail server wants of a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// As whom the token was shown.
    pub(crate) user: &'a Username,
    pub(crate) protocol: Protocol,
    /// What was asked for.
    pub(crate) scopes: &'a [String],
    /// By which grant.
    pub(crate) grant: &'a Grant,
    /// When it was shown, since 1970.
    pub(crate) now: Duration,
}

/// The end of the year 9999, since 1970: later moments have no name.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// How Entra names Exchange Online by its id, and Microsoft Graph by both: the id is `aud` of
/// version 2 tokens.
const EXCHANGE_ID: &str = "00000002-0000-0ff1-ce00-000000000000";
const GRAPH: [&str; 2] = ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"];

/// The resources of Exchange Online worldwide, which stand for each other.
const EXCHANGE: [&str; 2] = ["https://outlook.office.com", "https://outlook.office365.com"];

/// Most that is told, in characters: an audience or a list of permissions may be long.
const TOLD_LEN_MAX: usize = 1_500;

/// What differs between a token's `claims` and what is `wanted`, in clauses; that nothing does, and
/// what to look at then. `None` where the claims say nothing that could be compared.
pub(crate) fn compared(claims: &Claims, wanted: &Wanted<'_>) -> Option<String> {
    let audience = audience(claims, wanted);
    let permission = permission(claims, wanted);
    let others = [user(claims, wanted), tenant(claims, wanted), end(claims, wanted.now)];
    let findings = [&audience, &permission].into_iter().chain(&others);
    let differing: Vec<&str> = findings.filter_map(Finding::clause).collect();
    let told = if !differing.is_empty() {
        differing.join("; ")
    } else if [audience, permission].contains(&Finding::Agrees) {
        right(claims, wanted)
    } else {
        return None;
    };
    Some(told.chars().take(TOLD_LEN_MAX).collect())
}

/// What a claim says about what is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Agrees,
    Differs(String),
    /// Nothing.
    Unknown,
}

impl Finding {
    /// What differs.
    fn clause(&self) -> Option<&str> {
        match self {
            Self::Differs(clause) => Some(clause),
            Self::Agrees | Self::Unknown => None,
        }
    }
}

fn audience(claims: &Claims, wanted: &Wanted<'_>) -> Finding {
    let resources = wanted.resources();
    let [resource, ..] = resources.as_slice() else { return Finding::Unknown };
    if claims.audiences.is_empty() {
        return Finding::Unknown;
    }
    let is_wanted = |audience: &String| {
        resources.iter().any(|resource| service_of(audience) == service_of(resource))
    };
    if claims.audiences.iter().any(is_wanted) {
        return Finding::Agrees;
    }
    let is_graph = |audience: &String| GRAPH.contains(&service_of(audience).as_str());
    let whose = if claims.audiences.iter().any(is_graph) { " (Microsoft Graph)" } else { "" };
    let audiences = claims.audiences.join(" ");
    Finding::Differs(format!("aud={audiences}{whose}, which is not {resource}"))
}

/// A resource in the form in which it is compared: one name where there are several.
fn service_of(resource: &str) -> String {
    let resource = resource.trim_end_matches('/').to_ascii_lowercase();
    if resource == EXCHANGE_ID || EXCHANGE.contains(&resource.as_str()) {
        return EXCHANGE_ID.to_owned();
    }
    resource
}

fn permission(claims: &Claims, wanted: &Wanted<'_>) -> Finding {
    let is_for_user = wanted.is_for_user(claims);
    let mut lacking = Vec::new();
    let mut is_known = false;
    for (_, permission) in wanted.named_scopes().filter(|(_, permission)| !permission.is_empty()) {
        is_known = true;
        // `.default` asks for all that was granted; a file may ask for the one of another protocol,
        // or for those of all.
        let [of_user, of_application] = of_protocol(wanted.protocol);
        let (fits, name) = if is_for_mail(permission) {
            let name = if is_for_user { of_user } else { of_application };
            (vec![of_user, of_application], name)
        } else {
            (vec![permission], permission)
        };
        if !fits.iter().any(|fit| holds(claims, fit)) && !lacking.contains(&name) {
            lacking.push(name);
        }
    }
    if lacking.is_empty() {
        return if is_known { Finding::Agrees } else { Finding::Unknown };
    }
    let (claim, held) =
        if is_for_user { ("scp", &claims.scopes) } else { ("roles", &claims.roles) };
    let held = if held.is_empty() { "nothing".to_owned() } else { held.join(" ") };
    Finding::Differs(format!("{claim}={held}, which lacks {}", lacking.join(" ")))
}

/// Whether the token has `permission`. Others than Entra may give whole scopes back.
fn holds(claims: &Claims, permission: &str) -> bool {
    let mut held = claims.scopes.iter().chain(&claims.roles);
    held.any(|held| {
        let name = held.rsplit_once('/').map_or(held.as_str(), |(_, name)| name);
        name.eq_ignore_ascii_case(permission)
    })
}

fn user(claims: &Claims, wanted: &Wanted<'_>) -> Finding {
    let Some((claim, user)) = claims.user.as_ref().filter(|_| wanted.is_for_user(claims)) else {
        return Finding::Unknown;
    };
    let shown = wanted.user;
    if user.to_lowercase() == shown.folded().as_str() {
        return Finding::Agrees;
    }
    let fix = match wanted.protocol {
        Protocol::Submission => "set `mailbox` to it",
        // A shared mailbox is opened with the token of somebody who may.
        Protocol::Imap | Protocol::Pop3 => "which is right only with full access to that mailbox",
    };
    Finding::Differs(format!("{claim}={user}, which is not {shown}: {fix}"))
}

fn tenant(claims: &Claims, wanted: &Wanted<'_>) -> Finding {
    // A domain's name in the file says nothing about the id.
    let (Some(tenant), Some(named)) = (&claims.tenant, wanted.tenant()) else {
        return Finding::Unknown;
    };
    if tenant.eq_ignore_ascii_case(named) {
        Finding::Agrees
    } else {
        Finding::Differs(format!("tid={tenant}, which is not {named}"))
    }
}

fn end(claims: &Claims, now: Duration) -> Finding {
    let Some(ends_at) = claims.ends_at.map(|at| at.min(LAST)) else { return Finding::Unknown };
    if ends_at > now {
        return Finding::Agrees;
    }
    let ended = humantime::format_rfc3339_seconds(UNIX_EPOCH + ends_at);
    Finding::Differs(format!("exp={ended}, which is past: check this machine's clock"))
}

/// That the token is right, and what else may be wrong.
fn right(claims: &Claims, wanted: &Wanted<'_>) -> String {
    let (protocol, user) = (permission_prefix(wanted.protocol), wanted.user);
    let right = format!("the token is right for {protocol} and {user}");
    if !wanted.is_of_exchange() {
        return right;
    }
    if wanted.is_for_user(claims) {
        return format!(
            "{right}: check with Get-CASMailbox that {protocol} is on for the mailbox, and its \
             permissions; a change takes up to 60 minutes"
        );
    }
    let named = |name: &str, id: &Option<String>| {
        id.as_ref().map_or_else(String::new, |id| format!(" -{name} {id}"))
    };
    let (app, object) = (named("AppId", &claims.application), named("ObjectId", &claims.object));
    format!(
        "{right}: check New-ServicePrincipal{app}{object} (of the enterprise application) and \
         Add-MailboxPermission; a change takes up to 60 minutes"
    )
}

impl Wanted<'_> {
    /// What stands before the permission in each scope that names a service: its resource.
    fn resources(&self) -> Vec<&str> {
        self.named_scopes().map(|(resource, _)| resource).collect()
    }

    /// Resource and permission of each scope that has both; those of OpenID Connect have none.
    fn named_scopes(&self) -> impl Iterator<Item = (&str, &str)> {
        let scopes = self.scopes.iter().filter(|scope| scope.contains("://"));
        scopes.filter_map(|scope| scope.rsplit_once('/'))
    }

    /// Whether the token is one for a user, and not for the application itself. Whatever prints
    /// tokens may print either.
    fn is_for_user(&self, claims: &Claims) -> bool {
        self.grant.kind().is_personal() || (!claims.scopes.is_empty() && claims.roles.is_empty())
    }

    fn is_of_exchange(&self) -> bool {
        self.resources().iter().any(|resource| service_of(resource) == EXCHANGE_ID)
    }

    /// The tenant's id, where the file has one: Entra's endpoints carry it.
    fn tenant(&self) -> Option<&str> {
        self.grant.source().split('/').find(|part| is_id(part))
    }
}

/// Whether `permission` is one for mail, whatever the protocol.
fn is_for_mail(permission: &str) -> bool {
    let mut known = Protocol::ALL.into_iter().flat_map(of_protocol);
    permission == ".default" || known.any(|name| name.eq_ignore_ascii_case(permission))
}

/// Exchange Online's permissions for `protocol`: a person's, then an application's.
fn of_protocol(protocol: Protocol) -> [&'static str; 2] {
    match protocol {
        Protocol::Submission => ["SMTP.Send", "SMTP.SendAsApp"],
        Protocol::Imap => ["IMAP.AccessAsUser.All", "IMAP.AccessAsApp"],
        Protocol::Pop3 => ["POP.AccessAsUser.All", "POP.AccessAsApp"],
    }
}

/// How the names of Entra's permissions for `protocol` begin.
fn permission_prefix(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Submission => "SMTP",
        Protocol::Imap => "IMAP",
        Protocol::Pop3 => "POP",
    }
}

/// Whether `part` is an id as Entra writes them: 8-4-4-4-12 hexadecimal digits.
fn is_id(part: &str) -> bool {
    let lengths: Vec<usize> = part.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && part.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
