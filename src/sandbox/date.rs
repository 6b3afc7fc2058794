//! Calendar dates, in UTC, for IMAP's INTERNALDATE and for the validity of certificates.
//!
//! In:  seconds since 1970. Out: the proleptic Gregorian date and time, no leap seconds.

use std::time::Duration;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: u64 = 86_400;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i32,
    /// 1 to 12.
    pub(super) month: u8,
    /// 1 to 31.
    pub(super) day: u8,
}

impl Date {
    /// The day on which `unix_time` lies.
    pub(super) fn at(unix_time: Duration) -> Self {
        let mut days = unix_time.as_secs() / SECONDS_PER_DAY;
        let mut year = 1970;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Self { year, month, day: u8::try_from(days + 1).unwrap_or(1) }
    }
}

/// Writes `unix_time` as IMAP's date-time: `" 7-Feb-1994 21:52:25 +0000"` without the quotes (RFC
/// 3501 section 9).
pub(super) fn imap_date_time(unix_time: Duration) -> String {
    let Date { year, month, day } = Date::at(unix_time);
    let month = MONTHS.get(usize::from(month) - 1).unwrap_or(&"Jan");
    let seconds = unix_time.as_secs() % SECONDS_PER_DAY;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{day:>2}-{month}-{year} {hour:02}:{minute:02}:{second:02} +0000")
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_year(year: i32) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: i32, month: u8) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_right_at_the_ends_of_months_and_leap_years() {
        for (seconds, written) in [
            (0, " 1-Jan-1970 00:00:00 +0000"),
            (86_399, " 1-Jan-1970 23:59:59 +0000"),
            (951_782_400, "29-Feb-2000 00:00:00 +0000"),
            (951_868_800, " 1-Mar-2000 00:00:00 +0000"),
            (1_709_251_199, "29-Feb-2024 23:59:59 +0000"),
            (1_767_225_599, "31-Dec-2025 23:59:59 +0000"),
            (1_767_225_600, " 1-Jan-2026 00:00:00 +0000"),
            (4_107_542_400, " 1-Mar-2100 00:00:00 +0000"),
        ] {
            assert_eq!(imap_date_time(Duration::from_secs(seconds)), written);
        }
    }
}
