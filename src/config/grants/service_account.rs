//! `grant = "service-account"`: a Google service account with domain-wide delegation.
//!
//! It may ask in the name of any mailbox of the Workspace. In whose name it does comes from the
//! account that a client signed in as, so from the file: an exact account is one mailbox, a
//! wildcard those of its domain, and no other name gets as far as asking.

use std::path::PathBuf;
use std::sync::Arc;

use crate::provider::{GrantId, ServiceAccount, ServiceAccountKey, Way};

use super::{Asking, Made};
use crate::config::client_key;
use crate::config::field::Field;
use crate::config::file::Reported;

impl<'t> Asking<'_, 't> {
    /// The grant, and where its key stands.
    pub(super) fn service_account(&self) -> Result<(Field<'t>, Made), Reported> {
        let tenant = self.tenant(self.tenant_key());
        let key = self.service_account_key();
        let server = self.server_of(tenant.as_ref().ok().and_then(Option::as_ref));
        tenant?;
        let (at, key) = key?;
        let name = match &key {
            ServiceAccountKey::File(path) => path.display().to_string(),
            ServiceAccountKey::Written { client_email, .. } => client_email.clone(),
        };
        let id = GrantId::ServiceAccount {
            provider: self.provider.provider.name.clone(),
            key: name,
            subject: None,
        };
        let account = ServiceAccount { key };
        client_key::check_service_account(&at, &account)?;
        Ok((at, self.grant(id, Way::ServiceAccount(Arc::new(account)), server?)))
    }

    fn service_account_key(&self) -> Result<(Field<'t>, ServiceAccountKey), Reported> {
        // A key that the account has in one form is not replaced by a default in the other.
        let own = (self.own.key_file.clone()?, self.own.client_email.clone()?);
        match own {
            (Some((field, _)), Some(_)) => return Err(both(&field)),
            (Some(file), None) => return Ok(from_file(file)),
            (None, Some(_)) => return self.written_key(),
            (None, None) => {}
        }
        let defaults = &self.provider.defaults;
        match (defaults.key_file.clone()?, defaults.client_email.clone()?) {
            (Some((field, _)), Some(_)) => Err(both(&field)),
            (Some(file), None) => Ok(from_file(file)),
            (None, Some(_)) => self.written_key(),
            (None, None) => {
                let help = "write key_file = \"service-account.json\", the JSON that Google gave, \
                            or client_email, private_key_id and private_key";
                Err(self.account.lacks("key_file", help))
            }
        }
    }

    fn written_key(&self) -> Result<(Field<'t>, ServiceAccountKey), Reported> {
        let lacks = |key| {
            self.account
                .lacks(key, "write it as it stands in Google's JSON, or name that by key_file")
        };
        let client_email = self.key(|keys| &keys.client_email)?;
        let private_key_id = self.key(|keys| &keys.private_key_id);
        let private_key = self.key(|keys| &keys.private_key);
        let private_key_id = private_key_id?.ok_or_else(|| lacks("private_key_id"));
        let private_key = private_key?.ok_or_else(|| lacks("private_key"));
        let (_, client_email) = client_email.ok_or_else(|| lacks("client_email"))?;
        let ((_, private_key_id), (field, private_key)) = (private_key_id?, private_key?);
        Ok((field, ServiceAccountKey::Written { client_email, private_key_id, private_key }))
    }
}

fn from_file<'t>((field, path): (Field<'t>, PathBuf)) -> (Field<'t>, ServiceAccountKey) {
    (field, ServiceAccountKey::File(path))
}

fn both(field: &Field<'_>) -> Reported {
    field.problem(
        "stands beside `client_email`, and a service account has one key",
        "leave key_file out, or client_email, private_key_id and private_key",
    )
}
