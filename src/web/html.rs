//! What browsers are shown: pages made on the server, without scripts.

use super::consents::Kept;
use super::operator::OperatorError;

/// The page at the end of a consent.
pub(crate) fn consent_ended(outcome: Result<&Kept, &OperatorError>) -> String {
    match outcome {
        Ok(_) => "consent kept".to_owned(),
        Err(_) => "no consent kept".to_owned(),
    }
}
