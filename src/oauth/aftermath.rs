//! The aftermath of a consent that is given back: which others end with it.
//!
//! Source: RFC 7009 section 2.1 ("the revocation of a particular token may cause the revocation of
//! related tokens and the underlying authorization grant"). Google's grant is one for each person and
//! project, so that all of it ends. Nothing is asked of anybody: it is what is known before.

use std::sync::Arc;

use super::desk::{Desk, foreign};
use super::forecast::is_google;
use crate::names::Username;
use crate::provider::{Grant, GrantId};
use crate::store::StoredGrant;

/// What ends with a consent that is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aftermath {
    /// How far it goes.
    pub extent: Extent,
    /// Whose consent it is, if the provider told.
    pub user: Option<Username>,
    /// The accounts whose consents end with it for certain.
    pub ended: Vec<Username>,
    /// The accounts whose consents may end with it.
    pub endangered: Vec<Username>,
}

/// How far a provider goes that is told of one consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// No consent is kept.
    Nothing,
    /// It is forgotten here alone; the provider is not told.
    Here,
    /// At least it; others of the same person to the same client as the provider likes.
    Policy,
    /// Every consent of the person to every client of the same project, wherever it is kept.
    Person,
}

impl Desk {
    /// As [`super::Tokens::aftermath`].
    pub(super) fn aftermath(&self, grant: &Grant, others: &[Arc<Grant>]) -> Aftermath {
        let load = |id: &GrantId| self.ledger.store().load(id);
        let Some(given) = load(&grant.id) else {
            let (ended, endangered) = (Vec::new(), Vec::new());
            return Aftermath { extent: Extent::Nothing, user: None, ended, endangered };
        };
        let extent = extent(grant, &given);
        let mut aftermath = Aftermath {
            extent,
            user: given.user.clone(),
            ended: Vec::new(),
            endangered: Vec::new(),
        };
        for other in others.iter().filter(|other| other.id != grant.id) {
            let GrantId::Account(owner) = &other.id else { continue };
            let fate = load(&other.id).map_or(Fate::Stays, |kept| fate(extent, &given, &kept));
            match fate {
                Fate::Ends => aftermath.ended.push(owner.clone()),
                Fate::MayEnd => aftermath.endangered.push(owner.clone()),
                Fate::Stays => {}
            }
        }
        aftermath
    }
}

fn extent(grant: &Grant, given: &StoredGrant) -> Extent {
    let server = &grant.server;
    let is_told = server.is_discovered || server.revocation_endpoint.is_some();
    if !is_told || foreign(grant, given).is_some() {
        Extent::Here
    } else if is_google(&given.token_endpoint) {
        Extent::Person
    } else {
        Extent::Policy
    }
}

/// What becomes of another consent.
enum Fate {
    Ends,
    MayEnd,
    Stays,
}

/// What becomes of `kept` when `given` is given back.
fn fate(extent: Extent, given: &StoredGrant, kept: &StoredGrant) -> Fate {
    // Of a consent whose person is not known, each may be.
    let is_same_person = match (&given.user, &kept.user) {
        (Some(one), Some(other)) if one.folded() == other.folded() => Some(true),
        (Some(_), Some(_)) => Some(false),
        (None, _) | (_, None) => None,
    };
    let is_same_client = given.client_id == kept.client_id;
    let is_same_server = match extent {
        Extent::Person => is_google(&kept.token_endpoint),
        Extent::Nothing | Extent::Here | Extent::Policy => {
            given.token_endpoint == kept.token_endpoint
        }
    };
    match (extent, is_same_person) {
        (Extent::Nothing | Extent::Here, _) | (_, Some(false)) => Fate::Stays,
        _ if !is_same_server => Fate::Stays,
        (Extent::Person, Some(true)) if is_same_client => Fate::Ends,
        // Whether two clients are of one project cannot be seen by their ids.
        (Extent::Person, _) => Fate::MayEnd,
        (Extent::Policy, _) if is_same_client => Fate::MayEnd,
        (Extent::Policy, _) => Fate::Stays,
    }
}
