//! Devices: what sends mail without being a mail client, known by its network, by a short user name
//! and a password of its own, or by both.
//!
//! In:  the address that a session comes from, or the user name that it claims. Out: the device, by
//!      its most specific network or by its user name.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnet::IpNet;

use crate::names::{AccountPattern, Username};

/// One `[devices.…]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSettings {
    /// Its key in the file, folded: under this name `mailbearer password` makes its password.
    pub name: Username,
    /// The account that it sends as: an exact one, or a name that a wildcard covers. Folded.
    pub account: Username,
    /// Where it speaks from without signing in; none where it always signs in.
    pub networks: Vec<IpNet>,
    /// The short user name that it signs in by, folded.
    pub username: Option<Username>,
    /// Who may stand in its MAIL FROM; `None` is anybody.
    pub senders: Option<Vec<AccountPattern>>,
    /// Messages that it may send in an hour; `None` is any number.
    pub messages_per_hour: Option<NonZeroU32>,
}

impl DeviceSettings {
    /// Whether its messages are judged one by one.
    pub fn has_rules(&self) -> bool {
        self.senders.is_some() || self.messages_per_hour.is_some()
    }

    /// Whether `address` is listed by itself (/32, /128), and not as one of a wider network.
    ///
    /// Address translation makes strangers look like the default gateway or like this machine, so
    /// those are devices where they are listed alone, and nowhere else.
    pub fn lists_alone(&self, address: IpAddr) -> bool {
        self.networks.contains(&IpNet::from(address.to_canonical()))
    }
}

/// Every device of the file.
#[derive(Debug, Default)]
pub struct Devices {
    /// In the order of their names.
    all: Vec<Arc<DeviceSettings>>,
    by_username: HashMap<Username, Arc<DeviceSettings>>,
    by_network: HashMap<IpNet, Arc<DeviceSettings>>,
    /// The lengths of the prefixes of these networks: 129 at most.
    prefix_lens: BTreeSet<u8>,
}

impl Devices {
    /// Takes the `[devices.…]` tables. Of two with one name, one user name or one network, which
    /// the configuration refuses, the first counts.
    pub(super) fn new(devices: Vec<DeviceSettings>) -> Self {
        let mut all: Vec<_> = devices.into_iter().map(Arc::new).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.dedup_by(|later, first| later.name == first.name);
        let (mut by_username, mut by_network) = (HashMap::new(), HashMap::new());
        for device in &all {
            if let Some(username) = &device.username {
                by_username.entry(username.folded()).or_insert_with(|| Arc::clone(device));
            }
            for network in &device.networks {
                by_network.entry(network.trunc()).or_insert_with(|| Arc::clone(device));
            }
        }
        let prefix_lens = by_network.keys().map(IpNet::prefix_len).collect();
        Self { all, by_username, by_network, prefix_lens }
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> &[Arc<DeviceSettings>] {
        &self.all
    }

    /// The device of that name.
    pub fn named(&self, name: &Username) -> Option<&Arc<DeviceSettings>> {
        let name = name.folded();
        let at = self.all.binary_search_by(|device| device.name.cmp(&name)).ok()?;
        self.all.get(at)
    }

    /// The device that signs in by that user name.
    pub fn called(&self, username: &Username) -> Option<&Arc<DeviceSettings>> {
        self.by_username.get(&username.folded())
    }

    /// The device at `address`: of the networks that hold it the most specific wins.
    pub fn at(&self, address: IpAddr) -> Option<&Arc<DeviceSettings>> {
        let address = address.to_canonical();
        self.prefix_lens.iter().rev().find_map(|prefix_len| {
            // Longer prefixes than an IPv4 address has are those of IPv6.
            let network = IpNet::new(address, *prefix_len).ok()?.trunc();
            self.by_network.get(&network)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A device of that name which sends as `account`, from `networks`.
    pub(in crate::account) fn device(
        name: &str,
        account: &str,
        networks: &[&str],
    ) -> DeviceSettings {
        DeviceSettings {
            name: Username::parse(name).unwrap(),
            account: Username::parse(account).unwrap(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            username: None,
            senders: None,
            messages_per_hour: None,
        }
    }

    fn at(devices: &Devices, address: &str) -> Option<String> {
        devices.at(address.parse().unwrap()).map(|device| device.name.to_string())
    }

    #[test]
    fn device_is_known_by_its_most_specific_network() {
        let devices = Devices::new(vec![
            device("floor", "a@x.example", &["192.168.0.0/16", "2001:db8:1::/48"]),
            device("hall", "b@x.example", &["192.168.20.0/24", "2001:db8:1:2::/64"]),
            device("scanner", "c@x.example", &["10.9.9.9/32", "192.168.20.17/32"]),
        ]);
        for (address, expected) in [
            ("192.168.20.17", Some("scanner")),
            ("192.168.20.16", Some("hall")),
            ("192.168.20.255", Some("hall")),
            ("192.168.21.0", Some("floor")),
            ("192.169.0.0", None),
            ("192.167.255.255", None),
            ("10.9.9.9", Some("scanner")),
            ("10.9.9.8", None),
            ("2001:db8:1:2::5", Some("hall")),
            ("2001:db8:1:3::5", Some("floor")),
            ("2001:db8:2::1", None),
        ] {
            assert_eq!(at(&devices, address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn device_is_known_by_an_ipv4_address_however_it_is_written() {
        let devices = Devices::new(vec![device("scanner", "a@x.example", &["192.0.2.17/32"])]);
        assert_eq!(at(&devices, "::ffff:192.0.2.17").as_deref(), Some("scanner"));
        assert_eq!(at(&devices, "::ffff:192.0.2.18"), None);
        assert_eq!(at(&devices, "::192.0.2.17"), None, "that is no IPv4 address");
    }

    #[test]
    fn address_is_listed_alone_where_no_other_is_in_the_network() {
        let both = device("gateway", "a@x.example", &["192.0.2.0/24", "192.0.2.1/32", "::1/128"]);
        let alone = |address: &str| both.lists_alone(address.parse().unwrap());
        assert!(alone("192.0.2.1") && alone("::ffff:192.0.2.1") && alone("::1"));
        assert!(!alone("192.0.2.2") && !alone("192.0.2.0") && !alone("::2"));
    }

    #[test]
    fn device_is_found_by_its_name_and_by_its_user_name_whatever_the_case() {
        let mut scanner = device("scanner-2", "a@x.example", &[]);
        scanner.username = Some(Username::parse("scan2").unwrap());
        let devices = Devices::new(vec![scanner, device("fax", "a@x.example", &[])]);
        let name = |name| Username::parse(name).unwrap();
        assert!(devices.called(&name("SCAN2")).is_some() && devices.named(&name("FAX")).is_some());
        assert!(devices.called(&name("scanner-2")).is_none(), "its name is no user name");
        assert!(devices.named(&name("scan2")).is_none() && devices.called(&name("fax")).is_none());
        let names: Vec<_> = devices.all().iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["fax", "scanner-2"]);
    }
}
