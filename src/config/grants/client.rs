//! The client of a grant: its id, and how it shows that it is the one.
//!
//! A client authenticates in one way (RFC 6749 section 2.3). What the account writes decides it;
//! only where it writes nothing do the provider's defaults.

use std::time::Duration;

use crate::oauth::CREDENTIAL_WARNED;
use crate::provider::{AssertionAlgorithm, Client, ClientAuth, ClientKey, GrantKind};

use super::Asking;
use super::keys::{AuthWord, GrantKeys};
use crate::config::client_key;
use crate::config::date::day;
use crate::config::field::Field;
use crate::config::file::Reported;

/// What a client may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Secret,
    Key,
    Assertion,
}

impl AuthWord {
    fn name(self) -> &'static str {
        match self {
            Self::SecretPost => "secret-post",
            Self::SecretBasic => "secret-basic",
            Self::PrivateKeyJwt => "private-key-jwt",
            Self::None => "none",
        }
    }

    fn takes(self, proof: Proof) -> bool {
        match self {
            Self::SecretPost | Self::SecretBasic => proof == Proof::Secret,
            Self::PrivateKeyJwt => proof != Proof::Secret,
            Self::None => false,
        }
    }
}

impl<'t> GrantKeys<'t> {
    /// What a client may show by these keys, each once, with the key that says so; `client_auth` is
    /// none of them.
    fn proofs(&self) -> Result<Vec<(Proof, &'static str, Field<'t>)>, Reported> {
        fn field<'t, T>(key: &super::Key<'t, T>) -> Result<Option<Field<'t>>, Reported> {
            let key = key.as_ref().map_err(|reported| *reported)?;
            Ok(key.as_ref().map(|(field, _)| field.clone()))
        }
        let keys = [
            (Proof::Secret, "client_secret", field(&self.client_secret)?),
            (Proof::Key, "private_key", field(&self.private_key)?),
            (Proof::Key, "certificate", field(&self.certificate)?),
            (Proof::Key, "private_key_id", field(&self.private_key_id)?),
            (Proof::Key, "assertion_algorithm", field(&self.assertion_algorithm)?),
            (Proof::Assertion, "assertion_file", field(&self.assertion_file)?),
        ];
        let mut proofs: Vec<(Proof, &'static str, Field<'t>)> = Vec::new();
        for (proof, name, field) in keys {
            let is_new = proofs.iter().all(|(other, ..)| *other != proof);
            proofs.extend(field.filter(|_| is_new).map(|field| (proof, name, field)));
        }
        Ok(proofs)
    }
}

