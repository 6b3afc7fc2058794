//! The ways to cut what a peer sends into the pieces that arrive.
//!
//! In:  an input, and how a session is played with a way to cut it. Out: a panic where two ways do
//!      not come to the same.

use super::plan::Plan;
use super::trace::Trace;

/// Longest flight that is fed byte by byte as well, in bytes: else it takes too long.
const BYTE_BY_BYTE_LEN_MAX: usize = 512;

/// Longest flight that is cut in two at every place, in bytes, for the same reason.
const EVERY_CUT_LEN_MAX: usize = 512;

/// At how many places a longer one is cut, from its beginning to its end.
const CUTS: usize = 128;

/// Cuts a flight into pieces.
pub type Split<'a> = &'a dyn for<'f> Fn(&'f [u8]) -> Vec<&'f [u8]>;

/// Plays a session.
type Play = fn(&Plan, Split<'_>) -> Trace;

/// Plays the session that `input` describes, in several splits.
pub fn check(input: &[u8], play: Play) {
    let Some(plan) = Plan::read(input) else { return };
    let whole = play(&plan, &|flight| vec![flight]);
    assert_eq!(play(&plan, &|flight| plan.pieces(flight)), whole, "in pieces");
    if plan.flights.iter().all(|flight| flight.len() <= BYTE_BY_BYTE_LEN_MAX) {
        assert_eq!(play(&plan, &|flight| flight.chunks(1).collect()), whole, "byte by byte");
    }
}

/// As [`check`], and once more for every place at which what is sent can be cut in two, or for many
/// where there are too many.
pub fn check_every_split(input: &[u8], play: Play) {
    check(input, play);
    let Some(plan) = Plan::read(input) else { return };
    let whole = play(&plan, &|flight| vec![flight]);
    let longest = plan.flights.iter().map(Vec::len).max().unwrap_or_default();
    let step = if longest <= EVERY_CUT_LEN_MAX { 1 } else { longest / CUTS + 1 };
    for at in (1..longest).step_by(step) {
        let cut = play(&plan, &|flight| {
            let (left, right) = flight.split_at(at.min(flight.len()));
            vec![left, right]
        });
        assert_eq!(cut, whole, "cut at {at}");
    }
}
