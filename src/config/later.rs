//! The keys and words of the documented file that this version does not have yet. They are
//! refused as such, so that nobody takes them for mistyped, or believes that they work.

use super::table::Later;

const fn later(name: &'static str, help: &'static str) -> Later {
    Later { name, help }
}

const POSTGRESQL: &str = "leave it out: grants are kept in a file, which `path` names";

/// Keys of `[store]`.
pub(super) const STORE: &[Later] = &[later("url", POSTGRESQL)];
