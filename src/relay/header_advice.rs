//! What to do about a PROXY header that is wrong, is missing, or comes where none is due: a sentence
//! that names the key to change here and the setting to change in the load balancer.

use super::ListenerSettings;
use super::caller::Caller;
use super::downstream::Ended;
use super::reason::Reason;
use crate::net::proxy_header::HeaderError;

/// What to do about a session of `from` that ended so before its sign-in, if a header was the cause.
pub(crate) fn advice(ended: &Ended, from: Caller, settings: &ListenerSettings) -> Option<String> {
    let key = format!("listeners.{}.proxy_protocol_from", settings.name);
    Some(match ended {
        Ended::UnexpectedHeader => unexpected(from, settings, &key),
        Ended::NoHeader(error) => match error {
            HeaderError::Left => return None,
            HeaderError::Missing | HeaderError::TimedOut => format!(
                "whoever connects from a network in `{key}` has to begin with a PROXY header: let \
                 the load balancer send it (haproxy: send-proxy-v2), or narrow that key to its \
                 addresses"
            ),
            HeaderError::NoClient { .. } => format!(
                "a load balancer announces clients on other machines: let those on this one \
                 connect directly, from an address that is not in `{key}`"
            ),
            HeaderError::BrokenOff
            | HeaderError::TooLong { .. }
            | HeaderError::Malformed { .. } => {
                format!(
                    "let the load balancer send a PROXY header of version 1 or 2, or none, without \
                     its address in `{key}`"
                )
            }
        },
        Ended::Over(Reason::NoAddress) => format!(
            "a load balancer that speaks for itself (LOCAL), or does not know for whom (UNKNOWN), is \
             served NOOP and QUIT alone: let it probe with those, and announce its clients to \
             `listeners.{}`",
            settings.name
        ),
        Ended::Over(_)
        | Ended::Draining
        | Ended::SignInTimeout
        | Ended::SecondHello
        | Ended::NoTls(_) => return None,
    })
}

/// What to do about a PROXY header of `from` where none is due.
fn unexpected(from: Caller, settings: &ListenerSettings, key: &str) -> String {
    let has_come = match from {
        Caller::Announced(_) => true,
        // A load balancer that spoke for itself.
        Caller::Address(address) => {
            settings.proxy_protocol_from.iter().any(|network| network.contains(&address))
        }
        Caller::UnixSocket => {
            return "a unix socket takes no PROXY header: let the load balancer send none, or \
                    connect to a port of the listener"
                .to_owned();
        }
    };
    if has_come {
        "a PROXY header has come already, and this is another one: from the client itself, which \
         nobody believes, or from a second load balancer, of which one has to send none"
            .to_owned()
    } else {
        format!(
            "a PROXY header is due here from the networks in `{key}` alone: add the load balancer's \
             address there, or let it send none"
        )
    }
}
