//! `providers.NAME.scopes`: what tokens are asked for, and what cannot work among it.
//!
//! Sources: RFC 6749 section 3.3 (form); Microsoft's "Authenticate an IMAP, POP or SMTP connection
//! using OAuth" and "Scopes and permissions in the Microsoft identity platform" (a token is for one
//! resource; a scope without resource is one of Microsoft Graph; `/.default`; permissions of
//! applications are no scopes).

use crate::provider::{GrantKind, PerProtocol};

use super::field::Field;
use super::file::Reported;
use super::listeners::At;
use super::presets::PresetScopes;

/// The scopes of a provider: as the file has them, for every grant; for a protocol that it leaves out,
/// those of the preset, by grant.
pub(super) struct Scopes<'t> {
    pub(super) written: Written<'t>,
    pub(super) preset: Option<PresetScopes>,
}

/// The scopes that the file has.
pub(super) type Written<'t> = PerProtocol<Option<Vec<At<'t, String>>>>;

/// Where Microsoft Graph is, by cloud.
const GRAPH_HOSTS: [&str; 4] = [
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
];

/// The same by its application id, which Entra takes as well.
const GRAPH_ID: &str = "00000003-0000-0000-c000-000000000000";

/// The names of one resource: "Office 365 Exchange Online", whose application id is the last.
const EXCHANGE_ONLINE: [&str; 4] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://ps.outlook.com",
    "00000002-0000-0ff1-ce00-000000000000",
];

/// The scopes of Entra that are of no resource (OpenID Connect Core sections 5.4 and 11).
const OF_NO_RESOURCE: [&str; 6] =
    ["openid", "profile", "email", "offline_access", "address", "phone"];

/// What an application has by its registration.
const OF_APPLICATIONS: [&str; 3] = ["SMTP.SendAsApp", "IMAP.AccessAsApp", "POP.AccessAsApp"];

/// What makes Entra give a refresh token.
const OFFLINE_ACCESS: &str = "offline_access";

impl<'t> Scopes<'t> {
    /// Those in `field`: one list for all protocols, or a table with one for each.
    pub(super) fn read(field: &Field<'t>) -> Result<Written<'t>, Reported> {
        if !field.is_table() {
            let scopes = Some(field.each(scope)?);
            return Ok(PerProtocol::of_each(scopes));
        }
        let mut table = field.table()?;
        let submission = table.read("submission", |field| field.each(scope));
        let imap = table.read("imap", |field| field.each(scope));
        let pop3 = table.read("pop3", |field| field.each(scope));
        table.finish(&[])?;
        Ok(PerProtocol { submission: submission?, imap: imap?, pop3: pop3? })
    }

    /// Those that a grant of `kind` asks for.
    pub(super) fn of(&self, kind: GrantKind) -> PerProtocol<Vec<String>> {
        let bare = |scopes: &Vec<At<'_, String>>| -> Vec<String> {
            scopes.iter().map(|(_, scope)| scope.clone()).collect()
        };
        let preset = self.preset.as_ref().map(|preset| preset.of(kind)).unwrap_or_default();
        let PerProtocol { submission, imap, pop3 } = &self.written;
        PerProtocol {
            submission: submission.as_ref().map_or(preset.submission, bare),
            imap: imap.as_ref().map_or(preset.imap, bare),
            pop3: pop3.as_ref().map_or(preset.pop3, bare),
        }
    }

    /// Reports those of the file by which a grant of `kind` gets no token for mail. `of_entra` are
    /// those that work where tokens are asked of Entra, and `is_entra` says whether they are.
    pub(super) fn check(
        &self,
        kind: GrantKind,
        is_entra: bool,
        of_entra: &PresetScopes,
    ) -> Result<(), Reported> {
        if kind == GrantKind::Command {
            return Ok(()); // it asks for nothing
        }
        let right = Right { kind, help: written(&of_entra.of(kind)) };
        let mut checked = Ok(());
        let PerProtocol { submission, imap, pop3 } = &self.written;
        for scopes in [submission, imap, pop3].into_iter().flatten() {
            checked = checked.and(right.refuse_graph(scopes, is_entra));
            if is_entra && checked.is_ok() {
                checked = right.check(scopes);
            }
        }
        checked
    }
}

/// What is right, to compare with.
struct Right {
    kind: GrantKind,
    help: String,
}

