//! Access tokens: RS256 JWTs (RFC 7519), signed at the token endpoint and verified by the mail
//! servers, as Entra and its mail servers do it.

use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::provider::Protocol;

/// Whom the tokens are for: claim `aud`.
pub const AUDIENCE: &str = "https://mail.sandbox.example";

/// The scope that asks for every role, in the form that Entra wants from applications.
pub const DEFAULT_SCOPE: &str = "https://mail.sandbox.example/.default";

/// The name of the one signing key: header `kid`.
pub(super) const KEY_ID: &str = "sandbox";

/// Signs tokens and verifies them.
pub(super) struct Issuer {
    /// Claim `iss`.
    issuer: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    public_key_pem: String,
    /// The same as a JWK (RFC 7517).
    public_key: serde_json::Value,
}

/// Why a token opens no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFlaw {
    /// It is no JWT of this issuer: its shape, its signature or its `iss` is wrong.
    #[error("it is no token of this issuer")]
    Foreign,
    /// It was issued for something else.
    #[error("its audience is not this mail service")]
    Audience,
    /// `exp` is not in the future.
    #[error("it has expired")]
    Expired,
    /// It lacks the role that the protocol wants.
    #[error("its scope does not cover this protocol")]
    Scope,
}

/// Why there is no key or token: neither happens unless a library is broken.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerError {
    #[error("the stand-in's signing key cannot be made ({0})")]
    Key(#[from] rcgen::Error),
    #[error("the stand-in cannot sign ({0})")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The client, as version 2 tokens of Entra call it.
    azp: String,
    /// The same, as version 1 tokens call it.
    appid: String,
    roles: Vec<String>,
    /// The roles again, as RFC 9068 section 2.2.3 wants them.
    scope: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
}

/// What an `id_token` says (OpenID Connect Core section 2).
#[derive(Debug, Serialize)]
struct Identity<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    preferred_username: &'a str,
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// Makes a key. Takes some tenths of a second of processor time.
    pub(super) fn new(issuer: String) -> Result<Self, IssuerError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let public_key_pem = key.public_key_pem();
        let signing = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes())?;
        let mut public_key = Jwk::from_encoding_key(&signing, Algorithm::RS256)?;
        public_key.common.key_id = Some(KEY_ID.to_owned());
        Ok(Self {
            issuer,
            public_key: serde_json::to_value(public_key).unwrap_or_default(),
            signing,
            verifying: DecodingKey::from_rsa_pem(public_key_pem.as_bytes())?,
            public_key_pem,
        })
    }

    /// What it calls itself: claim `iss`.
    pub(super) fn name(&self) -> &str {
        &self.issuer
    }

    /// The public key as a JWK (RFC 7517).
    pub(super) fn public_key(&self) -> &serde_json::Value {
        &self.public_key
    }

    /// The public key: PEM, `SubjectPublicKeyInfo`.
    pub(super) fn public_key_pem(&self) -> &str {
        &self.public_key_pem
    }

    /// Issues a token for `protocols` that lives for `life`; `serial` is its `jti`.
    pub(super) fn issue(
        &self,
        client_id: &str,
        subject: &str,
        protocols: &[Protocol],
        life: Duration,
        serial: u64,
    ) -> Result<String, IssuerError> {
        let now = clock::unix_time();
        let roles: Vec<String> = protocols.iter().map(|&it| role(it).to_owned()).collect();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: subject.to_owned(),
            azp: client_id.to_owned(),
            appid: client_id.to_owned(),
            scope: roles.join(" "),
            roles,
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: (now + life).as_secs(),
            jti: format!("sandbox-{serial}"),
        };
        self.sign(&claims)
    }

    /// Issues an `id_token`, by which the client learns that `user` consented.
    pub(super) fn issue_id_token(
        &self,
        client_id: &str,
        user: &str,
        life: Duration,
    ) -> Result<String, IssuerError> {
        let now = clock::unix_time();
        self.sign(&Identity {
            iss: &self.issuer,
            aud: client_id,
            sub: user,
            preferred_username: user,
            iat: now.as_secs(),
            exp: (now + life).as_secs(),
        })
    }

    fn sign(&self, claims: &impl Serialize) -> Result<String, IssuerError> {
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }

    /// Whether `token` opens a mailbox by `protocol` now.
    pub(super) fn verify(&self, token: &str, protocol: Protocol) -> Result<(), TokenFlaw> {
        let mut validation = Validation::new(Algorithm::RS256);
        // Both are judged below: without the 60 s of grace, and each with its own reason.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[&self.issuer]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation)
            .map_err(|_| TokenFlaw::Foreign)?
            .claims;
        if claims.aud != AUDIENCE {
            Err(TokenFlaw::Audience)
        } else if claims.exp <= clock::unix_time().as_secs() {
            Err(TokenFlaw::Expired)
        } else if !claims.roles.iter().any(|it| it == role(protocol)) {
            Err(TokenFlaw::Scope)
        } else {
            Ok(())
        }
    }
}

