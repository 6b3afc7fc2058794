//! Dates of the file: `"2027-11-01"`, as a string or as a date of TOML's own.

use std::time::{Duration, UNIX_EPOCH};

use toml::de::DeValue;

use super::field::Field;
use super::file::Reported;

impl Field<'_> {
    /// The date that this is: its midnight in UTC, since 1970.
    pub(super) fn date(&self) -> Result<Duration, Reported> {
        let no_date = |told: &str| {
            self.problem(format!("is {told}no date"), "write year, month and day: \"2027-11-01\"")
        };
        let own = match self.value() {
            Some(DeValue::Datetime(date)) => date.to_string(),
            Some(DeValue::String(text)) => text.to_string(),
            _ => return Err(no_date("")),
        };
        let is_date = own.len() == "2027-11-01".len() && own.is_ascii();
        let midnight = humantime::parse_rfc3339(&format!("{own}T00:00:00Z")).ok();
        midnight
            .filter(|_| is_date)
            .and_then(|midnight| midnight.duration_since(UNIX_EPOCH).ok())
            .ok_or_else(|| no_date(&format!("{own:?}, which is ")))
    }
}

/// The day, in UTC, of a moment since 1970.
pub(super) fn day(moment: Duration) -> String {
    let Some(moment) = UNIX_EPOCH.checked_add(moment) else { return "a day far away".to_owned() };
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
