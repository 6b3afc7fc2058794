//! `[listeners.NAME]`: where mail clients connect, and who of them may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::names::{AccountPattern, AccountPatterns, Username};
use crate::net::listen::{Door, ListenAddress};
use crate::provider::{MailHost, Protocol};
use crate::relay::{ListenerSettings, ListenerTls};

use super::door::{door, is_local, may_be_local};
use super::field::Field;
use super::file::Reported;
use super::listener_tls;
use super::table::Table;

/// A value with the field that it was read from.
pub(super) type At<'t, T> = (Field<'t>, T);

/// A listener, with the fields that other tables are compared with. Whatever is wrong with one key
/// leaves the others to be compared.
pub(super) struct Listener<'t> {
    pub(super) field: Field<'t>,
    pub(super) protocol: Result<Protocol, Reported>,
    pub(super) addresses: Vec<At<'t, Door>>,
    pub(super) accounts: Option<Vec<At<'t, AccountPattern>>>,
    /// The same together.
    pub(super) allowed: Option<Arc<AccountPatterns>>,
    pub(super) upstream: Option<At<'t, MailHost>>,
    /// `devices`, if it is written.
    pub(super) devices: Option<At<'t, bool>>,
    /// The load balancers' networks.
    pub(super) proxy_protocol_from: Vec<IpNet>,
    /// Who may connect; complete once [`Self::settle_allow`] was called.
    pub(super) allow: Vec<IpNet>,
    is_allow_written: bool,
    name: String,
    tls: Result<listener_tls::Settings, Reported>,
    /// Whether all keys were right.
    read: Result<(), Reported>,
}

impl<'t> Listener<'t> {
    /// Reads `[listeners]`.
    pub(super) fn read_all(root: &mut Table<'t>) -> Vec<Self> {
        let help = "write a [listeners.submission] with protocol = \"submission\" and address = \
                    \"localhost:1587\"";
        let listeners = root.require_named("listeners", help).into_iter();
        listeners.filter_map(|(name, field)| Self::read(name, field).ok()).collect()
    }

    /// The listener as the relay wants it, if all of it was right.
    pub(super) fn into_settings(self) -> Result<ListenerSettings, Reported> {
        self.read?;
        let tls = self.tls?;
        Ok(ListenerSettings {
            name: self.name,
            protocol: self.protocol?,
            addresses: self.addresses.into_iter().map(|(_, door)| door).collect(),
            allow: self.allow,
            proxy_protocol_from: self.proxy_protocol_from,
            tls: tls.tls,
            require_tls: tls.require_tls,
            accounts: self.allowed,
            devices: self.devices.is_some_and(|(_, are_served)| are_served),
            upstream: self.upstream.map(|(_, host)| host),
        })
    }

    /// Whether devices are served here.
    pub(super) fn serves_devices(&self) -> bool {
        matches!(self.devices, Some((_, true)))
    }

