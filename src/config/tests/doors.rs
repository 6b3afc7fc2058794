//! Who connects and how: unix and systemd sockets, and load balancers.

use super::*;

/// Listener lines for clients behind a balancer.
const BEHIND: &str = "proxy_protocol_from = [\"192.0.2.1\", \"2001:db8::/64\"]\n\
                      require_tls = false\nallow = [\"192.0.2.0/24\"]";

fn doors(address: &str) -> Vec<Door> {
    config(&[(ADDRESS, address)]).listeners.remove(0).addresses
}

#[test]
fn an_address_is_a_port_a_path_or_the_name_of_sockets() {
    let all =
        "address = [\"unix:a.sock\", \"unix:/run/b.sock\", \"systemd:post\", \"localhost:1587\"]";
    let path = |path: &str| Door::Unix(path.into());
    assert_eq!(
        doors(all),
        [
            path("/nowhere/a.sock"),
            path("/run/b.sock"),
            Door::Systemd("post".to_owned()),
            Door::Tcp(ListenAddress::Localhost(1587)),
        ]
    );
}

#[test]
fn a_socket_without_a_path_or_name_is_refused() {
    let long = format!("unix:/{}", "p".repeat(107));
    let name = format!("systemd:{}", "n".repeat(256));
    for (address, told) in [
        ("unix:", "is a unix socket without a path"),
        (long.as_str(), "is a path of 108 bytes, and that of a unix socket has at most 107"),
        ("systemd:", "is a systemd socket without a name that one can have"),
        ("systemd:a:b", "is a systemd socket without a name that one can have"),
        (name.as_str(), "is a systemd socket without a name that one can have"),
    ] {
        let text = good_with(&[(ADDRESS, &format!("address = \"{address}\""))]);
        assert_eq!(problems(&text), [format!("3: `listeners.submission.address` {told}")]);
    }
    let fits =
        format!("address = [\"unix:/{}\", \"systemd:{}\"]", "p".repeat(106), "n".repeat(255));
    assert_eq!(doors(&fits).len(), 2);
}

#[test]
fn a_path_or_name_that_stands_twice_is_refused() {
    for (one, what) in [("unix:a.sock", "a path"), ("systemd:post", "the name of sockets")] {
        let text = good_with(&[(ADDRESS, &format!("address = [\"{one}\", \"{one}\"]"))]);
        let told = problems(&text);
        let sentence = format!(
            "3: `listeners.submission.address` is {what} that `listeners.submission.address` has \
             already"
        );
        assert_eq!(told, [sentence]);
    }
}

#[test]
fn load_balancers_reach_the_settings() {
    let config = config(&[(LISTENER, BEHIND)]);
    let networks: Vec<_> =
        config.listeners[0].proxy_protocol_from.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.1/32", "2001:db8::/64"]);
    let none = self::config(&[(LISTENER, "proxy_protocol_from = []")]);
    assert!(none.listeners[0].proxy_protocol_from.is_empty() && none.warnings.is_empty());
}

#[test]
fn load_balancers_without_tls_want_leave_to_do_without() {
    let text = good_with(&[(LISTENER, "proxy_protocol_from = [\"192.0.2.1\"]")]);
    let told = problems(&text);
    assert!(told.len() == 1 && told[0].contains("cross a network in clear"), "{told:?}");
}

#[test]
fn load_balancers_that_let_nobody_or_everybody_speak_are_warned_of() {
    let warned = |lines: &str| -> Vec<String> {
        let warnings = config(&[(LISTENER, lines)]).warnings;
        warnings.into_iter().map(|warning| warning.message).collect()
    };
    assert_eq!(warned(BEHIND), Vec::<String>::new());
    let told = warned("proxy_protocol_from = [\"192.0.2.1\"]\nrequire_tls = false");
    assert!(told.len() == 1 && told[0].contains("lacks `allow`"), "{told:?}");
    let told = warned(&BEHIND.replace("192.0.2.1\"", "0.0.0.0/0\""));
    assert!(told.len() == 1 && told[0].contains("claim to come from anywhere"), "{told:?}");
}

#[test]
fn any_password_is_refused_behind_load_balancers_and_taken_at_a_unix_socket() {
    let any =
        [(GRANT, "grant = \"authorization-code\""), (LOCAL_PASSWORD, "local_password = \"any\"")];
    let told = problems(&good_with(&[&any[..], &[(LISTENER, BEHIND)]].concat()));
    assert!(
        told.len() == 1 && told[0].contains("`listeners.submission.proxy_protocol_from`"),
        "{told:?}"
    );
    let config = config(&[&any[..], &[(ADDRESS, "address = \"unix:a.sock\"")]].concat());
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}
