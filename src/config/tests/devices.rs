//! `[devices.NAME]`: what a device's table means, and what is told about one that is wrong.

use super::*;
use crate::account::device::DeviceSettings;

/// An address that other machines reach, in place of that of [`GOOD`]; it takes two lines.
const PUBLIC: (usize, &str) = (ADDRESS, "address = \"192.0.2.1:587\"\nrequire_tls = false");

/// A listener that serves devices, in place of the empty line of [`GOOD`].
const SERVES: (usize, &str) = (LISTENER, "devices = true");

/// A device of alice's mailbox in that network.
fn device(name: &str, network: &str) -> String {
    format!("[devices.{name}]\naccount = \"alice@contoso.com\"\nnetworks = [\"{network}\"]\n")
}

fn with(devices: &str) -> Config {
    config(&[SERVES, (END, devices)])
}

fn problems_with(devices: &str) -> Vec<String> {
    problems(&good_with(&[SERVES, (END, devices)]))
}

/// The networks that may connect to the first listener.
fn allow(config: &Config) -> Vec<String> {
    config.listeners[0].allow.iter().map(ToString::to_string).collect()
}

#[test]
fn device_means_what_the_documentation_says() {
    let config = config(&[
        PUBLIC,
        SERVES,
        (
            END,
            r#"[devices.Scanner-2]
        account = "Alice@contoso.com"
        networks = ["192.168.20.17", "2001:db8:1:2::/64"]
        username = "Scan2"
        senders = ["*@contoso.com", "Boss@fabrikam.com"]
        messages_per_hour = 200"#,
        ),
    ]);
    let name = |text| Username::parse(text).unwrap();
    let pattern = |text| AccountPattern::parse(text).unwrap();
    assert_eq!(
        config.devices,
        [DeviceSettings {
            name: name("scanner-2"),
            account: name("alice@contoso.com"),
            networks: ["192.168.20.17/32", "2001:db8:1:2::/64"]
                .map(|it| it.parse().unwrap())
                .into(),
            username: Some(name("scan2")),
            senders: Some(vec![pattern("*@contoso.com"), pattern("boss@fabrikam.com")]),
            messages_per_hour: std::num::NonZeroU32::new(200),
        }]
    );
    assert!(config.listeners[0].devices);
    assert_eq!(warnings(&config), Vec::<String>::new());
}

#[test]
fn device_needs_no_more_than_an_account_and_a_sign_of_it() {
    let config = with("[devices.fax]\naccount = \"alice@contoso.com\"\nusername = \"fax\"");
    let [fax] = config.devices.try_into().unwrap();
    assert!(fax.networks.is_empty() && fax.senders.is_none() && fax.messages_per_hour.is_none());
}

