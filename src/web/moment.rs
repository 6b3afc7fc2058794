//! A moment, as answers write it.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The last second that has four digits for its year, since 1970.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// A moment in whole seconds since 1970. In JSON it is RFC 3339, UTC: `2027-02-20T09:30:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_1970`; what lies behind the year 9999 is its end.
    pub fn new(since_1970: Duration) -> Self {
        Self(Duration::from_secs(since_1970.min(LAST).as_secs()))
    }

    /// How long after 1970 it is.
    pub fn since_1970(self) -> Duration {
        self.0
    }

    /// Its day: `2027-02-20`.
    pub fn day(self) -> String {
        self.rfc_3339().chars().take_while(|c| *c != 'T').collect()
    }

    /// The moment to the second: `2027-02-20T08:15:00Z`.
    pub fn rfc_3339(self) -> String {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + self.0).to_string()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.rfc_3339()
    }
}

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = humantime::parse_rfc3339(&text).map_err(|_| "this is no moment of RFC 3339")?;
        time.duration_since(UNIX_EPOCH).map(Self::new).map_err(|_| "this moment is before 1970")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_rfc_3339_in_json_both_ways() {
        let moment = Moment::new(Duration::from_millis(1_803_202_200_999));
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, "\"2027-02-21T09:30:00Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
        assert_eq!(moment.day(), "2027-02-21");
        assert!(serde_json::from_str::<Moment>("\"tomorrow\"").is_err());
    }

    #[test]
    fn moment_is_the_end_of_9999_when_it_is_later() {
        assert_eq!(Moment::new(Duration::MAX).day(), "9999-12-31");
    }
}
