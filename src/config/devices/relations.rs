//! What must hold between devices and the rest of the file: names that mean one thing, networks
//! that are one device's, accounts that can send, and listeners that let the devices in.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use ipnet::IpNet;

use crate::account::AccountSettings;
use crate::names::{AccountPattern, Username};
use crate::net::networks::Networks;
use crate::provider::Protocol;

use super::{Device, Devices};
use crate::config::accounts::Accounts;
use crate::config::door::is_local;
use crate::config::field::Field;
use crate::config::listeners::Listener;

/// The names of a file's accounts and their keys.
type Names<'t> = BTreeMap<AccountPattern, Field<'t>>;

/// The accounts of a file that nothing is wrong with.
type Settings<'a> = HashMap<&'a AccountPattern, &'a AccountSettings>;

/// What the devices so far have taken, and which of them has it.
#[derive(Default)]
struct Taken<'d, 't> {
    names: HashMap<&'d Username, &'d Device<'t>>,
    usernames: HashMap<&'d Username, &'d Device<'t>>,
    networks: HashMap<IpNet, &'d Device<'t>>,
}

/// A listener that serves devices.
struct Serving<'l, 't> {
    listener: &'l Listener<'t>,
    /// Who may connect.
    allowed: Networks,
    lets_in_single_addresses_alone: bool,
}

impl Devices<'_> {
    /// Reports what contradicts other tables.
    pub(in crate::config) fn refuse_contradictions(
        &self,
        listeners: &[Listener<'_>],
        accounts: &Accounts<'_>,
    ) {
        let mut taken = Taken::default();
        let settings = accounts.settings.iter().map(|(_, it)| (&it.name, it)).collect();
        for device in &self.devices {
            device.refuse_name(&mut taken, &accounts.names);
            device.refuse_username(&mut taken, &accounts.names);
            device.refuse_networks(&mut taken);
            device.refuse_account(listeners, &accounts.names, &settings);
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
        let serving: Vec<_> = serving.into_iter().map(Serving::new).collect();
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

impl<'l, 't> Serving<'l, 't> {
    fn new(listener: &'l Listener<'t>) -> Self {
        Self {
            listener,
            allowed: listener.allow.iter().collect(),
            lets_in_single_addresses_alone: listener.lets_in_single_addresses_alone(),
        }
    }
}

impl<'t> Device<'t> {
    fn refuse_name<'d>(&'d self, taken: &mut Taken<'d, 't>, accounts: &Names<'_>) {
        let Ok(name) = &self.name else { return };
        if let Some(first) = take(&mut taken.names, name, self) {
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

    fn refuse_username<'d>(&'d self, taken: &mut Taken<'d, 't>, accounts: &Names<'_>) {
        let Some((field, username)) = self.username() else { return };
        if let Some(first) = take(&mut taken.usernames, username, self) {
            field.problem(
                format!("is \"{username}\", which `{}` signs in by already", first.field.key()),
                "give each device a user name of its own",
            );
        }
        let mut covering = AccountPattern::covering(username);
        if let Some(account) = covering.find_map(|pattern| accounts.get(&pattern)) {
            field.problem(
                format!("is \"{username}\", by which `{}` signs in", account.key()),
                "choose a short name that is no account's",
            );
        }
    }

    fn refuse_networks<'d>(&'d self, taken: &mut Taken<'d, 't>) {
        for (field, network) in self.networks() {
            if let Some(other) = take(&mut taken.networks, *network, self) {
                field.problem(
                    format!("holds {network}, which `{}` has already", other.field.key()),
                    "keep it at one of the two: of networks that lie in each other the narrower \
                     counts",
                );
            }
        }
    }

    fn refuse_account(
        &self,
        listeners: &[Listener<'_>],
        names: &Names<'_>,
        settings: &Settings<'_>,
    ) {
        let Some((field, name)) = self.account() else { return };
        // Where there is no account at all, that was reported.
        if names.is_empty() {
            return;
        }
        if !AccountPattern::covering(name).any(|pattern| names.contains_key(&pattern)) {
            let near = field.file().near(name.as_str(), names.keys().map(ToString::to_string));
            field.problem(
                format!("is \"{name}\", and there is no such account{near}"),
                format!("write an [accounts.\"{name}\"], or correct the name"),
            );
            return;
        }
        // Whatever else is wrong with its table was reported there.
        let mut covering = AccountPattern::covering(name);
        let Some(settings) = covering.find_map(|pattern| settings.get(&pattern)) else { return };
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

    fn warn_of_unserved(&self, serving: &[Serving<'_, '_>]) {
        let Some((field, account)) = self.account() else { return };
        if serving.is_empty() {
            self.field.warning(
                "is served by no listener",
                "write `devices = true` in a [listeners.NAME] for submission",
            );
            return;
        }
        let serving: Vec<_> = serving.iter().filter(|own| own.listener.lets_in(account)).collect();
        if serving.is_empty() {
            field.warning(
                format!("is \"{account}\", which no listener lets in that serves devices"),
                "add it to the `accounts` of one that has `devices = true`",
            );
            return;
        }
        let signs_in = self.username().is_some() && self.networks().next().is_none();
        if signs_in && serving.iter().all(|own| own.lets_in_single_addresses_alone) {
            self.field.warning(
                "signs in, and none but this machine and the addresses of other devices may connect \
                 where it is served",
                "write `allow` in that listener, with the networks of all of its devices",
            );
        }
        for (field, network) in self.networks() {
            let is_allowed = serving.iter().any(|own| own.allowed.hold(*network));
            if let (false, Some(first)) = (is_allowed, serving.first()) {
                field.warning(
                    format!("holds {network}, which no listener allows that serves devices"),
                    format!("add it to `{}.allow`", first.listener.field.key()),
                );
            }
        }
    }
}

/// Takes `what` for `device`, or gives who has it already.
fn take<'d, 't, T: Eq + Hash>(
    taken: &mut HashMap<T, &'d Device<'t>>,
    what: T,
    device: &'d Device<'t>,
) -> Option<&'d Device<'t>> {
    match taken.entry(what) {
        Entry::Occupied(first) => Some(first.get()),
        Entry::Vacant(free) => {
            free.insert(device);
            None
        }
    }
}