#[test]
fn device_that_is_wrong_is_refused() {
    let whole = |key: &str| {
        let (name, _) = key.split_once(" = ").unwrap();
        let lines = ["account = \"alice@contoso.com\"", "networks = [\"192.0.2.1\"]"];
        let rest: Vec<_> = lines.into_iter().filter(|line| !line.starts_with(name)).collect();
        format!("[devices.fax]\n{key}\n{}", rest.join("\n"))
    };
    for (key, told) in [
        ("account = 1", "account` is an integer, not a string"),
        (
            "account = \"\"",
            "account` is no account: a user name is 1 to 320 bytes with no control characters",
        ),
        (
            "account = \"*@contoso.com\"",
            "account` is \"*@contoso.com\", which stands for many accounts",
        ),
        (
            "account = \"alise@contoso.com\"",
            "account` is \"alise@contoso.com\", and there is no such account; the nearest is \"alice@contoso.com\"",
        ),
        ("networks = []", "networks` is an empty list"),
        ("networks = [\"scanner\"]", "networks` holds \"scanner\", which is no network"),
        (
            "networks = [\"192.0.2.1/24\"]",
            "networks` holds \"192.0.2.1/24\", which has address bits behind the prefix",
        ),
        (
            "networks = \"::ffff:192.0.2.0/120\"",
            "networks` holds ::ffff:192.0.2.0/120, a network of IPv4 in the form of IPv6",
        ),
        (
            "networks = \"127.0.0.0/24\"",
            "networks` holds 127.0.0.0/24, of which all that runs on this machine is a part",
        ),
        (
            "username = \"\"",
            "username` is no user name: a user name is 1 to 320 bytes with no control characters",
        ),
        ("senders = []", "senders` is an empty list"),
        ("senders = [\"a*@b\"]", "senders` holds \"a*@b\", which is no address"),
        ("senders = \"*\"", "senders` holds \"*\", which is no address"),
        ("senders = \"@contoso.com\"", "senders` holds \"@contoso.com\", which is no address"),
        ("senders = \"a@\"", "senders` holds \"a@\", which is no address"),
        ("senders = [\"scanner\"]", "senders` holds \"scanner\", which is no address"),
        ("messages_per_hour = 0", "messages_per_hour` is 0, which is out of range"),
        ("messages_per_hour = 100_001", "messages_per_hour` is 100001, which is out of range"),
        (
            "message_per_hour = 5",
            "message_per_hour` is no key that mailbearer knows; the nearest is `messages_per_hour`",
        ),
    ] {
        assert_eq!(problems_with(&whole(key)), [format!("13: `devices.fax.{told}")], "{key}");
    }
    assert!(with(&whole("messages_per_hour = 1")).devices[0].messages_per_hour.is_some());
    assert!(with(&whole("messages_per_hour = 100_000")).devices[0].messages_per_hour.is_some());
    for (table, told) in [
        (
            "devices = 1\n",
            "12: `accounts.\"alice@contoso.com\".devices` is no key that mailbearer knows",
        ),
        ("[devices]\nfax = 1", "13: `devices.fax` is an integer, not a table"),
        (
            "[devices]\naccount = \"alice@contoso.com\"",
            "13: `devices.account` belongs to a device, and no device is named",
        ),
        ("[devices.fax]\nusername = \"fax\"", "12: `devices.fax` lacks `account`"),
        (
            "[devices.\"a b\"]\naccount = \"alice@contoso.com\"\nusername = \"fax\"",
            "12: `devices.\"a b\"` has a name that is not allowed",
        ),
    ] {
        assert_eq!(problems_with(table), [told], "{table}");
    }
}

#[test]
fn key_that_belongs_elsewhere_is_told_where() {
    let device = |key: &str| device("fax", "192.0.2.7") + key;
    for (key, told, help) in [
        (
            "password = \"x\"",
            "password` stands at a device, whose password a command makes",
            "leave it out, and run `mailbearer password fax`",
        ),
        (
            "local_password = \"any\"",
            "local_password` stands at a device, whose password a command makes",
            "leave it out, and run `mailbearer password fax`",
        ),
        (
            "sender = \"envelope\"",
            "sender` belongs to an account",
            "write it in the table of the account that the device sends as; `senders` are those that \
             it may name",
        ),
        (
            "messages_per_minute = 1",
            "messages_per_minute` belongs to a provider",
            "write it in the provider's table, for each of its mailboxes, or `messages_per_hour` here",
        ),
    ] {
        let problems = parse(&good_with(&[SERVES, (END, &device(key))])).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
        let rendered = problem.in_file(Path::new("F")).to_string();
        assert_eq!(rendered, format!("F:15: `devices.fax.{told}\n  {help}"));
    }
}

#[test]
fn device_that_nothing_tells_is_refused() {
    assert_eq!(
        problems_with("[devices.fax]\naccount = \"alice@contoso.com\"\nsenders = [\"a@b\"]"),
        [
            "12: `devices.fax` has neither `networks` nor `username`, so nothing tells that it is there"
        ]
    );
}

#[test]
fn network_is_a_device_up_to_16_bits_and_up_to_48_of_ipv6() {
    for network in ["10.1.0.0/16", "10.1.2.3", "2001:db8:1::/48", "2001:db8::1", "127.0.0.1", "::1"]
    {
        assert!(parse(&good_with(&[SERVES, (END, &device("fax", network))])).is_ok(), "{network}");
    }
    for (network, narrowest) in [
        ("10.0.0.0/15", 16),
        ("10.0.0.0/8", 16),
        ("127.0.0.0/8", 16),
        ("0.0.0.0/0", 16),
        ("2001:db8::/47", 48),
        ("::/0", 48),
    ] {
        let sentence = format!(
            "14: `devices.fax.networks` holds {network}, wider than /{narrowest}: whoever is in it \
             could send as the mailbox"
        );
        assert_eq!(problems_with(&device("fax", network)), [sentence]);
    }
}