    /// Whether the account `name` may be used here.
    pub(super) fn lets_in(&self, name: &Username) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.covers(name))
    }

    /// Settles who may connect where `allow` is left out: this machine, and the networks of
    /// `devices` if they are served.
    pub(super) fn settle_allow(&mut self, devices: &[IpNet]) {
        if self.is_allow_written {
            return;
        }
        self.allow = loopback_networks();
        let are_devices_let_in = self.serves_devices() && !devices.is_empty();
        if are_devices_let_in {
            self.allow.extend(devices);
        }
        if self.is_behind_balancer() {
            let but = if are_devices_let_in { " but devices in their networks" } else { "" };
            self.field.warning(
                format!("lacks `allow`, so none whom a load balancer announces may connect{but}"),
                "write the networks of the clients behind it: allow = [\"192.168.20.0/24\"]",
            );
        } else if !are_devices_let_in && !self.addresses.iter().any(|(_, it)| may_be_local(it)) {
            self.field.warning(
                "lacks `allow`, so none but this machine may connect",
                "write the networks of its clients: allow = [\"192.168.20.0/24\"]",
            );
        }
    }

    /// Whether nobody has written who may connect from other machines, and those who may, because
    /// they are devices, are single addresses and not networks that hold others.
    pub(super) fn lets_in_single_addresses_alone(&self) -> bool {
        let is_single = |network: &IpNet| network.prefix_len() == network.max_prefix_len();
        !self.is_allow_written
            && self.lets_others_in()
            && self.allow.iter().skip(loopback_networks().len()).all(is_single)
    }

    /// Whether clients on other machines may connect.
    pub(super) fn lets_others_in(&self) -> bool {
        let own = loopback_networks();
        (self.is_behind_balancer() || self.addresses.iter().any(|(_, door)| !is_local(door)))
            && self.allow.iter().any(|network| !own.iter().any(|own| own.contains(network)))
    }

    /// Whether load balancers announce its clients.
    pub(super) fn is_behind_balancer(&self) -> bool {
        !self.proxy_protocol_from.is_empty()
    }

    /// Its addresses in the network, as far as the file tells them.
    pub(super) fn tcp_addresses(&self) -> impl Iterator<Item = (&Field<'t>, ListenAddress)> {
        self.addresses.iter().filter_map(|(field, door)| Some((field, door.tcp()?)))
    }

    fn read(name: &str, field: Field<'t>) -> Result<Self, Reported> {
        let mut table = field.table()?;
        let mut read = field.check_name(name);
        let protocol =
            table.require("protocol", "write protocol = \"submission\", \"imap\" or \"pop3\"");
        let protocol = protocol.and_then(|field| {
            let known = Protocol::ALL.map(|protocol| (protocol.name(), protocol));
            field.choice(&known, &[])
        });
        let addresses = table
            .require("address", "write address = \"localhost:1587\", or another free port")
            .and_then(|field| field.each(door));
        let tls = listener_tls::Keys::take(&mut table);
        let allow = table.read("allow", |field| field.each(network));
        let balancers =
            table.read("proxy_protocol_from", |field| balancers(&field).map(|it| (field, it)));
        let accounts = table.read("accounts", |field| field.each(pattern));
        let devices = table.read("devices", |field| field.flag().map(|flag| (field, flag)));
        let upstream = table.read("upstream", |field| field.mail_host().map(|host| (field, host)));
        read = read.and(table.finish(&[]));

        let tls = tls.settle(&field, protocol.ok(), addresses.as_deref().ok());
        if let (Ok(Some((key, balancers))), Ok(addresses), Ok(tls)) = (&balancers, &addresses, &tls)
            && !balancers.is_empty()
        {
            read = read.and(check_balancers(key, balancers, addresses, tls));
        }
        if let (Ok(Some((upstream, _))), Ok(None)) = (&upstream, &accounts) {
            read = Err(upstream.problem(
                "needs `accounts` beside it, for their tokens are sent to that server",
                "write accounts = [\"NAME\"] with those that may sign in here",
            ));
        }
        if let (Ok(Some((devices, true))), Ok(Protocol::Imap | Protocol::Pop3)) =
            (&devices, protocol)
        {
            read = Err(devices.problem(
                "is true, and devices send, which they do by submission",
                "leave it out here, and write it in a listener with protocol = \"submission\"",
            ));
        }
        let accounts = or_empty(accounts, &mut read);
        let patterns = |own: &Vec<At<'_, AccountPattern>>| -> AccountPatterns {
            own.iter().map(|(_, it)| it).collect()
        };
        let is_allow_written = !matches!(allow, Ok(None));
        let allow = or_empty(allow, &mut read).unwrap_or_default();
        Ok(Self {
            protocol,
            addresses: or_empty(addresses, &mut read),
            allowed: accounts.as_ref().map(patterns).map(Arc::new),
            accounts,
            upstream: or_empty(upstream, &mut read),
            name: name.to_owned(),
            tls,
            devices: or_empty(devices, &mut read),
            proxy_protocol_from: or_empty(balancers, &mut read).map_or_else(Vec::new, |(_, it)| it),
            allow: allow.into_iter().map(|(_, network)| network).collect(),
            is_allow_written,
            field,
            read,
        })
    }
}

/// The value, or none where it was wrong, which `read` then says.
fn or_empty<T: Default>(value: Result<T, Reported>, read: &mut Result<(), Reported>) -> T {
    value.unwrap_or_else(|reported| {
        *read = Err(reported);
        T::default()
    })
}

/// The networks of load balancers. An empty list is none.
fn balancers(field: &Field<'_>) -> Result<Vec<IpNet>, Reported> {
    if field.is_empty_list() {
        return Ok(Vec::new());
    }
    let networks = field.each(network)?;
    Ok(networks.into_iter().map(|(_, network)| network).collect())
}

/// Reports what cannot be with load balancers in the networks `balancers`.
fn check_balancers(
    key: &Field<'_>,
    balancers: &[IpNet],
    addresses: &[At<'_, Door>],
    tls: &listener_tls::Settings,
) -> Result<(), Reported> {
    if balancers.iter().any(|network| network.prefix_len() == 0) {
        key.warning(
            "holds every address, so whoever connects can claim to come from anywhere",
            "name the addresses of the load balancers alone",
        );
    }
    // Beside a port it is meant for that one.
    if addresses.iter().all(|(_, door)| matches!(door, Door::Unix(_))) {
        key.warning(
            "has no effect: a unix socket has no networks",
            "leave it out, or listen on an address for the load balancers",
        );
    }
    if tls.tls == ListenerTls::None && tls.require_tls.is_none() {
        return Err(key.problem(
            "lets clients of other machines in, whose passwords would cross a network in clear",
            "write tls = \"starttls\" or \"implicit\", with a certificate; or write `require_tls = \
             false` if the load balancer does TLS",
        ));
    }
    Ok(())
}

/// A network, or a single address.
pub(super) fn network(field: &Field<'_>) -> Result<IpNet, Reported> {
    let text = field.text()?;
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network: IpNet = network.map_err(|_| {
        field.problem(
            format!("holds {text:?}, which is no network"),
            "write networks as \"192.168.20.0/24\" or \"fd00::/64\", single addresses as they are",
        )
    })?;
    // A slip of the pen here would let others in, so it is not mended silently.
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(field.problem(
            format!("holds {text:?}, which has address bits behind the prefix"),
            format!("write \"{}\" for the network, or \"{}\"", network.trunc(), network.addr()),
        ))
    }
}

fn loopback_networks() -> Vec<IpNet> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
    vec![v4.into(), v6.into()]
}

/// An account, or every one of a domain.
fn pattern(field: &Field<'_>) -> Result<AccountPattern, Reported> {
    let text = field.text()?;
    AccountPattern::parse(text).map_err(|problem| {
        field.problem(
            format!("holds {text:?}, which is no account: {problem}"),
            "write names of accounts, or *@ and a domain",
        )
    })
}
