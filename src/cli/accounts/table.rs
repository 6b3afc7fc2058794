//! The table of `accounts`, for people. It has no colours: it reads the same in a pipe.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cli::columns::{self, NONE};
use crate::web::accounts::{AccountRow, DeviceRow, LastError, MailError};
use crate::web::moment::Moment;

/// The headings.
const HEADER: [&str; 8] = [
    "ACCOUNT",
    "PROVIDER",
    "GRANT",
    "TOKEN",
    "ACCESS TOKEN ENDS",
    "GRANT AGE",
    "DIES",
    "CREDENTIAL ENDS",
];

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The rows under their headings, as they are at `now`; below a row what is wrong with it.
pub(super) fn render(rows: &[AccountRow], now: Moment) -> String {
    let mut cells = vec![HEADER.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| cells_of(row, now)));
    let widths = columns::widths(&cells);
    let mut lines = cells.iter().map(|row| columns::line(row, &widths));
    let mut table: Vec<String> = lines.next().into_iter().collect();
    for (row, line) in rows.iter().zip(lines) {
        table.push(line);
        table.extend(row.devices.iter().map(|device| device_line(device, now)));
        table.extend(remarks(row, now));
    }
    table.extend(untried(rows));
    table.join("\n")
}

fn cells_of(row: &AccountRow, now: Moment) -> [String; 8] {
    let day = |moment: Moment| format!("{} ({})", moment.day(), relative(moment, now));
    let or_none = |cell: Option<String>| cell.unwrap_or_else(|| NONE.to_owned());
    [
        row.account.clone(),
        row.provider.clone(),
        row.grant.clone(),
        row.token.clone(),
        or_none(row.access_token_ends_at.map(|moment| relative(moment, now))),
        or_none(row.consented_at.map(|moment| span(between(moment, now)))),
        or_none(row.dies_at.map(|moment| death(row, day(moment)))),
        or_none(row.credential_ends_at.map(day)),
    ]
}

/// When the consent dies, and by what that is put off.
fn death(row: &AccountRow, at: String) -> String {
    if row.dies_of.as_deref() == Some("disuse") { format!("{at} unless used") } else { at }
}

/// What stands under the table: which presets nobody has tried.
fn untried(rows: &[AccountRow]) -> Option<String> {
    let untried = rows.iter().filter(|row| row.untried).map(|row| row.provider.as_str());
    let names: Vec<_> = untried.collect::<BTreeSet<_>>().into_iter().collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("not tried against the live service by the makers of mailbearer: {names}")
    })
}

/// A device, below the row of its account.
fn device_line(device: &DeviceRow, now: Moment) -> String {
    let used = device.last_used_at.map_or_else(
        || "no use since the relay started".to_owned(),
        |moment| format!("last used {}", relative(moment, now)),
    );
    format!("  device {}, {}: {used}", device.device, device.known_by())
}

/// Lines below a row.
fn remarks(row: &AccountRow, now: Moment) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &row.last_error {
        lines.push(format!("  last error: {}{}", error.cause, ids(error)));
        lines.push(format!("  fix: {}", error.fix));
    }
    if let Some(error) = &row.mail_error {
        lines.push(format!("  mail error{}: {}", of_whom(row, error, now), error.reply));
        lines.push(format!("  cause: {}", error.cause));
        lines.push(format!("  fix: {}", error.fix));
    }
    if let Some(lacks) = &row.not_granted {
        lines.push(format!("  not granted: {}", lacks.cause()));
        lines.push(format!("  fix: {}", lacks.fix));
    }
    if let Some(problem) = &row.unsaved {
        lines.push(format!("  the newest refresh token is in memory alone: {problem}"));
    }
    lines
}

/// In which protocol and when an error came; under a wildcard also whose it is.
fn of_whom(row: &AccountRow, error: &MailError, now: Moment) -> String {
    let MailError { account, at, protocol, .. } = error;
    let whose = if *account == row.account { String::new() } else { format!(" of {account}") };
    format!("{whose} by {protocol} {}", relative(*at, now))
}

/// By what the provider's support finds a request.
fn ids(error: &LastError) -> String {
    let named = [("trace", &error.trace_id), ("correlation", &error.correlation_id)];
    let ids: Vec<String> = named
        .into_iter()
        .filter_map(|(name, id)| id.as_ref().map(|id| format!("{name} id {id}")))
        .collect();
    if ids.is_empty() { String::new() } else { format!(" [{}]", ids.join(", ")) }
}

fn between(earlier: Moment, later: Moment) -> Duration {
    later.since_1970().saturating_sub(earlier.since_1970())
}

/// `in 52 min`, `3 days ago`.
fn relative(moment: Moment, now: Moment) -> String {
    if moment > now {
        format!("in {}", span(between(now, moment)))
    } else {
        format!("{} ago", span(between(moment, now)))
    }
}

