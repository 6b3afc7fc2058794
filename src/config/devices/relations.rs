//! What must hold between devices and the rest of the file: names that mean one thing, networks
//! that are one device's, accounts that can send, and listeners that let the devices in.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::account::AccountSettings;
use crate::names::{AccountPattern, Username};
use crate::provider::Protocol;

use super::{Device, Devices};
use crate::config::accounts::Accounts;
use crate::config::door::is_local;
use crate::config::field::Field;
use crate::config::listeners::{At, Listener};
use crate::config::table::nearest;

/// The names of a file's accounts and their keys.
type Names<'t> = BTreeMap<AccountPattern, Field<'t>>;

impl Devices<'_> {
    /// Reports what contradicts other tables.
    pub(in crate::config) fn refuse_contradictions(
        &self,
        listeners: &[Listener<'_>],
        accounts: &Accounts<'_>,
    ) {
        for (nth, device) in self.devices.iter().enumerate() {
            let earlier = self.devices.get(..nth).unwrap_or_default();
            device.refuse_name(earlier, &accounts.names);
            device.refuse_username(earlier, &accounts.names);
            device.refuse_networks(earlier);
            device.refuse_account(listeners, accounts);
        }
    }

    /// Warns of devices that cannot be served, and of listeners that serve none.
    pub(in crate::config) fn warn_of_unserved(&self, listeners: &[Listener<'_>]) {
        let serving: Vec<_> = listeners.iter().filter(|own| own.serves_devices()).collect();
        for listener in serving.iter().filter(|_| self.devices.is_empty()) {
            if let Some((field, _)) = &listener.devices {
                field.warning(
                    "is true, and there are no devices",
                    "write a [devices.NAME] for each, or leave it out",
                );
            }
        }
        for listener in &serving {
            self.warn_of_unreachable(listener);
        }
        for device in &self.devices {
            device.warn_of_unserved(&serving);
        }
    }

    /// Warns of a listener that none of its devices can reach.
    fn warn_of_unreachable(&self, listener: &Listener<'_>) {
        let Some((field, _)) = &listener.devices else { return };
        if listener.is_behind_balancer() {
            return self.warn_of_unannounced(listener, field);
        }
        let served = self.served_by(listener);
        let mut networks = served.flat_map(Device::networks).map(|(_, it)| it.addr()).peekable();
        // Those without a network may be anywhere, on this machine as well.
        let are_elsewhere = networks.peek().is_some() && networks.all(|it| !it.is_loopback());
        // Where no address could be read, that was reported.
        let mut addresses = listener.addresses.iter().map(|(_, door)| door).peekable();
        if are_elsewhere && addresses.peek().is_some() && addresses.all(is_local) {
            field.warning(
                "is true, and none but this machine reaches the listener: the networks of its \
                 devices are elsewhere",
                "listen on an address of this machine in their network, or on all: address = \
                 \"0.0.0.0:PORT\"",
            );
        }
    }

    /// Warns of devices that a load balancer cannot announce: those that do not sign in. They may be
    /// meant to connect directly, where that is possible.
    fn warn_of_unannounced(&self, listener: &Listener<'_>, field: &Field<'_>) {
        let networks_alone = self.served_by(listener).filter(|it| it.username().is_none());
        let names: Vec<_> = networks_alone.map(|it| format!("`{}`", it.field.key())).collect();
        if names.is_empty() {
            return;
        }
        field.warning(
            format!(
                "is true behind load balancers, by whose word nobody is a device: {} would be \
                 refused there, for want of a user name",
                names.join(", ")
            ),
            "give each a `username`, by which it signs in, or a listener without \
             `proxy_protocol_from`",
        );
    }

    /// The devices that may use their accounts at `listener`.
    fn served_by<'d>(&'d self, listener: &'d Listener<'_>) -> impl Iterator<Item = &'d Device<'d>> {
        let is_served = |it: &&Device<'_>| it.account().is_some_and(|(_, it)| listener.lets_in(it));
        self.devices.iter().filter(is_served)
    }
}

