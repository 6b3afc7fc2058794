//! Grants: the ways in which an access token is asked for, one file each.

pub(super) mod client_credentials;
