//! Authorization codes (RFC 6749 section 4.1): good once, for the client that has the verifier of
//! PKCE (RFC 7636).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use super::conduct::Allowed;

/// How long a code is good (RFC 6749 section 4.1.2: ten minutes at most).
const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// How many codes are kept, spent ones too; then the oldest is forgotten.
const CODES_MAX: usize = 1024;

/// The codes that were given.
#[derive(Default)]
pub(super) struct Codes(Mutex<VecDeque<Code>>);

struct Code {
    code: String,
    allowed: Allowed,
    /// `code_challenge` of the request, by S256.
    challenge: String,
    redirect_uri: String,
    ends_at: Instant,
    use_: Use,
}

/// What has become of a code.
enum Use {
    /// Nothing yet.
    Fresh,
    /// It was used, and this refresh token given for it.
    Spent(Option<String>),
}

/// Why a code brings nothing.
pub(super) enum Flaw {
    /// It is unknown, too old, or another client's.
    Unknown,
    /// It was used before, and this refresh token given for it.
    Reused(Option<String>),
}

impl Codes {
    /// Keeps `code`, for which `allowed` is given to whom can show what `challenge` was made of.
    pub(super) fn add(
        &self,
        code: String,
        allowed: Allowed,
        challenge: String,
        redirect_uri: String,
    ) {
        let ends_at = Instant::now() + CODE_LIFE;
        self.with(|codes| {
            if codes.len() == CODES_MAX {
                codes.pop_front();
            }
            let use_ = Use::Fresh;
            codes.push_back(Code { code, allowed, challenge, redirect_uri, ends_at, use_ });
        });
    }

    /// Uses `code`, which ends with that whatever else is wrong; `give` makes the refresh token.
    pub(super) fn redeem(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        give: impl FnOnce(&Allowed) -> Option<String>,
    ) -> Result<(Allowed, Option<String>), Flaw> {
        self.with(|codes| {
            let kept = codes.iter_mut().find(|kept| kept.code == code).ok_or(Flaw::Unknown)?;
            if let Use::Spent(given) = &mut kept.use_ {
                return Err(Flaw::Reused(given.take()));
            }
            kept.use_ = Use::Spent(None);
            let is_right = kept.ends_at > Instant::now()
                && kept.redirect_uri == redirect_uri
                && kept.challenge == challenge_of(verifier);
            if !is_right {
                return Err(Flaw::Unknown);
            }
            let given = give(&kept.allowed);
            kept.use_ = Use::Spent(given.clone());
            Ok((kept.allowed.clone(), given))
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<Code>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// S256 of RFC 7636 section 4.2.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
