//! One wrong line at a time, and what is told about it.

use super::*;

#[test]
fn a_listener_that_is_wrong_is_refused() {
    refused(
        "listeners.submission",
        r#"
        2 protocol = "submision"
        protocol is "submision", which mailbearer does not know; the nearest is "submission"
        2 protocol = 1
        protocol is an integer, not a string
        2
        1: `listeners.submission` lacks `protocol`
        3 address = []
        address is an empty list
        3 address = [1]
        address is an integer, not a string
        3 address = 1587
        address is an integer, not a string or a list of strings
        3 address = "mail.example:587"
        address is "mail.example:587", which is no address with a port
        3 address = "localhost:65536"
        address is "localhost:65536", which is no address with a port
        3 address = "localhost:+5"
        address is "localhost:+5", which is no address with a port
        3 address = "[::ffff:127.0.0.1]:1587"
        address is "[::ffff:127.0.0.1]:1587", an IPv4 address in the form of IPv6
        4 allow = ["10.0.0.1/8"]
        allow holds "10.0.0.1/8", which has address bits behind the prefix
        4 allow = ["10.0.0.0/33"]
        allow holds "10.0.0.0/33", which is no network
        4 allow = "localhost"
        allow holds "localhost", which is no network
        4 allow = []
        allow is an empty list
        4 accounts = ["bob@contoso.com"]
        accounts holds "bob@contoso.com", and there is no such account
        4 accounts = ["*@fabrikam.com"]
        accounts holds "*@fabrikam.com", and there is no such account
        4 require_tls = true
        require_tls is true, but this listener has no TLS, so nobody could sign in
        4 require_tls = "no"
        require_tls is a string, not true or false
        4 tls = "tls"
        tls is "tls", which mailbearer does not know
        4 upstream = { host = "imap.corp.example", port = 993, tls = "implicit" }
        upstream needs `accounts` beside it, for their tokens are sent to that server
        1 [listeners."a b"]
        1: `listeners."a b"` has a name that is not allowed
        "#,
    );
}

#[test]
fn every_wrong_item_of_a_list_is_told_on_its_own_line() {
    let address = "address = [\n\"localhost:1\",\n\"localhost:1\",\n\"127.0.0.1:1\"]";
    let taken = "`listeners.submission.address` is an address that \
                 `listeners.submission.address` has already";
    assert_eq!(
        problems(&good_with(&[(ADDRESS, address)])),
        [format!("5: {taken}"), format!("6: {taken}")]
    );
    let allow = "allow = [\n\"one\",\n\"127.0.0.1\",\n2]";
    assert_eq!(
        problems(&good_with(&[(LISTENER, allow)])),
        [
            "5: `listeners.submission.allow` holds \"one\", which is no network",
            "7: `listeners.submission.allow` is an integer, not a string"
        ]
    );
}

#[test]
fn an_address_off_loopback_is_refused_until_clear_text_is_accepted() {
    let clear = |address: &str| format!("address = {address:?}\nallow = \"192.0.2.1\"");
    for address in ["0.0.0.0:587", "[::]:587", "192.0.2.1:587", "[2001:db8::1]:587"] {
        let address = clear(address);
        let told = problems(&good_with(&[(ADDRESS, &address)]));
        assert!(told[0].contains("where passwords would cross a network in clear"), "{told:?}");
        config(&[(ADDRESS, &address), (LISTENER, "require_tls = false")]);
    }
    for address in ["127.8.8.8:587", "[::1]:587", "localhost:0"] {
        config(&[(ADDRESS, &clear(address))]);
    }
}

#[test]
fn an_address_of_another_listener_is_refused() {
    let other = |address: &str| {
        let other = "[listeners.imap]\nprotocol = \"imap\"\nrequire_tls = false\nallow = \"::1\"";
        good_with(&[(END, &format!("{other}\naddress = {address:?}"))])
    };
    for address in ["localhost:1587", "127.0.0.1:1587", "[::1]:1587", "0.0.0.0:1587", "[::]:1587"] {
        assert_eq!(
            problems(&other(address)),
            ["16: `listeners.imap.address` is an address that `listeners.submission.address` has \
              already"],
            "{address}"
        );
    }
    for address in ["localhost:1588", "192.0.2.1:1587", "localhost:0"] {
        assert!(parse(&other(address)).is_ok(), "{address}");
    }
}

