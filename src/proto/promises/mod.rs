//! What all three protocols promise, as tests that each of them runs with examples of its own.
//!
//! In:  a [`Server`], the machine towards clients, or a [`Client`], the one towards providers.
//! Out: one test for each promise, by [`server_promises`] and [`client_promises`].

mod client;
pub(crate) mod limits;
pub(crate) mod pieces;
pub(crate) mod provider;
pub(crate) mod server;
pub(crate) mod starttls;

pub(crate) use client::{Client, Provider};
pub(crate) use server::{LongLine, Replies, Server};

/// Makes a test of each of a file's promises for one protocol.
macro_rules! promises {
    ($file:ident for $protocol:ty: $($promise:ident)+) => {
        mod $file {
            $(
                #[test]
                fn $promise() {
                    $crate::proto::promises::$file::$promise::<$protocol>();
                }
            )+
        }
    };
}

/// Makes a test of each promise towards clients.
macro_rules! server_promises {
    ($server:ty) => {
        mod to_clients {
            $crate::proto::promises::promises! { limits for $server:
                a_line_is_taken_up_to_its_limit_and_refused_beyond
                a_line_without_end_closes
                a_line_of_64_kib_is_answered_before_it_ends
                a_browser_is_sent_away_at_its_first_line_however_long_that_is
                the_two_hundredth_command_closes_whatever_it_is
                the_fifth_failure_closes_whatever_the_failures_were
                a_flood_of_commands_is_answered_in_portions
                a_star_cancels_at_every_prompt
                a_farewell_is_one_line_with_its_reason
            }
            $crate::proto::promises::promises! { starttls for $server:
                sign_in_is_refused_before_tls_and_asks_for_nothing
                sign_in_is_served_under_tls_and_in_clear_where_tls_is_not_required
                starttls_is_refused_where_it_is_not_offered_or_has_arguments
                bytes_in_clear_behind_starttls_end_the_session_and_are_never_read
                what_was_begun_in_clear_is_forgotten_under_tls
                failures_from_before_tls_are_counted_under_it
                commands_from_before_tls_are_counted_under_it
                a_client_that_begins_tls_unasked_is_closed_on_without_a_word
                a_tls_handshake_is_no_response
            }
            $crate::proto::promises::promises! { pieces for $server:
                a_client_hears_the_same_at_every_split
                a_client_makes_no_claim_in_clear_where_tls_is_required
                a_session_ends_after_the_fifth_failure_whatever_it_hears
            }
        }
    };
}

/// Makes a test of each promise towards providers.
macro_rules! client_promises {
    ($client:ty) => {
        mod to_providers {
            $crate::proto::promises::promises! { provider for $client:
                a_provider_hears_the_same_at_every_split
                a_provider_is_shown_nothing_before_tls_where_tls_is_due
                bytes_in_clear_behind_starttls_are_a_fault
                a_token_of_16_kib_is_sent_whole_in_a_line_of_its_own
                the_token_is_not_printed_while_it_is_held
                a_sign_in_accepted_before_the_token_was_sent_is_a_fault
                a_sign_in_is_accepted_by_either_mechanism
                an_error_challenge_is_acknowledged_once_and_the_refusal_awaited
                a_yes_behind_an_error_challenge_is_a_fault
                a_refusal_is_kept_printable_and_at_most_400_bytes_long
                a_provider_that_never_ends_is_given_up
            }
        }
    };
}

pub(crate) use {client_promises, promises, server_promises};