#[test]
fn network_is_one_device_and_the_narrower_one_within_it_may_be_another() {
    let two = |one: &str, other: &str| device("one", one) + &device("two", other);
    assert!(parse(&good_with(&[SERVES, (END, &two("192.0.2.0/24", "192.0.2.7"))])).is_ok());
    assert_eq!(
        problems_with(&two("192.0.2.7", "192.0.2.7/32")),
        ["17: `devices.two.networks` holds 192.0.2.7/32, which `devices.one` has already"]
    );
    assert_eq!(
        problems_with(&device("one", "192.0.2.0/24\", \"192.0.2.0/24")),
        ["14: `devices.one.networks` holds 192.0.2.0/24, which `devices.one` has already"]
    );
}

#[test]
fn name_and_user_name_of_a_device_mean_nobody_else() {
    let named = |name: &str, username: &str| {
        format!("[devices.{name}]\naccount = \"alice@contoso.com\"\nusername = \"{username}\"\n")
    };
    assert_eq!(
        problems_with(&(named("Fax", "a") + &named("fax", "b"))),
        ["15: `devices.fax` is `devices.Fax` again: names ignore case"]
    );
    assert_eq!(
        problems_with(&(named("one", "Fax") + &named("two", "fax"))),
        ["17: `devices.two.username` is \"fax\", which `devices.one` signs in by already"]
    );
    assert_eq!(
        problems_with(&named("one", "ALICE@contoso.com")),
        ["14: `devices.one.username` is \"alice@contoso.com\", by which \
          `accounts.\"alice@contoso.com\"` signs in"]
    );
    let all = second_account("*@contoso.com", &[]);
    assert_eq!(
        problems_with(&(named("one", "fax@contoso.com") + &all)),
        [
            "14: `devices.one.username` is \"fax@contoso.com\", by which `accounts.\"*@contoso.com\"` \
          signs in"
        ]
    );
    let fax = second_account("fax", &[]);
    assert_eq!(
        problems_with(&(named("Fax", "f") + &fax)),
        ["12: `devices.Fax` has the name of `accounts.fax`"]
    );
    assert_eq!(with(&(named("fax", "fax") + &named("two", "one"))).devices.len(), 2);
}

#[test]
fn all_that_is_wrong_with_devices_is_told_at_once() {
    let text = "[devices.one]\nacount = \"alice@contoso.com\"\nnetworks = [\"10.0.0.0/8\", \"x\"]\n\
                [devices.two]\naccount = \"bob@contoso.com\"\n";
    let told = problems_with(text);
    let lines: Vec<_> = told.iter().map(|it| it.split_once(": ").unwrap().0).collect();
    assert_eq!(lines, ["12", "13", "14", "14", "15", "16"], "{told:#?}");
}

#[test]
fn account_of_a_device_may_be_one_that_a_wildcard_covers() {
    let all = [(ACCOUNT, "[accounts.\"*@contoso.com\"]"), SERVES];
    let devices = device("fax", "192.0.2.7");
    let config = config(&[all[0], all[1], (END, &devices)]);
    assert_eq!(config.devices[0].account.as_str(), "alice@contoso.com");
}

#[test]
fn account_of_a_device_has_to_be_able_to_send() {
    let provider = "[providers.corp]\ntoken_endpoint = \"https://id.corp.example\"\n\
                    imap = { host = \"imap.corp.example\", port = 993, tls = \"implicit\" }\n\
                    scopes = [\"mail\"]\n";
    let bob = second_account(
        "bob@contoso.com",
        &[("microsoft", "corp"), ("tenant = \"contoso.com\"\n", "")],
    );
    let device = "[devices.fax]\naccount = \"bob@contoso.com\"\nusername = \"fax\"\n";
    let text = format!("{device}{provider}{bob}\n");
    assert_eq!(
        problems_with(&text),
        [
            "13: `devices.fax.account` is \"bob@contoso.com\", whose provider corp has no server for \
          submission"
        ]
    );
    let own = "[listeners.fax]\nprotocol = \"submission\"\naddress = \"localhost:2587\"\n\
               devices = true\naccounts = [\"bob@contoso.com\"]\n\
               upstream = { host = \"smtp.corp.example\", port = 465, tls = \"implicit\" }\n";
    assert_eq!(with(&format!("{text}{own}")).devices.len(), 1);
}

#[test]
fn account_of_a_device_has_to_have_the_address_that_its_sender_needs() {
    let all = (ACCOUNT, "[accounts.\"*@contoso.com\"]");
    let fax =
        "sender = \"envelope\"\n[devices.fax]\naccount = \"a b@contoso.com\"\nusername = \"fax\"";
    assert_eq!(
        problems(&good_with(&[all, SERVES, (END, fax)])),
        [
            "14: `devices.fax.account` is \"a b@contoso.com\", which is no address that `sender` could \
          write"
        ]
    );
}

