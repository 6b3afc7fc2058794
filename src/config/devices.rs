//! `[devices.NAME]`: what sends without being a mail client.

mod relations;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::account::device::DeviceSettings;
use crate::names::{AccountPattern, Username};

use super::field::Field;
use super::file::Reported;
use super::listeners::{At, network};
use super::table::Table;

/// Widest networks that may be a device, as prefix lengths: a site. In a wider one too many who
/// know nothing of it could send as the mailbox.
const PREFIX_LEN_MIN: (u8, u8) = (16, 48);

/// Range of `messages_per_hour`. The most is far more than any provider takes of one mailbox in a
/// day: Exchange Online 10,000 recipients ("Exchange Online limits").
const MESSAGES_PER_HOUR: RangeInclusive<u64> = 1..=100_000;

/// The keys of a device.
const KEYS: [&str; 5] = ["account", "networks", "username", "senders", "messages_per_hour"];

/// The devices of a file.
pub(super) struct Devices<'t> {
    /// Those whose table could be read, in the file's order.
    devices: Vec<Device<'t>>,
    /// Whether all of each was right.
    read: Result<(), Reported>,
}

/// A device's table, key by key. Whatever is wrong with one key leaves the others to be compared.
struct Device<'t> {
    field: Field<'t>,
    name: Result<Username, Reported>,
    account: Result<At<'t, Username>, Reported>,
    networks: Result<Vec<At<'t, IpNet>>, Reported>,
    username: Result<Option<At<'t, Username>>, Reported>,
    senders: Result<Option<Vec<AccountPattern>>, Reported>,
    messages_per_hour: Result<Option<NonZeroU32>, Reported>,
    finished: Result<(), Reported>,
}

impl<'t> Devices<'t> {
    /// Reads `[devices]`.
    pub(super) fn read(root: &mut Table<'t>) -> Self {
        let mut all = Self { devices: Vec::new(), read: Ok(()) };
        match root.read("devices", |field| field.table()) {
            Ok(Some(mut tables)) => {
                for (name, field) in tables.take_named() {
                    let device = if KEYS.contains(&name) && !field.is_table() {
                        Err(field.problem(
                            "belongs to a device, and no device is named",
                            "write [devices.NAME] in place of [devices], with a name of your choice",
                        ))
                    } else {
                        Device::read(name, field)
                    };
                    match device {
                        Ok(device) => all.devices.push(device),
                        Err(reported) => all.read = Err(reported),
                    }
                }
            }
            Ok(None) => {}
            Err(reported) => all.read = Err(reported),
        }
        all
    }

    /// The networks of all.
    pub(super) fn networks(&self) -> Vec<IpNet> {
        let networks = self.devices.iter().flat_map(Device::networks);
        networks.map(|(_, network)| *network).collect()
    }

    /// The devices as the relay wants them, if all of them were right.
    pub(super) fn into_settings(self) -> Result<Vec<DeviceSettings>, Reported> {
        self.read?;
        self.devices.into_iter().map(Device::into_settings).collect()
    }
}

impl<'t> Device<'t> {
    fn read(name: &str, field: Field<'t>) -> Result<Self, Reported> {
        let mut table = field.table()?;
        let misplaced = refuse_misplaced(name, &mut table);
        let name = field.check_name(name).and_then(|()| {
            let help = "write 1 to 64 letters, digits, `-`, `_` and `.`";
            let name = Username::parse(name);
            name.map_err(|problem| field.problem(format!("has no name: {problem}"), help))
        });
        let help = "write the account that it sends as: account = \"scanner@example.com\"";
        let account = table.require("account", help).and_then(|field| {
            let account = account(&field)?;
            Ok((field, account))
        });
        let networks = table.read("networks", |field| field.each(device_network));
        let username = table.read("username", |field| {
            let username = username(&field)?;
            Ok((field, username))
        });
        let senders = table.read("senders", |field| field.each(sender));
        let senders = senders.map(|senders| {
            senders.map(|senders| senders.into_iter().map(|(_, pattern)| pattern).collect())
        });
        let messages_per_hour =
            table.read("messages_per_hour", |field| field.count(MESSAGES_PER_HOUR));
        let mut finished = table.finish(&[]).and(misplaced);
        if let (Ok(None), Ok(None)) = (&networks, &username) {
            finished = Err(field.problem(
                "has neither `networks` nor `username`, so nothing tells that it is there",
                "write networks = [\"192.168.20.17\"] if it cannot sign in, or username = \"scan\" \
                 if it can",
            ));
        }
        Ok(Self {
            name: name.map(|name| name.folded()),
            account,
            networks: networks.map(Option::unwrap_or_default),
            username,
            senders,
            messages_per_hour,
            finished,
            field,
        })
    }

