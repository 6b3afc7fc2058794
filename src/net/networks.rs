//! Many networks as one set: what is asked of it takes a few steps however many there are.

use std::net::IpAddr;

use ipnet::IpNet;

/// The addresses of some networks together.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    /// None lies in another one, in the order of their addresses.
    apart: Vec<IpNet>,
}

impl Networks {
    /// Whether every address of `network` is in it, also where two halves of it are.
    pub fn hold(&self, network: IpNet) -> bool {
        let behind = self.apart.partition_point(|it| it.network() <= network.network());
        let before = behind.checked_sub(1).and_then(|at| self.apart.get(at));
        before.is_some_and(|it| it.contains(&network))
    }

    /// Whether `address` is in it.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.hold(address.into())
    }
}

impl<'n> FromIterator<&'n IpNet> for Networks {
    fn from_iter<T: IntoIterator<Item = &'n IpNet>>(networks: T) -> Self {
        let networks: Vec<_> = networks.into_iter().copied().collect();
        let mut apart = IpNet::aggregate(&networks);
        apart.sort_unstable();
        Self { apart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_one_of_them_does_and_what_several_make_up() {
        let texts = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.0/25",
            "192.0.2.128/25",
            "192.0.2.0/24",
            "192.0.2.7/32",
            "0.0.0.0/0",
            "255.255.255.255/32",
            "2001:db8::/48",
            "2001:db8::7/128",
            "::/0",
            "::ffff:192.0.2.7/128",
        ];
        let all = texts.map(|text| text.parse::<IpNet>().unwrap());
        for one in all {
            for two in all {
                let together: Networks = [one, two].iter().collect();
                for asked in all {
                    let expected =
                        IpNet::aggregate(&vec![one, two]).iter().any(|it| it.contains(&asked));
                    assert_eq!(together.hold(asked), expected, "{one} {two} {asked}");
                    let addresses = [asked.network(), asked.broadcast()];
                    for address in addresses {
                        let expected = one.contains(&address) || two.contains(&address);
                        assert_eq!(together.contain(address), expected, "{one} {two} {address}");
                    }
                }
            }
        }
        let halves: Networks = [all[2], all[3]].iter().collect();
        assert!(halves.hold(all[4]));
        assert!(!Networks::default().hold(all[5]));
    }
}
