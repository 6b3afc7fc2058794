//! `authorize --revoke`: gives a consent back.

use serde_json::json;

use super::show::Show;
use crate::cli::errand::Errand;
use crate::cli::{Exit, finish, tell};
use crate::web::control::{Revoke, RevokedWhere};

/// Gives the consent of `ask` back, and says where it ended.
pub(super) fn run(errand: &Errand, ask: &Revoke, show: Show) -> Result<Exit, Exit> {
    let revoked = errand.carry_out(ask)?;
    if let Some(problem) = revoked.unsaved {
        tell(format_args!("warning: the consent may come back after a restart: {problem}"));
    }
    let account = ask.account.to_lowercase();
    Ok(match show {
        Show::Objects => finish(json!({"revoked": account, "where": revoked.revoked})),
        Show::Text => finish(match revoked.revoked {
            RevokedWhere::AtProvider => format!("{account}: the consent was given back"),
            RevokedWhere::HereAlone => format!(
                "{account}: the consent is forgotten here; the provider has no endpoint to give \
                 it back, so end it on the provider's page of connected applications"
            ),
            RevokedWhere::NothingKept => format!("{account}: no consent was kept"),
        }),
    })
}