#[test]
fn an_upstream_that_is_the_relay_itself_is_refused() {
    let upstream = |address: &str, host: &str| {
        let upstream = format!(
            "accounts = \"alice@contoso.com\"\n\
             upstream = {{ host = {host:?}, port = 1587, tls = \"implicit\" }}"
        );
        let address = format!("address = {address:?}\nrequire_tls = false\nallow = \"::1\"");
        good_with(&[(ADDRESS, &address), (LISTENER, &upstream)])
    };
    for (address, host) in [
        ("localhost:1587", "localhost"),
        ("localhost:1587", "LOCALHOST"),
        ("localhost:1587", "127.0.0.1"),
        ("127.0.0.1:1587", "localhost"),
        ("[::1]:1587", "[::1]"),
        ("0.0.0.0:1587", "127.0.0.1"),
        ("192.0.2.1:1587", "192.0.2.1"),
    ] {
        let told = problems(&upstream(address, host));
        assert!(told[0].starts_with("7: `listeners.submission.upstream` is "), "{told:?}");
        assert!(told[0].ends_with(": the relay would call itself"), "{told:?}");
    }
    for (address, host) in [
        ("localhost:1588", "localhost"),
        ("127.0.0.2:1587", "localhost"),
        ("0.0.0.0:1587", "192.0.2.1"),
        ("localhost:1587", "smtp.example"),
    ] {
        assert!(parse(&upstream(address, host)).is_ok(), "{address} {host}");
    }
    let provider = r#"[providers.microsoft]
        submission = { host = "localhost", port = 1587, tls = "starttls" }"#;
    assert_eq!(
        problems(&good_with(&[(END, provider)])),
        ["13: `providers.microsoft.submission` is localhost:1587, which is \
          `listeners.submission.address`: the relay would call itself"]
    );
}

#[test]
fn a_listener_that_serves_nobody_is_refused() {
    let corp = "[providers.corp]\ntoken_endpoint = \"https://id.corp.example/token\"";
    let corp = [(PROVIDER, "provider = \"corp\""), (TENANT, ""), (END, corp)];
    assert_eq!(
        problems(&good_with(&corp)),
        ["1: `listeners.submission` serves nobody: no provider of its accounts has a server for \
          submission"]
    );
}

#[test]
fn a_mail_host_that_is_wrong_is_refused() {
    refused(
        "providers.microsoft",
        r#"
        + imap = "imap.corp.example"
        imap is a string, not a table
        + imap = { host = "imap.corp.example", port = 993 }
        imap lacks `tls`
        + imap = { host = "imap.corp.example", tls = "implicit" }
        imap lacks `port`
        + imap = { port = 993, tls = "implicit" }
        imap lacks `host`
        + imap = { host = "imap.corp.example:993", port = 993, tls = "implicit" }
        imap.host is "imap.corp.example:993", which is no host name and no IP address
        + imap = { host = "", port = 993, tls = "implicit" }
        imap.host is "", which is no host name and no IP address
        + imap = { host = "imap.corp.example", port = 0, tls = "implicit" }
        imap.port is 0, which is out of range
        + imap = { host = "imap.corp.example", port = 65536, tls = "implicit" }
        imap.port is 65536, which is out of range
        + imap = { host = "imap.corp.example", port = -1, tls = "implicit" }
        imap.port is -1, which is out of range
        + imap = { host = "imap.corp.example", port = "993", tls = "implicit" }
        imap.port is a string, not a whole number
        + imap = { host = "imap.corp.example", port = 993, tls = "none" }
        imap.tls is "none", but no token is ever sent in clear
        + imap = { host = "imap.corp.example", port = 993, tls = "start-tls" }
        imap.tls is "start-tls", which mailbearer does not know; the nearest is "starttls"
        + imap = { host = "imap.corp.example", port = 993, tls = "implicit", name = "x" }
        imap.name is no key that mailbearer knows
        "#,
    );
}