/// The scope that asks for the one role that `protocol` wants.
pub(super) fn scope(protocol: Protocol) -> String {
    format!("{AUDIENCE}/{}", role(protocol))
}

/// The protocols that a token request's `scope` asks for; `None` if it asks for anything else.
pub(super) fn protocols_of(scopes: &str) -> Option<Vec<Protocol>> {
    let all = Protocol::ALL;
    let mut asked = Vec::new();
    for wanted in scopes.split_ascii_whitespace() {
        let before = asked.len();
        asked.extend(all.into_iter().filter(|&it| wanted == DEFAULT_SCOPE || wanted == scope(it)));
        if asked.len() == before {
            return None;
        }
    }
    asked.sort_unstable();
    asked.dedup();
    (!asked.is_empty()).then_some(asked)
}

/// The same among scopes of OpenID Connect, which ask for no role.
pub(super) fn protocols_among(scopes: &str) -> Option<Vec<Protocol>> {
    let roles = scopes.split_ascii_whitespace().filter(|it| !OPENID_SCOPES.contains(it));
    protocols_of(&roles.collect::<Vec<_>>().join(" "))
}

/// Scopes of OpenID Connect (Core section 5.4, section 11).
const OPENID_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Exchange Online's name for the permission.
fn role(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Submission => "SMTP.SendAsApp",
        Protocol::Imap => "IMAP.AccessAsApp",
        Protocol::Pop3 => "POP.AccessAsApp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn issue(issuer: &Issuer, protocols: &[Protocol], life: Duration) -> String {
        issuer.issue("client", "subject", protocols, life, 1).unwrap()
    }

    #[test]
    fn a_token_opens_what_it_was_issued_for_and_nothing_else() {
        let issuer = Issuer::new("http://127.0.0.1:1".to_owned()).unwrap();
        let imap = issue(&issuer, &[Protocol::Imap], HOUR);
        assert_eq!(issuer.verify(&imap, Protocol::Imap), Ok(()));
        assert_eq!(issuer.verify(&imap, Protocol::Submission), Err(TokenFlaw::Scope));
        let expired = issue(&issuer, &[Protocol::Imap], Duration::ZERO);
        assert_eq!(issuer.verify(&expired, Protocol::Imap), Err(TokenFlaw::Expired));
    }

    #[test]
    fn a_token_with_another_key_issuer_or_claims_is_refused() {
        let issuer = Issuer::new("http://127.0.0.1:1".to_owned()).unwrap();
        let impostor = Issuer::new("http://127.0.0.1:1".to_owned()).unwrap();
        let token = issue(&impostor, &[Protocol::Imap], HOUR);
        assert_eq!(issuer.verify(&token, Protocol::Imap), Err(TokenFlaw::Foreign));
        let namesake = Issuer { issuer: "http://127.0.0.1:2".to_owned(), ..impostor };
        let token = issue(&namesake, &[Protocol::Imap], HOUR);
        let same_key = Issuer { issuer: "http://127.0.0.1:1".to_owned(), ..namesake };
        assert_eq!(same_key.verify(&token, Protocol::Imap), Err(TokenFlaw::Foreign));
        assert_eq!(same_key.verify("x.y.z", Protocol::Imap), Err(TokenFlaw::Foreign));
        let own = issue(&issuer, &[Protocol::Imap], HOUR);
        let wider = issue(&issuer, &[Protocol::Imap, Protocol::Submission], HOUR);
        let (_, signature) = own.rsplit_once('.').unwrap();
        let (signed, _) = wider.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        assert_eq!(issuer.verify(&forged, Protocol::Imap), Err(TokenFlaw::Foreign));
    }

    #[test]
    fn a_scope_is_one_role_or_all_and_nothing_unknown() {
        let all = Some(Protocol::ALL.to_vec());
        assert_eq!(protocols_of(DEFAULT_SCOPE), all);
        assert_eq!(protocols_of(&scope(Protocol::Imap)), Some(vec![Protocol::Imap]));
        let listed = Protocol::ALL.map(scope).join(" ");
        assert_eq!(protocols_of(&listed), all);
        for wrong in ["", " ", "openid", &format!("{DEFAULT_SCOPE} openid")] {
            assert_eq!(protocols_of(wrong), None, "{wrong:?}");
        }
    }
}
