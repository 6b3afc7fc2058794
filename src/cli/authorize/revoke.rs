//! `authorize --revoke`: gives a consent back.
//!
//! What ends besides it is told before, and nobody is asked: scripts use it.

use serde_json::json;

use super::show::Show;
use crate::cli::errand::Errand;
use crate::cli::{Exit, finish, tell};
use crate::web::control::{Extent, ForeseeRevocation, RevocationForeseen, Revoke, RevokedWhere};

/// Gives the consent of `ask` back, and says what ends by it and where it ended.
pub(super) fn run(errand: &Errand, ask: &Revoke, show: Show) -> Result<Exit, Exit> {
    let foresee = ForeseeRevocation { account: ask.account.clone() };
    let revoked = errand.visit(async |visit| {
        let foreseen = visit.ask(&foresee).await?;
        warnings(&foreseen).into_iter().for_each(tell);
        visit.ask(ask).await
    })?;
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

/// What ends besides the consent itself, line by line.
fn warnings(foreseen: &RevocationForeseen) -> Vec<String> {
    let RevocationForeseen { extent, user, sharing, ended, endangered } = foreseen;
    let whose = user.as_deref().unwrap_or("the person who gave it");
    let mut lines = Vec::new();
    match extent {
        Extent::Nothing | Extent::Here => {}
        Extent::Policy => lines.push(format!(
            "note: a provider that takes a consent back may end others of {whose} to the same \
             client with it (RFC 7009 section 2.1), also those that other programs use"
        )),
        Extent::Person => lines.push(format!(
            "warning: Google ends every consent of {whose} to this application with this one, also \
             those that other relays and other clients of the same Google project use"
        )),
    }
    let named = [
        ("without a consent then, because they use this one", sharing),
        ("end with it, so authorize them again", ended),
        ("may end with it; if so, authorize them again", endangered),
    ];
    let named = named.into_iter().filter(|(_, accounts)| !accounts.is_empty());
    lines.extend(named.map(|(what, accounts)| format!("  {what}: {}", accounts.join(", "))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreseen(extent: Extent, user: Option<&str>) -> RevocationForeseen {
        let (user, none) = (user.map(str::to_owned), Vec::new);
        RevocationForeseen { extent, user, sharing: none(), ended: none(), endangered: none() }
    }

    #[test]
    fn every_account_that_loses_its_consent_is_named_before() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let told = warnings(&RevocationForeseen {
            sharing: names(&["shared@gmail.example"]),
            ended: names(&["a@gmail.example", "b@gmail.example"]),
            endangered: names(&["c@gmail.example"]),
            ..foreseen(Extent::Person, Some("alice@gmail.example"))
        });
        assert_eq!(
            told,
            [
                "warning: Google ends every consent of alice@gmail.example to this application \
                 with this one, also those that other relays and other clients of the same Google \
                 project use",
                "  without a consent then, because they use this one: shared@gmail.example",
                "  end with it, so authorize them again: a@gmail.example, b@gmail.example",
                "  may end with it; if so, authorize them again: c@gmail.example",
            ]
        );
    }

    #[test]
    fn warning_says_no_more_than_is_known() {
        let told = |extent, user| warnings(&foreseen(extent, user)).join("\n");
        assert_eq!(told(Extent::Nothing, None), "");
        assert_eq!(told(Extent::Here, Some("alice@contoso.com")), "");
        assert!(
            told(Extent::Policy, None)
                .contains("may end others of the person who gave it to the same")
        );
        assert!(told(Extent::Person, None).contains("every consent of the person who gave it"));
    }
}