    fn into_settings(self) -> Result<DeviceSettings, Reported> {
        self.finished?;
        let (_, account) = self.account?;
        Ok(DeviceSettings {
            name: self.name?,
            account,
            networks: self.networks?.into_iter().map(|(_, network)| network).collect(),
            username: self.username?.map(|(_, username)| username),
            senders: self.senders?,
            messages_per_hour: self.messages_per_hour?,
        })
    }

    /// Its networks that were right.
    fn networks(&self) -> impl Iterator<Item = &At<'t, IpNet>> {
        self.networks.iter().flatten()
    }

    /// Its account, if it could be read.
    fn account(&self) -> Option<&At<'t, Username>> {
        self.account.as_ref().ok()
    }

    /// Its user name, if it has one that could be read.
    fn username(&self) -> Option<&At<'t, Username>> {
        self.username.as_ref().ok().and_then(Option::as_ref)
    }
}

/// Reports the keys of other tables that are looked for at the device `name`.
fn refuse_misplaced(name: &str, table: &mut Table<'_>) -> Result<(), Reported> {
    let mut refused = Ok(());
    for key in ["password", "local_password"] {
        refused = refused.and(table.forbid(
            key,
            "stands at a device, whose password a command makes",
            &format!("leave it out, and run `mailbearer password {name}`"),
        ));
    }
    refused
        .and(table.forbid(
            "sender",
            "belongs to an account",
            "write it in the table of the account that the device sends as; `senders` are those \
             that it may name",
        ))
        .and(table.forbid(
            "messages_per_minute",
            "belongs to a provider",
            "write it in the provider's table, for each of its mailboxes, or `messages_per_hour` \
             here",
        ))
}

/// The one account that a device sends as.
fn account(field: &Field<'_>) -> Result<Username, Reported> {
    let text = field.text()?;
    let help = "write one mailbox; with a wildcard account, one that it covers";
    match AccountPattern::parse(text) {
        Ok(AccountPattern::Exact(name)) => Ok(name),
        Ok(AccountPattern::Domain(_)) => {
            Err(field.problem(format!("is {text:?}, which stands for many accounts"), help))
        }
        Err(problem) => Err(field.problem(format!("is no account: {problem}"), help)),
    }
}

/// A network all of whose addresses are the device.
fn device_network(field: &Field<'_>) -> Result<IpNet, Reported> {
    let network = network(field)?;
    let (narrowest, what) = match network {
        IpNet::V4(_) => (PREFIX_LEN_MIN.0, "IPv4"),
        IpNet::V6(_) => (PREFIX_LEN_MIN.1, "IPv6"),
    };
    if network.prefix_len() < narrowest {
        return Err(field.problem(
            format!(
                "holds {network}, wider than /{narrowest}: whoever is in it could send as the mailbox"
            ),
            format!(
                "name the device's own address, or its network of {what} if that is at most \
                 /{narrowest} wide"
            ),
        ));
    }
    if let IpAddr::V4(first) = network.addr().to_canonical()
        && let IpNet::V6(v6) = network
    {
        let help = match v6.prefix_len().checked_sub(96) {
            Some(32) => format!("write \"{first}\""),
            Some(prefix_len) => format!("write \"{first}/{prefix_len}\""),
            None => "write it as IPv4".to_owned(),
        };
        let form = format!("holds {network}, a network of IPv4 in the form of IPv6");
        return Err(field.problem(form, help));
    }
    if network.addr().is_loopback() && network.prefix_len() < network.max_prefix_len() {
        return Err(field.problem(
            format!("holds {network}, of which all that runs on this machine is a part"),
            "name the one address that a program on this machine connects from: \"127.0.0.1\"",
        ));
    }
    Ok(network)
}

fn username(field: &Field<'_>) -> Result<Username, Reported> {
    let name = Username::parse(field.text()?).map_err(|problem| {
        let help = "write a short name that the device's panel can type";
        field.problem(format!("is no user name: {problem}"), help)
    })?;
    Ok(name.folded())
}

/// Who may stand in MAIL FROM: an address, or all of a domain.
fn sender(field: &Field<'_>) -> Result<AccountPattern, Reported> {
    let text = field.text()?;
    let is_address = |name: &Username| name.domain().is_some() && !name.as_str().starts_with('@');
    match AccountPattern::parse(text) {
        Ok(AccountPattern::Exact(name)) if !is_address(&name) => {}
        Ok(sender) => return Ok(sender),
        Err(_) => {}
    }
    Err(field.problem(
        format!("holds {text:?}, which is no address"),
        "write addresses, or *@ and a domain",
    ))
}
