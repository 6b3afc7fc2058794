//! What the steps of a sign-in at a provider took.

use std::time::Duration;

/// How long the steps of one claim took, all its tries together; nothing of a step that was not
/// done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Took {
    /// The wait at the gate of the mailbox.
    pub(crate) gate_wait: Option<Duration>,
    /// DNS and TCP.
    pub(crate) dial: Option<Duration>,
    /// The TLS handshake.
    pub(crate) tls: Option<Duration>,
    /// The access token, which is waited for beside the two above.
    pub(crate) token: Option<Duration>,
    /// What the mail server takes to answer, from its greeting to its word on the token.
    pub(crate) sign_in: Option<Duration>,
    /// What became of the connection that was made ahead, where there was one. That one had neither
    /// to be dialled nor to begin TLS.
    pub(crate) warm: Option<Warm>,
}

/// What became of a connection that was made ahead of the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warm {
    /// The sign-in took place on it.
    Held,
    /// The server had given it up, and another one was dialled.
    Dead,
}

impl Took {
    /// Whether nothing had to be dialled.
    pub(crate) fn is_warm(&self) -> bool {
        self.dial.is_none() && self.warm == Some(Warm::Held)
    }

    /// Adds what another try took, which came after it.
    pub(crate) fn add(&mut self, other: Self) {
        self.warm = other.warm.or(self.warm);
        for (own, other) in [
            (&mut self.gate_wait, other.gate_wait),
            (&mut self.dial, other.dial),
            (&mut self.tls, other.tls),
            (&mut self.token, other.token),
            (&mut self.sign_in, other.sign_in),
        ] {
            if let Some(other) = other {
                *own = Some(own.unwrap_or_default().saturating_add(other));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_add_up_and_a_step_that_none_has_done_stays_unknown() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let mut took = Took { dial: ms(1), token: ms(5), ..Took::default() };
        took.add(Took { dial: ms(2), tls: ms(3), ..Took::default() });
        assert_eq!(took, Took { dial: ms(3), tls: ms(3), token: ms(5), ..Took::default() });
    }
}