impl Device<'_> {
    fn refuse_name(&self, earlier: &[Self], accounts: &Names<'_>) {
        let Ok(name) = &self.name else { return };
        if let Some(first) = earlier.iter().find(|it| it.name.as_ref() == Ok(name)) {
            self.field.problem(
                format!("is `{}` again: names ignore case", first.field.key()),
                "keep one of the two",
            );
        }
        if let Some(account) = accounts.get(&AccountPattern::Exact(name.clone())) {
            self.field.problem(
                format!("has the name of `{}`", account.key()),
                format!("give it another name: `mailbearer password {name}` means one of the two"),
            );
        }
    }

    fn refuse_username(&self, earlier: &[Self], accounts: &Names<'_>) {
        let Some((field, username)) = self.username() else { return };
        let is_same = |it: &&Self| it.username().is_some_and(|(_, other)| other == username);
        if let Some(first) = earlier.iter().find(is_same) {
            field.problem(
                format!("is \"{username}\", which `{}` signs in by already", first.field.key()),
                "give each device a user name of its own",
            );
        }
        if let Some((_, account)) = accounts.iter().find(|(pattern, _)| pattern.covers(username)) {
            field.problem(
                format!("is \"{username}\", by which `{}` signs in", account.key()),
                "choose a short name that is no account's",
            );
        }
    }

    fn refuse_networks(&self, earlier: &[Self]) {
        for (nth, (field, network)) in self.networks().enumerate() {
            let own = self.networks().take(nth).map(|it| (self, it));
            let others =
                earlier.iter().flat_map(|other| other.networks().map(move |it| (other, it)));
            let taken = others.chain(own).find(|(_, (_, other))| other == network);
            if let Some((other, _)) = taken {
                field.problem(
                    format!("holds {network}, which `{}` has already", other.field.key()),
                    "keep it at one of the two: of networks that lie in each other the narrower \
                     counts",
                );
            }
        }
    }

    fn refuse_account(&self, listeners: &[Listener<'_>], accounts: &Accounts<'_>) {
        let Some((field, name)) = self.account() else { return };
        // Where there is no account at all, that was reported.
        if accounts.names.is_empty() {
            return;
        }
        if !accounts.names.keys().any(|pattern| pattern.covers(name)) {
            let names: Vec<_> = accounts.names.keys().map(ToString::to_string).collect();
            let near = nearest(name.as_str(), names.iter().map(String::as_str))
                .map_or_else(String::new, |near| format!("; the nearest is {near:?}"));
            field.problem(
                format!("is \"{name}\", and there is no such account{near}"),
                format!("write an [accounts.\"{name}\"], or correct the name"),
            );
            return;
        }
        // Whatever else is wrong with its table was reported there.
        let Some(settings) = settings_of(name, &accounts.settings) else { return };
        let is_led_elsewhere = listeners
            .iter()
            .any(|own| own.serves_devices() && own.upstream.is_some() && own.lets_in(name));
        if settings.provider.hosts.get(Protocol::Submission).is_none() && !is_led_elsewhere {
            field.problem(
                format!(
                    "is \"{name}\", whose provider {} has no server for submission",
                    settings.provider.name
                ),
                "write `submission` in the provider's table, or choose another account",
            );
        } else if !settings.fits_as_sender(name) {
            field.problem(
                format!("is \"{name}\", which is no address that `sender` could write"),
                "choose a mailbox whose name is an address in ASCII",
            );
        }
    }

    fn warn_of_unserved(&self, serving: &[&Listener<'_>]) {
        let Some((field, account)) = self.account() else { return };
        if serving.is_empty() {
            self.field.warning(
                "is served by no listener",
                "write `devices = true` in a [listeners.NAME] for submission",
            );
            return;
        }
        let serving: Vec<_> = serving.iter().filter(|own| own.lets_in(account)).collect();
        if serving.is_empty() {
            field.warning(
                format!("is \"{account}\", which no listener lets in that serves devices"),
                "add it to the `accounts` of one that has `devices = true`",
            );
            return;
        }
        let signs_in = self.username().is_some() && self.networks().next().is_none();
        if signs_in && serving.iter().all(|own| own.lets_in_single_addresses_alone()) {
            self.field.warning(
                "signs in, and none but this machine and the addresses of other devices may connect \
                 where it is served",
                "write `allow` in that listener, with the networks of all of its devices",
            );
        }
        for (field, network) in self.networks() {
            let is_allowed = |own: &&&Listener<'_>| covers(&own.allow, *network);
            if let (false, Some(first)) = (serving.iter().any(is_allowed), serving.first()) {
                field.warning(
                    format!("holds {network}, which no listener allows that serves devices"),
                    format!("add it to `{}.allow`", first.field.key()),
                );
            }
        }
    }
}

/// The settings of the account that `name` means.
fn settings_of<'a>(
    name: &Username,
    accounts: &'a [At<'_, AccountSettings>],
) -> Option<&'a AccountSettings> {
    let covering = accounts.iter().map(|(_, it)| it).filter(|it| it.name.covers(name));
    covering.min_by_key(|it| matches!(it.name, AccountPattern::Domain(_)))
}

/// Whether `allowed` holds every address of `network`.
fn covers(allowed: &[IpNet], network: IpNet) -> bool {
    // Two halves of it are all of it.
    IpNet::aggregate(&allowed.to_vec()).iter().any(|it| it.contains(&network))
}
