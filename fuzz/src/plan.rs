//! What an input of the fuzzer means: the first six bytes choose how a session goes, the rest is
//! what the peer sends.
//!
//! In:  any bytes. `~TLS~` among those of the peer ends a flight: what follows is sent once that was
//!      answered, and under TLS if a handshake is due. `~*` and two bytes stand for the first of the
//!      two, 512 times the second: so that a small input reaches the limits on lines.
//! Out: a [`Plan`]. At most [`SENT_LEN_MAX`] bytes are sent.
//!
//! Digits choose what is first in mind, so that inputs can be written by hand: see `README.md`.

use mailbearer::names::Username;
use mailbearer::proto::Privacy;
use mailbearer::proto::smtp::DeviceMail;
use mailbearer::provider::{Mechanism, UpstreamTls};
use mailbearer::refusal::{Refusal, Unavailable};

/// How many bytes choose.
pub const CHOICES: usize = 6;

/// Most bytes that a peer sends in one session: what an endless line may have, and some.
const SENT_LEN_MAX: usize = 96 * 1024;

/// How many pieces are about the most that a flight is cut into: more takes too long.
const PIECES: usize = 512;

/// What ends a flight.
const TLS: &[u8] = b"~TLS~";

/// What stands before a byte and how many 512 of it are meant.
const REPEAT: &[u8] = b"~*";

/// How a session goes.
#[derive(Debug, Clone)]
pub struct Plan {
    choices: [u8; CHOICES],
    /// What the peer sends, cut at each handshake.
    pub flights: Vec<Vec<u8>>,
}

impl Plan {
    /// Reads an input; `None` for one that is too short to choose.
    pub fn read(input: &[u8]) -> Option<Self> {
        let (&choices, sent) = input.split_first_chunk()?;
        Some(Self { choices, flights: flights(sent) })
    }

    /// The same choices for a client on a connection of its own, which sends `flights`.
    pub fn with(&self, flights: &[Vec<u8>]) -> Self {
        Self { choices: self.choices, flights: flights.to_vec() }
    }

    /// Everything that the peer sends.
    pub fn sent(&self) -> Vec<u8> {
        self.flights.concat()
    }

    /// The first byte, downstream: how private the connection is at first.
    pub fn privacy(&self) -> Privacy {
        match self.choices[0] % 4 {
            0 => Privacy::Clear,
            1 => Privacy::Offered,
            2 => Privacy::Required,
            _ => Privacy::Tls,
        }
    }

    /// The first byte, upstream: how TLS begins.
    pub fn upstream_tls(&self) -> UpstreamTls {
        if self.choices[0].is_multiple_of(2) {
            UpstreamTls::Implicit
        } else {
            UpstreamTls::StartTls
        }
    }

    /// The first byte, upstream: how the token is shown.
    pub fn mechanism(&self) -> Mechanism {
        if self.choices[0] & 2 == 0 { Mechanism::Xoauth2 } else { Mechanism::OauthBearer }
    }

    /// The first byte, of the filter: its rule, 0 to 3.
    pub fn rule(&self) -> u8 {
        self.choices[0] % 4
    }

    /// The second byte, downstream: what is offered, 0 to 3.
    pub fn offer(&self) -> u8 {
        self.choices[1] % 4
    }

    /// The second byte, of SMTP downstream: whether MAIL is a device's claim. That of an input with a
    /// digit below 4 is none.
    pub fn devices(&self) -> DeviceMail {
        match self.choices[1] / 4 % 3 {
            0 => DeviceMail::Refused,
            1 => DeviceMail::Heard,
            _ => DeviceMail::HeardUnderTls,
        }
    }

    /// The second byte, upstream: how long the access token is. The longer ones do not fit into a
    /// line of a command.
    pub fn token_len(&self) -> usize {
        [12, 1_500, 9_000, 20_000][usize::from(self.choices[1] % 4)]
    }

    /// The third byte: which claim is accepted, from 1; 0 for none.
    pub fn accepted(&self) -> usize {
        usize::from(self.choices[2] % 8)
    }

    /// The fourth byte: why the other claims are refused.
    pub fn refusal(&self) -> Refusal {
        let account = || Username::parse("alice@example.com").unwrap();
        match self.choices[3] % 8 {
            0 => Refusal::WrongPassword,
            1 => Refusal::ConsentNeeded { account: account() },
            2 => Refusal::GrantRefused { account: account() },
            3 => Refusal::Unavailable(Unavailable::TokenEndpoint),
            4 => Refusal::Unavailable(Unavailable::Upstream),
            5 => Refusal::Unavailable(Unavailable::Overloaded),
            6 => Refusal::Unavailable(Unavailable::LocalPassword),
            _ => Refusal::UpstreamRefused {
                reply: "535 5.7.3 Authentication unsuccessful".to_owned(),
                cause: "the token is not for this mailbox".to_owned(),
            },
        }
    }

    /// `flight` in pieces of up to the fifth byte's length, those of a long one being longer; the
    /// sixth decides on each one's.
    pub fn pieces<'a>(&self, mut flight: &'a [u8]) -> Vec<&'a [u8]> {
        let len_max = (usize::from(self.choices[4]) + 1) * (flight.len() / PIECES + 1);
        let mut seed = u32::from(self.choices[5]) + 1;
        let mut pieces = Vec::new();
        while !flight.is_empty() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let len = usize::try_from(seed >> 12).unwrap() % len_max + 1;
            let (piece, rest) = flight.split_at(len.min(flight.len()));
            pieces.push(piece);
            flight = rest;
        }
        pieces
    }
}

fn flights(mut sent: &[u8]) -> Vec<Vec<u8>> {
    let mut flights = vec![Vec::new()];
    let mut left = SENT_LEN_MAX;
    while let Some((&first, behind)) = sent.split_first()
        && left > 0
    {
        let flight = flights.last_mut().expect("there is a first one");
        let before = flight.len();
        if let Some(rest) = sent.strip_prefix(TLS) {
            sent = rest;
            flights.push(Vec::new());
            continue;
        }
        match sent.strip_prefix(REPEAT) {
            Some([byte, count, rest @ ..]) => {
                let len = (usize::from(*count) * 512).min(left);
                flight.resize(before + len, *byte);
                sent = rest;
            }
            _ => {
                flight.push(first);
                sent = behind;
            }
        }
        left -= flight.len() - before;
    }
    flights
}