#[test]
fn listener_of_devices_lets_their_networks_in_where_nothing_else_is_written() {
    let devices = device("fax", "192.0.2.7") + &device("scan", "198.51.100.0/24");
    let loopback = ["127.0.0.0/8", "::1/128"].map(str::to_owned);
    let with_devices = [&loopback[..], &["192.0.2.7/32".into(), "198.51.100.0/24".into()]].concat();
    assert_eq!(allow(&with(&devices)), with_devices);
    let off = config(&[(LISTENER, "devices = false"), (END, &devices)]);
    assert_eq!(allow(&off), loopback);
    let written = [PUBLIC, (LISTENER, "devices = true\nallow = [\"192.0.2.0/24\"]")];
    let written = config(&[written[0], written[1], (END, &devices)]);
    assert_eq!(allow(&written), ["192.0.2.0/24"]);
    assert_eq!(
        warnings(&written),
        [
            "19: `devices.scan.networks` holds 198.51.100.0/24, which no listener allows that serves \
          devices"
        ]
    );
    let halves =
        "devices = true\nallow = [\"192.0.2.7\", \"198.51.100.0/25\", \"198.51.100.128/25\"]";
    let halves = config(&[PUBLIC, (LISTENER, halves), (END, &devices)]);
    assert_eq!(warnings(&halves), Vec::<String>::new());
}

#[test]
fn listener_off_loopback_needs_no_allow_where_devices_have_networks() {
    let in_network = config(&[PUBLIC, SERVES, (END, &device("fax", "192.0.2.7"))]);
    assert_eq!(warnings(&in_network), Vec::<String>::new());
    let fax = "[devices.fax]\naccount = \"alice@contoso.com\"\nusername = \"fax\"";
    let lacks = "1: `listeners.submission` lacks `allow`, so none but this machine may connect";
    assert_eq!(warnings(&config(&[PUBLIC, SERVES, (END, fax)])), [lacks]);
}

#[test]
fn device_that_signs_in_is_warned_of_where_only_the_addresses_of_others_may_connect() {
    let fax = "[devices.fax]\naccount = \"alice@contoso.com\"\nusername = \"fax\"\n";
    let told =
        ["13: `devices.fax` signs in, and none but this machine and the addresses of other \
                 devices may connect where it is served"];
    let warned = |listener: &[(usize, &str)], devices: &str| {
        warnings(&config(&[listener, &[(END, devices)]].concat()))
    };
    let single = fax.to_owned() + &device("scan", "192.0.2.7");
    assert_eq!(warned(&[PUBLIC, SERVES], &single), told);
    // It may be within the network of another one, on this machine, or where `allow` says.
    let wide = fax.to_owned() + &device("scan", "192.0.2.0/24");
    assert_eq!(warned(&[PUBLIC, SERVES], &wide), Vec::<String>::new());
    let here = fax.to_owned() + &device("scan", "127.0.0.1");
    assert_eq!(warned(&[SERVES], &here), Vec::<String>::new());
    let written = (LISTENER, "devices = true\nallow = [\"192.0.2.7\", \"192.0.2.9\"]");
    assert_eq!(warned(&[PUBLIC, written], &single), Vec::<String>::new());
    // One that has networks may sign in from these.
    let both = single.replace("username", "networks = [\"192.0.2.8\"]\nusername");
    assert_eq!(warned(&[PUBLIC, SERVES], &both), Vec::<String>::new());
}

