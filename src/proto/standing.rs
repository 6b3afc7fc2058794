//! How a session with a client stands before the sign-in: how private it is, and what it has used up
//! of what it is allowed.

use super::{CloseReason, Input};

/// How many refused sign-ins and bad commands one session is answered; the last one closes it.
pub const FAILURES_MAX: u8 = 5;

/// How many commands one session is answered before it has signed in; the last one closes it.
///
/// Clients need five to ten. Without a bound one that says NOOP as fast as it can would have the
/// whole of `limits.sign_in_timeout` for it.
pub const COMMANDS_MAX: u16 = 200;

/// What a machine knows of TLS towards its client: what it shows, and whether credentials may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// The connection is in clear and stays so. Credentials are taken.
    Clear,
    /// The connection is in clear, and STARTTLS is shown. Credentials are taken.
    Offered,
    /// The connection is in clear, STARTTLS is shown, and no credentials are taken before it.
    Required,
    /// The connection is under TLS.
    Tls,
}

impl Privacy {
    /// Whether STARTTLS is shown and taken.
    pub fn offers_tls(self) -> bool {
        match self {
            Self::Offered | Self::Required => true,
            Self::Clear | Self::Tls => false,
        }
    }

    /// Whether credentials are taken as things are.
    pub fn takes_credentials(self) -> bool {
        match self {
            Self::Clear | Self::Offered | Self::Tls => true,
            Self::Required => false,
        }
    }
}

/// How a session stands: what lasts from command to command, whatever the protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) privacy: Privacy,
    /// Refused sign-ins and bad commands so far, in clear and under TLS.
    failures: u8,
    /// Commands so far, in clear and under TLS.
    commands: u16,
}

impl Standing {
    /// That of a new session.
    pub(super) fn new(privacy: Privacy) -> Self {
        Self { privacy, failures: 0, commands: 0 }
    }

    /// Counts a command.
    ///
    /// # Errors
    /// [`CloseReason::TooManyCommands`] at the [`COMMANDS_MAX`]th: it is not to be carried out.
    pub(super) fn count_command(&mut self) -> Result<(), CloseReason> {
        self.commands = self.commands.saturating_add(1);
        if self.commands < COMMANDS_MAX { Ok(()) } else { Err(CloseReason::TooManyCommands) }
    }

    /// Counts a failure.
    ///
    /// # Errors
    /// [`CloseReason::TooManyFailures`] at the [`FAILURES_MAX`]th: the session ends in place of its
    /// answer.
    pub(super) fn count_failure(&mut self) -> Result<(), CloseReason> {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MAX { Ok(()) } else { Err(CloseReason::TooManyFailures) }
    }

    /// How the session stands under TLS: what it has used up stays so. `input` is what was received
    /// in clear and not consumed.
    ///
    /// # Errors
    /// [`CloseReason::CleartextBehindStartTls`] when that is not empty.
    pub(super) fn start_tls(self, input: &Input) -> Result<Self, CloseReason> {
        if input.is_empty() {
            Ok(Self { privacy: Privacy::Tls, ..self })
        } else {
            Err(CloseReason::CleartextBehindStartTls)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_and_the_last_failure_close() {
        let mut standing = Standing::new(Privacy::Clear);
        for _ in 1..COMMANDS_MAX {
            assert_eq!(standing.count_command(), Ok(()));
        }
        for _ in 1..FAILURES_MAX {
            assert_eq!(standing.count_failure(), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(standing.count_command(), Err(CloseReason::TooManyCommands));
            assert_eq!(standing.count_failure(), Err(CloseReason::TooManyFailures));
        }
    }

    #[test]
    fn tls_brings_no_new_tries_and_begins_with_nothing_in_clear() {
        let mut standing = Standing::new(Privacy::Required);
        for _ in 2..FAILURES_MAX {
            assert_eq!(standing.count_failure(), Ok(()));
        }
        let mut input = Input::default();
        let mut secret = standing.start_tls(&input).unwrap();
        assert_eq!(secret.privacy, Privacy::Tls);
        assert_eq!(secret.count_failure(), Ok(()));
        assert_eq!(secret.count_failure(), Err(CloseReason::TooManyFailures));
        input.extend(b"\r");
        let refused = standing.start_tls(&input).unwrap_err();
        assert_eq!(refused, CloseReason::CleartextBehindStartTls);
    }
}