impl Right {
    fn refuse_graph(&self, scopes: &[At<'_, String>], is_entra: bool) -> Result<(), Reported> {
        let mut refused = Ok(());
        for (field, scope) in scopes {
            let host = scope.split_once("://").map(|(_, rest)| rest.split('/').next());
            let names_graph = host.flatten().is_some_and(|host| is_among(&GRAPH_HOSTS, host))
                || (is_entra && resource(scope) == GRAPH_ID);
            let is_bare = !scope.contains('/') && !is_among(&OF_NO_RESOURCE, scope);
            if names_graph || (is_entra && is_bare) {
                refused = Err(field.problem(
                    format!(
                        "holds {scope:?}, of Microsoft Graph, whose tokens no mail server takes"
                    ),
                    &self.help,
                ));
            }
        }
        refused
    }

    fn check(&self, scopes: &[At<'_, String>]) -> Result<(), Reported> {
        let of_resources = || scopes.iter().filter(|(_, scope)| scope.contains('/'));
        for (field, scope) in of_resources() {
            if is_among(&OF_APPLICATIONS, permission(scope)) {
                return Err(field.problem(
                    format!(
                        "holds {scope:?}, a permission that applications are given in their \
                         registration and that is no scope"
                    ),
                    &self.help,
                ));
            }
        }
        let Some((_, first)) = of_resources().next() else { return Ok(()) };
        let other = of_resources().find(|(_, scope)| resource(scope) != resource(first));
        if let Some((field, scope)) = other {
            return Err(field.problem(
                format!("holds {scope:?} beside {first:?}, and a token is for one resource alone"),
                &self.help,
            ));
        }
        if self.kind.is_personal() { self.check_person(scopes) } else { self.check_others(scopes) }
    }

    fn check_person(&self, scopes: &[At<'_, String>]) -> Result<(), Reported> {
        let all = scopes.iter().find(|(_, scope)| is_default(scope));
        let one = scopes.iter().find(|(_, scope)| scope.contains('/') && !is_default(scope));
        if let (Some((field, all)), Some((_, one))) = (all, one) {
            return Err(field.problem(
                format!("holds {all:?}, which stands for all permissions, beside {one:?}"),
                &self.help,
            ));
        }
        let lasts = scopes.iter().any(|(_, scope)| scope == OFFLINE_ACCESS);
        if let Some((field, _)) = scopes.first().filter(|_| self.kind.is_kept() && !lasts) {
            field.warning(
                "lacks \"offline_access\", without which Entra gives no refresh token",
                &self.help,
            );
        }
        Ok(())
    }

    /// Entra answers `invalid_scope` (AADSTS1002012) to an application that asks for anything else.
    fn check_others(&self, scopes: &[At<'_, String>]) -> Result<(), Reported> {
        let wrong =
            scopes.iter().enumerate().find(|(at, (_, scope))| *at > 0 || !is_default(scope));
        match wrong {
            Some((_, (field, scope))) => Err(field.problem(
                format!(
                    "holds {scope:?}, but an application asks for one scope alone, which ends in \
                     /.default"
                ),
                &self.help,
            )),
            None => Ok(()),
        }
    }
}

/// What to write, as the file would have it.
fn written(scopes: &PerProtocol<Vec<String>>) -> String {
    let PerProtocol { submission, imap, pop3 } = scopes;
    if submission == imap && imap == pop3 {
        format!("write scopes = {submission:?}")
    } else {
        format!(
            "write scopes = {{ submission = {submission:?}, imap = {imap:?}, pop3 = {pop3:?} }}"
        )
    }
}

fn is_among(all: &[&str], one: &str) -> bool {
    all.iter().any(|known| known.eq_ignore_ascii_case(one))
}

fn is_default(scope: &str) -> bool {
    permission(scope) == ".default"
}

fn permission(scope: &str) -> &str {
    scope.rsplit_once('/').map_or(scope, |(_, permission)| permission)
}

/// What the token for `scope` is for: one name for all that mean the same.
fn resource(scope: &str) -> String {
    let resource = scope.rsplit_once('/').map_or("", |(resource, _)| resource);
    let resource = resource.trim_end_matches('/').to_ascii_lowercase();
    if EXCHANGE_ONLINE.contains(&resource.as_str()) {
        "exchange online".to_owned()
    } else {
        resource
    }
}

fn scope(field: &Field<'_>) -> Result<String, Reported> {
    let text = field.text()?;
    // RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(field.problem(
            format!("holds {text:?}, which is no scope"),
            "write one scope in each string: scopes = [\"mail.imap\", \"mail.smtp\"]",
        ))
    }
}
