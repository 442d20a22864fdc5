//! Time as rows write it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Formats a moment as RFC 3339 in UTC with six fraction digits and `Z`, cut, not rounded.
///
/// A moment before 1970 is written as 1970. Method: days to civil date by H. Hinnant's
/// `civil_from_days`.
#[must_use]
pub fn timestamp(moment: SystemTime) -> String {
    format(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn format(since: Duration) -> String {
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        // The seconds are those that `date -u -d … +%s` gives.
        let known = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(format(Duration::from_secs(seconds)), text);
        }
        let fraction = format(Duration::new(1, 999_999_999));
        assert_eq!(fraction, "1970-01-01T00:00:01.999999Z");
        assert!(timestamp(SystemTime::now()).as_str() > "2025");
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(5)), format(Duration::ZERO));
    }
}
