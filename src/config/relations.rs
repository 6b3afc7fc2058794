//! What must hold between the tables of a file: addresses that do not collide, upstreams that are
//! not this relay itself, patterns that mean somebody, and listeners that serve somebody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::account::{AccountSettings, LocalPassword};
use crate::names::{AccountPattern, AccountPatterns};
use crate::net::listen::{Door, ListenAddress};
use crate::provider::{GrantId, MailHost, Protocol};

use super::field::Field;
use super::listeners::{At, Listener};

const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Reports every address that an earlier one takes already.
pub(super) fn refuse_collisions(listeners: &[Listener<'_>]) {
    let doors = || listeners.iter().flat_map(|listener| &listener.addresses);
    for (nth, (field, door)) in doors().enumerate() {
        let taken = doors().take(nth).find(|(_, earlier)| are_one(earlier, door));
        if let Some((earlier, _)) = taken {
            let (what, help) = match door {
                Door::Tcp(_) => ("an address", "choose another port for one of the two"),
                Door::Unix(_) => ("a path", "choose another one for one of the two"),
                Door::Systemd(_) => (
                    "the name of sockets",
                    "give those of one of the two another FileDescriptorName= in their .socket unit",
                ),
            };
            field.problem(format!("is {what} that `{}` has already", earlier.key()), help);
        }
    }
}

/// Whether clients that come to the one would come to the other.
fn are_one(one: &Door, other: &Door) -> bool {
    match (one.tcp(), other.tcp()) {
        (Some(one), Some(other)) => collide(one, other),
        (Some(_) | None, _) => one == other,
    }
}

/// Whether both cannot be bound.
pub(super) fn collide(one: ListenAddress, other: ListenAddress) -> bool {
    sockets(one).iter().any(|one| {
        sockets(other).iter().any(|other| {
            let any = one.ip().is_unspecified() || other.ip().is_unspecified();
            // Port 0 is any free port.
            one.port() == other.port()
                && one.port() != 0
                && one.is_ipv4() == other.is_ipv4()
                && (any || one.ip() == other.ip())
        })
    })
}

/// Reports every upstream, of the `listeners` or among the providers' `hosts`, that is one of the
/// listeners: a session there would go round for ever.
pub(super) fn refuse_loops(listeners: &[Listener<'_>], hosts: &[At<'_, MailHost>]) {
    let upstreams = listeners.iter().filter_map(|listener| listener.upstream.as_ref());
    for (field, host) in upstreams.chain(hosts) {
        let mut addresses = listeners.iter().flat_map(Listener::tcp_addresses);
        if let Some((own, _)) = addresses.find(|(_, own)| leads_to(host, *own)) {
            field.problem(
                format!("is {host}, which is `{}`: the relay would call itself", own.key()),
                "name the provider's own server",
            );
        }
    }
}

/// Whether `host` is the listener at `address`, as far as it can be told without DNS.
fn leads_to(host: &MailHost, address: ListenAddress) -> bool {
    let ips = match host.host.parse::<IpAddr>() {
        Ok(ip) => vec![ip.to_canonical()],
        Err(_) if host.host == "localhost" => LOCALHOST.to_vec(),
        Err(_) => Vec::new(),
    };
    sockets(address).iter().any(|own| {
        let any = own.ip().is_unspecified();
        own.port() == host.port && ips.iter().any(|ip| (any && ip.is_loopback()) || *ip == own.ip())
    })
}

fn sockets(address: ListenAddress) -> Vec<SocketAddr> {
    match address {
        ListenAddress::Localhost(port) => LOCALHOST.map(|ip| SocketAddr::new(ip, port)).to_vec(),
        ListenAddress::Socket(socket) => vec![socket],
    }
}

/// Reports every pattern of a listener that means no account of the file.
pub(super) fn refuse_strangers(
    listeners: &[Listener<'_>],
    names: &BTreeMap<AccountPattern, Field<'_>>,
) {
    let all: AccountPatterns = names.keys().collect();
    for (field, pattern) in listeners.iter().filter_map(|own| own.accounts.as_ref()).flatten() {
        // Where there is no account at all, that was reported.
        if !names.is_empty() && !all.overlaps(pattern) {
            field.problem(
                format!("holds \"{pattern}\", and there is no such account"),
                format!("write an [accounts.\"{pattern}\"], or correct the name"),
            );
        }
    }
}

/// Reports every listener that serves no account, and warns of every account that is served by no
/// listener.
pub(super) fn check_service(listeners: &[Listener<'_>], accounts: &[At<'_, AccountSettings>]) {
    for listener in listeners {
        let Ok(protocol) = listener.protocol else { continue };
        if !accounts.iter().any(|(_, account)| serves(listener, account)) {
            listener.field.problem(
                format!("serves nobody: no provider of its accounts has a server for {protocol}"),
                format!("write `{protocol}` in the provider's table, or `upstream` here"),
            );
        }
    }
    for (field, account) in accounts {
        if !listeners.iter().any(|listener| serves(listener, account)) {
            field.warning(
                "is served by no listener",
                "add it to the `accounts` of one, or give its provider a server for the protocol",
            );
        }
    }
}

/// Reports every account that takes any password, which it does from this machine alone, where load
/// balancers announce clients: an announced address shows nobody to be on this machine.
pub(super) fn refuse_any_behind_balancers(
    listeners: &[Listener<'_>],
    accounts: &[At<'_, AccountSettings>],
) {
    for (field, account) in accounts {
        let is_any = matches!(account.local_password, LocalPassword::Any);
        let mut asked = listeners.iter().filter(|own| serves(own, account));
        if let Some(listener) = asked.find(|own| is_any && own.is_behind_balancer()) {
            field.problem(
                format!(
                    "has local_password = \"any\", and `{}.proxy_protocol_from` lets load balancers \
                     speak for its clients",
                    listener.field.key()
                ),
                format!(
                    "make a password by `mailbearer password {}`, or keep the account off that \
                     listener by its `accounts`",
                    account.name
                ),
            );
        }
    }
}

/// Warns of every account that takes any password, which it does from this machine alone, where
/// clients on other machines may ask for it.
pub(super) fn warn_of_any(listeners: &[Listener<'_>], accounts: &[At<'_, AccountSettings>]) {
    // With devices there is a network for each to look at.
    let listeners: Vec<_> = listeners.iter().filter(|own| own.lets_others_in()).collect();
    for (field, account) in accounts {
        let is_any = matches!(account.local_password, LocalPassword::Any);
        let mut asked = listeners.iter().filter(|own| serves(own, account));
        if let Some(listener) = asked.next().filter(|_| is_any) {
            field.warning(
                format!(
                    "has local_password = \"any\", which is for clients on this machine; those on \
                     others, whom `{}` lets in, are refused",
                    listener.field.key()
                ),
                format!(
                    "make a password by `mailbearer password {}`, for all of them",
                    account.name
                ),
            );
        }
    }
}

/// Marks the accounts whose grant is used for POP3: whoever consents for them is asked for its scopes.
pub(super) fn mark_pop3(listeners: &[Listener<'_>], accounts: &mut [At<'_, AccountSettings>]) {
    let listeners: Vec<_> =
        listeners.iter().filter(|own| own.protocol == Ok(Protocol::Pop3)).collect();
    let is_served = |account: &AccountSettings| listeners.iter().any(|own| serves(own, account));
    let served = accounts.iter().filter(|(_, account)| is_served(account));
    let grants: BTreeSet<GrantId> = served.map(|(_, account)| account.grant.id.clone()).collect();
    for (_, account) in accounts {
        account.is_pop3_served = grants.contains(&account.grant.id);
    }
}

fn serves(listener: &Listener<'_>, account: &AccountSettings) -> bool {
    let listed = listener.allowed.as_ref().is_none_or(|allowed| allowed.overlaps(&account.name));
    let hosts = &account.provider.hosts;
    let has_host = listener.protocol.is_ok_and(|protocol| hosts.get(protocol).is_some());
    listed && (listener.upstream.is_some() || has_host)
}
