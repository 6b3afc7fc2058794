//! What to do about a client with which no TLS came about: a sentence that names the key to change
//! here and the setting to change in the client.

use super::downstream::Ended;
use super::reason::Reason;
use super::{ListenerSettings, ListenerTls};
use crate::net::client_stream::HandshakeError;

/// What to do about a session that ended so before its sign-in, if TLS was the cause.
pub(crate) fn advice(ended: &Ended, settings: &ListenerSettings) -> Option<String> {
    let ListenerSettings { name, tls, .. } = settings;
    let key = format!("listeners.{name}.tls");
    let sentence = match ended {
        Ended::Over(Reason::ClientHello) => match tls {
            ListenerTls::None => format!(
                "the client begins with TLS, which `{key}` does not offer: set it to \"implicit\", \
                 or switch SSL/TLS off in the client"
            ),
            ListenerTls::StartTls(_) | ListenerTls::Implicit(_) => format!(
                "the client begins with TLS: choose STARTTLS there instead of SSL/TLS, or set \
                 `{key}` to \"implicit\""
            ),
        },
        Ended::SecondHello => format!(
            "the client begins TLS a second time: something before it speaks TLS already, so \
             switch it off there or in `{key}`"
        ),
        Ended::Over(Reason::CleartextBehindStartTls) => format!(
            "the client did not wait for TLS, or somebody on the path added to what it said: \
             choose SSL/TLS in the client instead of STARTTLS, and set `{key}` to \"implicit\""
        ),
        Ended::NoTls(error) => of_handshake(error, tls, name, &key)?,
        Ended::Over(_)
        | Ended::Draining
        | Ended::SignInTimeout
        | Ended::NoHeader(_)
        | Ended::UnexpectedHeader => return None,
    };
    Some(sentence)
}

fn of_handshake(
    error: &HandshakeError,
    tls: &ListenerTls,
    name: &str,
    key: &str,
) -> Option<String> {
    Some(match error {
        // What is to be done about a header is told as such.
        HandshakeError::Left | HandshakeError::ProxyHeader => return None,
        HandshakeError::Silent | HandshakeError::Clear if tls.is_implicit() => format!(
            "choose SSL/TLS in the client, or set `{key}` to \"starttls\" for clients that begin \
             in clear"
        ),
        HandshakeError::Silent | HandshakeError::Clear => format!(
            "the client said STARTTLS and did not begin TLS: choose SSL/TLS there, and set `{key}` \
             to \"implicit\""
        ),
        HandshakeError::Version { .. } | HandshakeError::Suite { .. } => format!(
            "bring the client up to date; a device that can do no better needs a listener of its \
             own, with `allow` for its address alone, `{key}` = \"none\" and `require_tls` = false"
        ),
        HandshakeError::Untrusted { .. } | HandshakeError::Certificate { .. } => format!(
            "let the client connect by a name that is in `listeners.{name}.certificate`, and trust \
             the authority that issued it: `mailbearer certificates` makes both and says how"
        ),
        HandshakeError::BrokenOff => format!(
            "a client that does so each time does not take the certificate: let it connect by a \
             name that is in `listeners.{name}.certificate`, and trust the authority that issued \
             it: `mailbearer certificates` makes both and says how"
        ),
        HandshakeError::Ended { .. } => format!(
            "set the client's clock, or renew `listeners.{name}.certificate` if it has ended"
        ),
        HandshakeError::TimedOut | HandshakeError::Other { .. } => format!(
            "compare SSL/TLS in the client with `{key}`, and see what stands between the two"
        ),
    })
}