/// A time in its largest unit, rounded down: `52 min`, `3 days`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..MINUTE => format!("{seconds} s"),
        seconds @ MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ HOUR..DAY => format!("{} h", seconds / HOUR),
        seconds if seconds < 2 * DAY => "1 day".to_owned(),
        seconds => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::accounts::NotGranted;

    /// 2026-11-22T13:30:00Z.
    const NOW: u64 = 1_795_354_200;

    fn now() -> Moment {
        Moment::new(Duration::from_secs(NOW))
    }

    fn row(account: &str, grant: &str, token: &str) -> AccountRow {
        AccountRow {
            account: account.to_owned(),
            provider: "microsoft".to_owned(),
            grant: grant.to_owned(),
            token: token.to_owned(),
            user: None,
            access_token_ends_at: None,
            consented_at: None,
            refreshed_at: None,
            dies_at: None,
            dies_of: None,
            credential_ends_at: None,
            not_granted: None,
            untried: false,
            unsaved: None,
            last_error: None,
            mail_error: None,
            devices: Vec::new(),
        }
    }

    fn device(
        name: &str,
        networks: &[&str],
        username: Option<&str>,
        last_used_at: Option<Moment>,
    ) -> DeviceRow {
        DeviceRow {
            device: name.to_owned(),
            username: username.map(str::to_owned),
            networks: networks.iter().map(|network| (*network).to_owned()).collect(),
            last_used_at,
        }
    }

    #[test]
    fn table_shows_each_account_with_what_is_wrong_below_it() {
        let at = |seconds| Some(Moment::new(Duration::from_secs(seconds)));
        let alice = AccountRow {
            access_token_ends_at: at(NOW + 52 * MINUTE + 3),
            consented_at: at(NOW - 3 * DAY),
            dies_at: at(NOW + 90 * DAY),
            dies_of: Some("disuse".to_owned()),
            not_granted: Some(NotGranted {
                scopes: vec!["POP".to_owned(), "SMTP".to_owned()],
                fix: "run `mailbearer authorize alice`".to_owned(),
            }),
            unsaved: Some("the disk is full".to_owned()),
            devices: vec![device("fax", &["192.0.2.7", "198.51.100.0/24"], None, None), {
                let used = Some(Moment::new(Duration::from_secs(NOW - 5 * MINUTE)));
                device("scanner-2", &["192.0.2.8"], Some("scan2"), used)
            }],
            ..row("alice@contoso.com", "authorization-code", "ready")
        };
        let error = LastError {
            kind: "consent".to_owned(),
            cause: "login.example says that the consent has ended (invalid_grant)".to_owned(),
            fix: "run `mailbearer authorize bob`".to_owned(),
            error: Some("invalid_grant".to_owned()),
            aadsts: None,
            trace_id: Some("t-1".to_owned()),
            correlation_id: Some("c-2".to_owned()),
        };
        let bob = AccountRow {
            consented_at: at(NOW - 400 * DAY),
            last_error: Some(error),
            ..row("bob", "authorization-code", "consent needed")
        };
        let mail_error = |account: &str| {
            let said = |text: &str| text.to_owned();
            Some(MailError {
                account: account.to_owned(),
                at: Moment::new(Duration::from_secs(NOW - 5 * MINUTE)),
                protocol: said("submission"),
                reply: said("554 5.2.2 mailbox full"),
                cause: said("the mailbox is full"),
                fix: said("empty it"),
            })
        };
        let bob = AccountRow { mail_error: mail_error("bob"), ..bob };
        let all = AccountRow {
            mail_error: mail_error("scan@contoso.com"),
            dies_at: at(NOW + 6 * DAY),
            dies_of: Some("age".to_owned()),
            credential_ends_at: at(NOW + 30 * DAY),
            untried: true,
            ..row("*@contoso.com", "client-credentials", "not asked yet")
        };
        let expected = "\
ACCOUNT            PROVIDER   GRANT               TOKEN           ACCESS TOKEN ENDS  GRANT AGE  DIES                                 CREDENTIAL ENDS
alice@contoso.com  microsoft  authorization-code  ready           in 52 min          3 days     2027-02-20 (in 90 days) unless used  —
  device fax, at 192.0.2.7, 198.51.100.0/24: no use since the relay started
  device scanner-2, at 192.0.2.8, or as scan2: last used 5 min ago
  not granted: POP, SMTP
  fix: run `mailbearer authorize alice`
  the newest refresh token is in memory alone: the disk is full
bob                microsoft  authorization-code  consent needed  —                  400 days   —                                    —
  last error: login.example says that the consent has ended (invalid_grant) [trace id t-1, correlation id c-2]
  fix: run `mailbearer authorize bob`
  mail error by submission 5 min ago: 554 5.2.2 mailbox full
  cause: the mailbox is full
  fix: empty it
*@contoso.com      microsoft  client-credentials  not asked yet   —                  —          2026-11-28 (in 6 days)               2026-12-22 (in 30 days)
  mail error of scan@contoso.com by submission 5 min ago: 554 5.2.2 mailbox full
  cause: the mailbox is full
  fix: empty it
not tried against the live service by the makers of mailbearer: microsoft";
        assert_eq!(render(&[alice, bob, all], now()), expected);
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (HOUR - 1, "59 min"),
            (HOUR, "1 h"),
            (DAY - 1, "23 h"),
            (DAY, "1 day"),
            (2 * DAY, "2 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn moment_is_past_from_its_own_second_on() {
        let moment = |seconds| Moment::new(Duration::from_secs(seconds));
        assert_eq!(relative(moment(NOW), now()), "0 s ago");
        assert_eq!(relative(moment(NOW + 1), now()), "in 1 s");
        assert_eq!(relative(moment(0), now()), "20779 days ago");
    }
}
