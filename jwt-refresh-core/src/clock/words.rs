//! Lengths of time in words, for a person.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Returns a length of time in the largest unit of which there are at least two: `12 min`. Tenths
/// of a second are told below 20 s.
pub(crate) fn in_words(time: Duration) -> String {
    let tenths = time.saturating_add(Duration::from_millis(50)).as_millis() / 100;
    match time.saturating_add(Duration::from_millis(500)).as_secs() {
        _ if tenths < 10 => "less than a second".to_owned(),
        _ if tenths < 200 && !tenths.is_multiple_of(10) => format!("{}.{} s", tenths / 10, tenths % 10),
        seconds if seconds < 2 * MINUTE => format!("{seconds} s"),
        seconds if seconds < 2 * HOUR => format!("{} min", seconds / MINUTE),
        seconds if seconds < 2 * DAY => format!("{} h", seconds / HOUR),
        seconds => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_largest_unit_of_which_there_are_two() {
        for (seconds, words) in [
            (0.2, "less than a second"),
            (0.94, "less than a second"),
            (0.96, "1 s"),
            (9.5, "9.5 s"),
            (10.02, "10 s"),
            (57.6, "58 s"),
            (119.0, "119 s"),
            (120.0, "2 min"),
            (759.0, "12 min"),
            (7199.0, "119 min"),
            (7200.0, "2 h"),
            (172_800.0, "2 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs_f64(seconds)), words);
        }
    }
}
