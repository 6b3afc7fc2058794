//! The key of a Google service account: its JSON file, or its parts.
//!
//! In:  the JSON that Google Cloud's console gives out once, read anew at each use.
//! Out: what an assertion needs, or what is wrong with it. Nothing of it is told.

use serde::Deserialize;

use super::key_problem::{Flaw, KeyFacts, KeyPart, KeyProblem};
use super::pem;
use super::rsa_key::RsaKey;
use crate::provider::{ServiceAccount, ServiceAccountKey};
use crate::secret::{ExposeSecret as _, SecretSource, SecretString};

/// `type` of a service account's key file.
const TYPE: &str = "service_account";

/// Longest client id shown in a hint, in characters. Google's have 21 digits.
const CLIENT_ID_LEN_MAX: usize = 32;

const NEW_KEY: &str = "make a new key of the type JSON in Google Cloud's console";

/// The key of a service account, ready to sign.
#[derive(Debug)]
pub(super) struct AccountKey {
    /// The service account's address.
    pub(super) client_email: String,
    /// The key's name.
    pub(super) private_key_id: String,
    /// The key.
    pub(super) private_key: RsaKey,
    /// The number by which Google Workspace knows the service account, where it is told: digits.
    pub(super) client_id: Option<String>,
    /// Where the file says that assertions go.
    pub(super) token_uri: Option<String>,
}

/// The members of a key file that count.
#[derive(Deserialize)]
struct Members {
    r#type: Option<String>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    private_key: Option<SecretString>,
    client_id: Option<String>,
    token_uri: Option<String>,
}

fn secret<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(value)?.map(SecretString::from))
}

impl AccountKey {
    /// Reads the key of `account`. May block.
    ///
    /// # Errors
    /// When it cannot be read or is unfit.
    pub(super) fn read(account: &ServiceAccount) -> Result<Self, KeyProblem> {
        match &account.key {
            ServiceAccountKey::File(path) => {
                pem::read(KeyPart::KeyFile, &SecretSource::File(path.clone()), Self::parse)
            }
            ServiceAccountKey::Written { client_email, private_key_id, private_key } => Ok(Self {
                client_email: client_email.clone(),
                private_key_id: private_key_id.clone(),
                private_key: pem::read(KeyPart::PrivateKey, private_key, RsaKey::parse)?,
                client_id: None,
                token_uri: None,
            }),
        }
    }

    /// Reads the JSON `text`.
    fn parse(text: &str) -> Result<Self, Flaw> {
        let members: Members = serde_json::from_str(text)
            .map_err(|_| Flaw::halfway("is no JSON of a service account's key", NEW_KEY))?;
        if members.r#type.as_deref() != Some(TYPE) {
            let problem = "is another kind of file: its `type` is not service_account";
            return Err(Flaw::lasting(problem, NEW_KEY));
        }
        let (Some(client_email), Some(private_key_id), Some(private_key)) =
            (members.client_email, members.private_key_id, members.private_key)
        else {
            let problem = "lacks `client_email`, `private_key_id` or `private_key`";
            return Err(Flaw::lasting(problem, NEW_KEY));
        };
        let private_key = RsaKey::parse(private_key.expose_secret()).map_err(|flaw| {
            Flaw::lasting(format!("has a `private_key` that {}", flaw.problem), NEW_KEY)
        })?;
        let is_number = |id: &String| {
            id.len() <= CLIENT_ID_LEN_MAX && id.bytes().all(|byte| byte.is_ascii_digit())
        };
        let client_id = members.client_id.filter(is_number);
        let token_uri = members.token_uri;
        Ok(Self { client_email, private_key_id, private_key, client_id, token_uri })
    }
}

/// Looks into the key of `account` as a request that needs it does. May block.
///
/// # Errors
/// When it is of no use.
pub fn check_service_account(account: &ServiceAccount) -> Result<KeyFacts, KeyProblem> {
    AccountKey::read(account).map(|_| KeyFacts { certificate: None })
}