#[test]
fn listener_that_none_of_its_devices_reaches_is_warned_of() {
    let told = "4: `listeners.submission.devices` is true, and none but this machine reaches the \
                listener: the networks of its devices are elsewhere";
    let elsewhere = device("fax", "192.0.2.7") + &device("scan", "198.51.100.0/24");
    assert_eq!(warnings(&with(&elsewhere)), [told]);
    // A device on this machine, or one that may be on any, reaches it.
    let here = elsewhere.clone() + &device("erp", "127.0.0.1");
    assert_eq!(warnings(&with(&here)), Vec::<String>::new());
    let anywhere = "[devices.fax]\naccount = \"alice@contoso.com\"\nusername = \"fax\"\n";
    assert_eq!(warnings(&with(anywhere)), Vec::<String>::new());
    assert_eq!(warnings(&with(&(anywhere.replace("fax", "erp") + &elsewhere))), [told]);
    // One address that they reach is enough.
    let both = "address = [\"127.0.0.1:1587\", \"192.0.2.1:587\"]\nrequire_tls = false";
    let both = config(&[(ADDRESS, both), SERVES, (END, &elsewhere)]);
    assert_eq!(warnings(&both), Vec::<String>::new());
    // Those whom the listener does not let in are no devices of its.
    let bob = second_account("bob@contoso.com", &[]);
    let bobs = "[devices.erp]\naccount = \"bob@contoso.com\"\nnetworks = [\"127.0.0.1\"]\n";
    let alone = "devices = true\naccounts = [\"alice@contoso.com\"]\n\
                 [listeners.bobs]\nprotocol = \"submission\"\naddress = \"localhost:2587\"\n\
                 devices = true";
    let text = format!("{elsewhere}{bobs}{bob}");
    assert_eq!(warnings(&config(&[(LISTENER, alone), (END, &text)])), [told]);
}

#[test]
fn devices_behind_load_balancers_are_warned_of_unless_they_sign_in() {
    let behind = "proxy_protocol_from = [\"192.0.2.1\"]\nrequire_tls = false\ndevices = true";
    let told = "6: `listeners.submission.devices` is true behind load balancers, by whose word \
                nobody is a device: `devices.scan` would be refused there, for want of a user name";
    let lacks = "1: `listeners.submission` lacks `allow`, so none whom a load balancer announces \
                 may connect but devices in their networks";
    let fax = device("fax", "192.0.2.8") + "username = \"fax\"\n";
    let both = fax.clone() + &device("scan", "192.0.2.7");
    let allow = format!("{behind}\nallow = [\"192.0.2.0/24\"]");
    // At a port that the balancer alone reaches, and at one that others reach as well.
    for address in ["address = \"127.0.0.1:587\"", "address = \"192.0.2.10:587\""] {
        let warned = |listener: &str, devices: &str| {
            let warned = [(ADDRESS, address), (LISTENER, listener), (END, devices)];
            let mut warned = warnings(&config(&warned));
            warned.sort();
            warned
        };
        assert_eq!(warned(behind, &both), [lacks, told]);
        assert_eq!(warned(&allow, &both), [told]);
        assert_eq!(warned(&allow, &fax), Vec::<String>::new());
    }
}

#[test]
fn device_that_is_not_served_is_warned_of() {
    let devices = device("fax", "192.0.2.7");
    let none = ["12: `devices.fax` is served by no listener"];
    assert_eq!(warnings(&config(&[(END, &devices)])), none);
    let bob = second_account("bob@contoso.com", &[]);
    let bob_alone = "devices = true\naccounts = [\"bob@contoso.com\"]\n\
                     [listeners.imap]\nprotocol = \"imap\"\naddress = \"localhost:1143\"";
    let text = format!("{devices}{bob}");
    assert_eq!(
        warnings(&config(&[(LISTENER, bob_alone), (END, &text)])),
        [
            "17: `devices.fax.account` is \"alice@contoso.com\", which no listener lets in that serves \
          devices"
        ]
    );
    assert_eq!(
        warnings(&config(&[SERVES])),
        ["4: `listeners.submission.devices` is true, and there are no devices"]
    );
    assert_eq!(warnings(&config(&[(LISTENER, "devices = false")])), Vec::<String>::new());
}

#[test]
fn listener_that_is_not_for_sending_serves_no_devices() {
    for protocol in ["imap", "pop3"] {
        let line = format!("protocol = \"{protocol}\"");
        let told = problems(&good_with(&[(PROTOCOL, &line), SERVES]));
        let sentence = "4: `listeners.submission.devices` is true, and devices send, which they do \
                        by submission";
        assert_eq!(told, [sentence]);
        assert!(!config(&[(PROTOCOL, &line), (LISTENER, "devices = false")]).listeners[0].devices);
    }
}

#[test]
fn listener_in_clear_for_devices_still_says_that_it_is() {
    let clear = [(ADDRESS, "address = \"192.0.2.1:587\"\nallow = [\"192.0.2.7\"]"), SERVES];
    let devices = device("fax", "192.0.2.7");
    let told = problems(&good_with(&[clear[0], clear[1], (END, &devices)]));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("where passwords would cross a network in clear"), "{told:?}");
}
