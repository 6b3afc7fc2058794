//! Consents against endpoints that a test plays.