#[test]
fn a_provider_that_is_wrong_is_refused() {
    refused(
        "providers.microsoft",
        r#"
        + token_endpoint = "id.corp.example/token"
        token_endpoint is no URL
        + token_endpoint = "https://id.corp.example/to ken"
        token_endpoint is no URL
        + token_endpoint = "http://id.corp.example/{tenant}"
        token_endpoint is not https, and would show secret and token to the network
        + token_endpoint = "http://localhost.example/{tenant}"
        token_endpoint is not https, and would show secret and token to the network
        + token_endpoint = "ftp://localhost/{tenant}"
        token_endpoint is not https, and would show secret and token to the network
        + token_endpoint = "https://app:tell-nobody@id.corp.example/{tenant}"
        token_endpoint holds a user name or password
        + token_endpoint = "https://id.corp.example/{tenant}#top"
        token_endpoint holds a fragment (#)
        + scopes = "mail imap"
        scopes holds "mail imap", which is no scope
        + scopes = { imap = [""] }
        scopes.imap holds "", which is no scope
        + scopes = { smtp = ["mail"] }
        scopes.smtp is no key that mailbearer knows
        + mechanism = "XOAUTH2"
        mechanism is "XOAUTH2", which mailbearer does not know; the nearest is "xoauth2"
        + ca_file = "missing.pem"
        ca_file names /nowhere/missing.pem, which cannot be read (no such file)
        + ca_file = ""
        ca_file is no path
        + ca_file = "a\u001b[31m\nb"
        ca_file is no path
        + ca_file = "/"
        ca_file names /, which cannot be read (it is no regular file)
        + local_password = "tell-nobody"
        local_password belongs to an account
        + mailbox = "a@contoso.com"
        mailbox belongs to an account
        + tokenendpoint = "https://id.corp.example/token"
        tokenendpoint is no key that mailbearer knows; the nearest is `token_endpoint`
        "#,
    );
    let tenant =
        "[providers.corp]\ntoken_endpoint = \"https://id.corp.example/\"\ntenant = \"a.b\"";
    assert_eq!(
        problems(&good_with(&[(END, tenant)])),
        ["14: `providers.corp.tenant` has no place in the provider's endpoints"]
    );
}

#[test]
fn a_ca_file_without_whole_certificates_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let text = good_with(&[(END, "[providers.microsoft]\nca_file = \"ca.pem\"")]);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, told) in [
        ("", "which holds no certificate"),
        ("CERTIFICATE", "which holds no certificate"),
        (damaged, "which holds a damaged certificate"),
        (&damaged[..40], "which is damaged PEM"),
    ] {
        fs::write(&path, pem).unwrap();
        let problems = Config::parse(&text, dir.path(), &env, Secrets::Verify).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.ends_with(told), "{problems:?}");
    }
}

#[test]
fn an_account_that_is_wrong_is_refused() {
    refused(
        r#"accounts."alice@contoso.com""#,
        r#"
        5 [accounts."a*@contoso.com"]
        5: `accounts."a*@contoso.com"` is no account: a * stands for a whole name before the @ of a domain, as in *@contoso.com, or nowhere
        6 provider = "microsft"
        provider is "microsft", and there is no such provider; the nearest is "microsoft"
        6
        5: `accounts."alice@contoso.com"` lacks `provider`
        7 tenant = "common"
        tenant is "common", which is no tenant
        7 tenant = "contoso.com/x"
        tenant is "contoso.com/x", which is no tenant
        7 tenant = "contoso..com"
        tenant is "contoso..com", which is no tenant
        7 tenant = "01234567-89ab-cdef-0123-456789abcdeg"
        tenant is "01234567-89ab-cdef-0123-456789abcdeg", which is no tenant
        7
        5: `accounts."alice@contoso.com"` lacks `tenant`
        8 client_id = "äpp"
        client_id is no client id
        8 client_id = ""
        client_id is no client id
        8
        5: `accounts."alice@contoso.com"` lacks `client_id`
        9
        5: `accounts."alice@contoso.com"` lacks `client_secret`
        10
        5: `accounts."alice@contoso.com"` lacks `grant`
        10 grant = "client-credential"
        grant is "client-credential", which mailbearer does not know; the nearest is "client-credentials"
        12 mailbox = ""
        mailbox is no mailbox: a user name is 1 to 320 bytes with no control characters
        12 mailbox = { submission = "a\u0001b" }
        mailbox.submission is no mailbox: a user name is 1 to 320 bytes with no control characters
        12 mailbox = { smtp = "alice@contoso.com" }
        mailbox.smtp is no key that mailbearer knows
        12 localpassword = "tell-nobody"
        localpassword is no key that mailbearer knows; the nearest is `local_password`
        "#,
    );
}

#[test]
fn a_wildcard_has_no_mailbox_of_its_own() {
    let wildcard = [(ACCOUNT, "[accounts.\"*@contoso.com\"]"), (END, "mailbox = \"a@b\"")];
    assert_eq!(
        problems(&good_with(&wildcard)),
        [
            "12: `accounts.\"*@contoso.com\".mailbox` stands at a wildcard, where every user name is \
          its own mailbox"
        ]
    );
}