impl<'t> Asking<'_, 't> {
    /// The client id that a grant has to have.
    pub(super) fn client_id(&self) -> Result<String, Reported> {
        let client_id = self.key(|keys| &keys.client_id)?;
        let help = "write the application (client) ID";
        client_id.map(|(_, id)| id).ok_or_else(|| self.account.lacks("client_id", help))
    }

    /// The client, and where what it shows stands.
    pub(super) fn client(&self) -> Result<(Field<'t>, Client), Reported> {
        let id = self.client_id();
        let shown = self.auth();
        let (id, (at, auth, secret_ends_at)) = (id?, shown?);
        Ok((at, Client { id, auth, secret_ends_at }))
    }

    fn auth(&self) -> Result<(Field<'t>, ClientAuth, Option<Duration>), Reported> {
        let own = self.own.proofs()?;
        let own_word = self.own.client_auth.clone()?;
        if let Some((_, word)) = &own_word {
            for (proof, name, field) in &own {
                if !word.takes(*proof) {
                    return Err(contradiction(field, name, *word));
                }
            }
        }
        refuse_several(&own)?;
        let default_word = self.provider.defaults.client_auth.clone()?;
        let word = match (own_word, own.first()) {
            (Some((_, word)), _) => Some(word),
            // A default says how a secret is sent, but not that there is one.
            (None, Some((proof, ..))) => {
                default_word.map(|(_, word)| word).filter(|word| word.takes(*proof))
            }
            (None, None) => default_word.map(|(_, word)| word),
        };
        let shown = match (own.into_iter().next(), word) {
            (Some(own), _) => Some(own),
            (None, Some(AuthWord::None)) => None,
            (None, word) => self.default_proof(word)?,
        };
        let ends_at = self.secret_ends_at(shown.as_ref().map(|(proof, ..)| *proof))?;
        let Some((proof, _, at)) = shown else {
            let auth = self.without(word)?;
            return Ok((self.account.clone(), auth, None));
        };
        let auth = match proof {
            Proof::Secret => {
                let secret = self.key(|keys| &keys.client_secret)?;
                let (_, secret) = secret.ok_or_else(|| self.lacks_secret())?;
                match word {
                    Some(AuthWord::SecretBasic) => ClientAuth::SecretBasic(secret),
                    _ => ClientAuth::SecretPost(secret),
                }
            }
            Proof::Key => ClientAuth::PrivateKeyJwt(self.client_key()?),
            Proof::Assertion => {
                let file = self.key(|keys| &keys.assertion_file)?;
                let (_, file) = file.ok_or_else(|| self.lacks_secret())?;
                ClientAuth::AssertionFile(file)
            }
        };
        Ok((at, auth, ends_at))
    }

    /// What the provider's table gives to show, of what `word` takes.
    fn default_proof(
        &self,
        word: Option<AuthWord>,
    ) -> Result<Option<(Proof, &'static str, Field<'t>)>, Reported> {
        let mut proofs = self.provider.defaults.proofs()?;
        // Beside its address, the key there is a service account's.
        let is_others = self.provider.defaults.client_email.clone()?.is_some();
        proofs.retain(|(proof, ..)| {
            let fits = word.is_none_or(|word| word.takes(*proof));
            fits && !(is_others && *proof == Proof::Key)
        });
        refuse_several(&proofs)?;
        Ok(proofs.into_iter().next())
    }

    /// A client that shows nothing: a public one, if that may be.
    fn without(&self, word: Option<AuthWord>) -> Result<ClientAuth, Reported> {
        match word {
            Some(AuthWord::SecretPost | AuthWord::SecretBasic) => Err(self.lacks_secret()),
            Some(AuthWord::PrivateKeyJwt) => {
                let help = "write private_key and certificate, each the path of a PEM file, or \
                            assertion_file";
                Err(self.account.lacks("private_key", help))
            }
            None if self.kind == GrantKind::ClientCredentials => Err(self.lacks_secret()),
            // RFC 6749 section 4.4: it must only be used by confidential clients.
            Some(AuthWord::None) if self.kind == GrantKind::ClientCredentials => {
                Err(self.account.problem(
                    "has client_auth = \"none\", but an application has to show that it is the one",
                    "leave client_auth out, and write client_secret, or certificate and \
                     private_key, or assertion_file",
                ))
            }
            Some(AuthWord::None) | None => Ok(ClientAuth::None),
        }
    }

    fn lacks_secret(&self) -> Reported {
        let help = "write client_secret = { env = \"NAME\" }, { file = \"PATH\" } or { command = \
                    [\"PROGRAM\"] }, or certificate and private_key, or assertion_file";
        self.account.lacks("client_secret", help)
    }

    fn client_key(&self) -> Result<ClientKey, Reported> {
        let private_key = self.key(|keys| &keys.private_key)?;
        let certificate = self.key(|keys| &keys.certificate)?;
        let key_id = self.key(|keys| &keys.private_key_id)?.map(|(_, id)| id);
        let algorithm = self.key(|keys| &keys.assertion_algorithm)?;
        let (key_field, private_key) = private_key.ok_or_else(|| {
            let help = "write private_key = \"app.key\", the path of a PEM file: the key that \
                        belongs to the certificate";
            self.account.lacks("private_key", help)
        })?;
        if certificate.is_none() && self.provider.endpoints.are_of_entra() {
            let help = "write certificate = \"app.pem\": Entra knows a key by its certificate";
            return Err(self.account.lacks("certificate", help));
        }
        let (certificate_field, certificate) = certificate.unzip();
        let key = ClientKey {
            certificate,
            private_key,
            key_id,
            algorithm: algorithm.map_or(AssertionAlgorithm::Ps256, |(_, algorithm)| algorithm),
        };
        client_key::check(&key_field, certificate_field.as_ref(), &key)?;
        Ok(key)
    }

    /// When the secret ends, if one is shown and the file says so. A date in the provider's table
    /// is that of the secret there.
    fn secret_ends_at(&self, proof: Option<Proof>) -> Result<Option<Duration>, Reported> {
        let own = self.own.client_secret_expires.clone()?;
        if proof != Some(Proof::Secret) {
            return match own {
                Some((field, _)) => Err(field.problem(
                    "has no use without `client_secret`",
                    "leave it out: a certificate tells its own end",
                )),
                None => Ok(None),
            };
        }
        let has_own_secret = self.own.client_secret.as_ref().is_ok_and(Option::is_some);
        let ends = match own {
            None if !has_own_secret => self.provider.defaults.client_secret_expires.clone()?,
            own => own,
        };
        let Some((field, ends_at)) = ends else { return Ok(None) };
        let (now, day) = (field.file().now(), day(ends_at));
        if ends_at <= now.saturating_add(CREDENTIAL_WARNED) {
            let ends = if ends_at <= now { "is past" } else { "is near" };
            field.warning(
                format!("{ends}: the client secret ends on {day}"),
                "make a new secret at the provider, and write it and its end here",
            );
        }
        Ok(Some(ends_at))
    }
}

fn refuse_several(proofs: &[(Proof, &'static str, Field<'_>)]) -> Result<(), Reported> {
    match proofs {
        [(_, first, _), (_, _, second), ..] => Err(second.problem(
            format!("stands beside `{first}`, and a client shows one thing"),
            "leave one of the two out",
        )),
        _ => Ok(()),
    }
}

fn contradiction(field: &Field<'_>, name: &str, word: AuthWord) -> Reported {
    field.problem(
        format!("has no use with client_auth = \"{}\"", word.name()),
        format!("leave {name} out, or client_auth"),
    )
}
