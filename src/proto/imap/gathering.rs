//! A command whose pieces are still coming: lines with literals between them.
//!
//! In:  pieces of lines, announced literals, literals. Out: a claim, or why there is none.
//! Holds one user name and one password at most; whatever else comes is counted and thrown away.

use super::command::{Fault, Literal, Pace, Tag, arguments};
use crate::names::Username;
use crate::proto::LocalCredentials;
use crate::proto::preauth::SKIP_MAX;

/// Longest literal before the sign-in, in bytes. RFC 7888 section 5 sets the same for LITERAL-.
const LITERAL_LEN_MAX: usize = 4_096;

/// Literals in one command. RFC 2971 section 3.3 allows ID 30 pairs, each of two strings.
const LITERALS_MAX: usize = 60;

/// A command that may hold literals, as far as it came.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) tag: Tag,
    pub(super) content: Content,
    literals: usize,
    /// Bytes that came since the command was known to be refused.
    discarded: usize,
}

/// What the pieces amount to so far.
#[derive(Debug)]
pub(super) enum Content {
    /// The arguments of LOGIN.
    Login(Login),
    /// The arguments of ID, which nobody looks at.
    Id,
    /// A command that will be refused for this reason once it has come to its end.
    Faulty(Fault),
}

/// The arguments of LOGIN, as far as they came.
#[derive(Debug)]
pub(super) enum Login {
    Nothing,
    Username(Username),
    Claim(LocalCredentials),
}

/// How an announced literal is received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// It is an argument.
    Keep(Literal),
    /// It comes, and is thrown away.
    Discard(Literal),
    /// The client waits for leave, and the command is refused instead.
    Refuse(Fault),
    /// It comes without leave, and there is too much of it to be read to its end.
    GiveUp,
}

impl Gathering {
    pub(super) fn new(tag: Tag, content: Content) -> Self {
        Self { tag, content, literals: 0, discarded: 0 }
    }

    /// Takes a line of the command, and decides on the literal that it announces, if it does.
    pub(super) fn push_line(&mut self, line: &[u8]) -> Option<Reception> {
        let (text, literal) = Literal::split_off(line);
        match self.content {
            Content::Login(_) if literal.is_some() && text.ends_with(b"(") => {
                self.spoil(Fault::Glued);
            }
            Content::Login(_) => {
                for argument in arguments(text) {
                    match argument {
                        Ok(argument) => self.push(&argument),
                        Err(fault) => self.spoil(fault),
                    }
                }
            }
            Content::Id => {}
            Content::Faulty(_) => self.discarded = self.discarded.saturating_add(text.len()),
        }
        literal.map(|literal| self.announce(literal))
    }

    /// Takes an argument of LOGIN; anything else is thrown away.
    pub(super) fn push(&mut self, argument: &[u8]) {
        let content = std::mem::replace(&mut self.content, Content::Id);
        self.content = match content {
            Content::Login(login) => match login.push(argument) {
                Ok(login) => Content::Login(login),
                Err(fault) => Content::Faulty(fault),
            },
            content @ (Content::Id | Content::Faulty(_)) => content,
        };
    }

    /// Decides on a literal before any of it is read.
    fn announce(&mut self, literal: Literal) -> Reception {
        self.literals = self.literals.saturating_add(1);
        if self.literals > LITERALS_MAX {
            self.spoil(Fault::TooManyLiterals);
        } else if literal.len > LITERAL_LEN_MAX {
            self.spoil(Fault::LiteralTooLong);
        } else if let Content::Login(Login::Claim(_)) = self.content {
            self.spoil(Fault::LoginArguments);
        }
        match self.content {
            Content::Login(_) => Reception::Keep(literal),
            Content::Id => Reception::Discard(literal),
            Content::Faulty(fault) if literal.pace == Pace::Waiting => Reception::Refuse(fault),
            Content::Faulty(_) => {
                self.discarded = self.discarded.saturating_add(literal.len);
                if self.discarded > SKIP_MAX {
                    Reception::GiveUp
                } else {
                    Reception::Discard(literal)
                }
            }
        }
    }

    /// Has the command refused at its end; the first fault is the one that is told.
    pub(super) fn spoil(&mut self, fault: Fault) {
        if !matches!(self.content, Content::Faulty(_)) {
            self.content = Content::Faulty(fault);
        }
    }
}

impl Login {
    fn push(self, argument: &[u8]) -> Result<Self, Fault> {
        if argument.contains(&0) {
            return Err(Fault::Nul);
        }
        match self {
            Self::Nothing => Ok(Self::Username(Username::from_wire(argument)?)),
            Self::Username(username) => {
                Ok(Self::Claim(LocalCredentials { username, password: argument.to_vec().into() }))
            }
            Self::Claim(_) => Err(Fault::LoginArguments),
        }
    }
}