#[test]
fn a_local_password_that_is_no_argon2_hash_is_refused_and_not_told() {
    refused(
        r#"accounts."alice@contoso.com""#,
        r#"
        11 local_password = "tell-nobody"
        local_password is no Argon2 hash of a password
        11 local_password = ""
        local_password is no Argon2 hash of a password
        11 local_password = "$argon2id$v=19$m=19456,t=2,p=1$5hJA/YXsmSeeakXDQPa3mg"
        local_password is no Argon2 hash of a password
        11 local_password = "$argon2id$v=19$m=1,t=2,p=1$5hJA/YXsmSeeakXDQPa3mg$BKG2GNX8EvYyhDShXMzCc3vWTkuZ"
        local_password is no Argon2 hash of a password
        11 local_password = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
        local_password is no Argon2 hash of a password
        11 local_password = "$argon2id$v=19$m=1048577,t=2,p=1$5hJA/YXsmSeeakXDQPa3mg$BKG2GNX8EvYyhDShXMzCc3vWTkuZ"
        local_password takes more than 1 GiB of memory at each sign-in
        "#,
    );
}

#[test]
fn a_setting_out_of_its_range_is_refused() {
    refused(
        "limits",
        r#"
        + sign_in_timeout = "4s"
        sign_in_timeout is "4s", which is out of range
        + sign_in_timeout = "601s"
        sign_in_timeout is "601s", which is out of range
        + sign_in_timeout = 60
        sign_in_timeout is no string with a duration
        + sign_in_timeout = "60"
        sign_in_timeout is "60", which is no duration
        + idle_timeout = "59s"
        idle_timeout is "59s", which is out of range
        + idle_timeout = "86401s"
        idle_timeout is "86401s", which is out of range
        + sessions = 0
        sessions is 0, which is out of range
        + sessions = 500001
        sessions is 500001, which is out of range
        + sessions = 99999999999999999999
        sessions is 99999999999999999999, which is out of range
        + sessions = 1.5
        sessions is a float, not a whole number
        + sessions_per_peer = 0
        sessions_per_peer is 0, which is out of range
        + sesions = 1
        sesions is no key that mailbearer knows; the nearest is `sessions`
        "#,
    );
    refused(
        "log",
        r#"
        + level = "verbose"
        level is "verbose", which mailbearer does not know
        + format = "JSON"
        format is "JSON", which mailbearer does not know; the nearest is "json"
        "#,
    );
    refused(
        "shutdown",
        r#"
        + grace = "3601s"
        grace is "3601s", which is out of range
        12 shutdown = "30s"
        12: `accounts."alice@contoso.com".shutdown` is no key that mailbearer knows
        "#,
    );
}

#[test]
fn a_mistyped_table_is_told_beside_the_one_that_is_missing() {
    assert_eq!(
        problems(&good_with(&[(1, "[listners.submission]")])),
        [
            "1: the file lacks `listeners`",
            "1: `listners` is no key that mailbearer knows; the nearest is `listeners`"
        ]
    );
}

/// What is told of a device and of an account that both misspell Alice, before `count` accounts of
/// whom each is wrong by its `line`.
fn told_before(count: usize, line: &str) -> [String; 2] {
    let mut text = "[devices.fax]\naccount = \"alise@contoso.com\"\nusername = \"fax\"\n\
                    [accounts.shared]\ngrant_of = \"alice@contoso.co\"\n"
        .to_owned();
    for number in 0..count {
        text.push_str(&format!("[accounts.user-{number}]\n{line}\n"));
    }
    let told = problems(&good_with(&[(GRANT, "grant = \"authorization-code\""), (END, &text)]));
    let of = |key| told.iter().find(|told| told.contains(key)).expect(key).clone();
    [of("`devices.fax.account`"), of("`accounts.shared.grant_of`")]
}

const NEAREST: &str = "; the nearest is \"alice@contoso.com\"";

#[test]
fn what_was_meant_is_told_of_the_first_problems_however_many_others_there_are() {
    for told in told_before(300, "provider = 1") {
        assert!(told.ends_with(NEAREST), "{told}");
    }
}

#[test]
fn what_was_meant_is_looked_for_a_hundred_times_at_most() {
    for (count, hints) in [(98, [true, true]), (99, [false, true]), (100, [false, false])] {
        let told = told_before(count, "provider = \"microsft\"");
        assert_eq!(told.map(|told| told.ends_with(NEAREST)), hints, "{count}");
    }
}
