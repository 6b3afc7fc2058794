//! What is asked before a consent is given back.

use serde::{Deserialize, Serialize};

use super::Ask;
use crate::names::Username;
use crate::oauth::{self, Aftermath};
use crate::web::operator::{Operator, OperatorError};

/// What would end if a consent were given back. Nothing does by this.
#[derive(Debug, Serialize, Deserialize)]
pub struct ForeseeRevocation {
    /// Whose consent.
    pub account: String,
}

/// What would end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationForeseen {
    /// How far it goes.
    pub extent: Extent,
    /// Whose consent it is, if the provider told.
    pub user: Option<String>,
    /// Accounts that use this consent and have none of their own.
    pub sharing: Vec<String>,
    /// Accounts whose own consents end with it.
    pub ended: Vec<String>,
    /// Accounts whose own consents may end with it.
    pub endangered: Vec<String>,
}

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// There is no consent.
    Nothing,
    /// It is forgotten here alone.
    Here,
    /// It ends at the provider, and others as the provider likes.
    Policy,
    /// Every consent of the person to the same application ends.
    Person,
}

impl Ask for ForeseeRevocation {
    const PATH: &'static str = "/revoke/foresee";
    type Answer = RevocationForeseen;

    async fn carry_out(self, operator: Operator) -> Result<Self::Answer, OperatorError> {
        let (aftermath, sharing) =
            operator.foresee_revocation(&Username::parse(&self.account)?).await?;
        let Aftermath { extent, user, ended, endangered } = aftermath;
        let names = |names: Vec<Username>| names.iter().map(ToString::to_string).collect();
        Ok(RevocationForeseen {
            extent: match extent {
                oauth::Extent::Nothing => Extent::Nothing,
                oauth::Extent::Here => Extent::Here,
                oauth::Extent::Policy => Extent::Policy,
                oauth::Extent::Person => Extent::Person,
            },
            user: user.map(|user| user.to_string()),
            sharing,
            ended: names(ended),
            endangered: names(endangered),
        })
    }
}
