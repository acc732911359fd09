//! When a quota is full again, in any of the ways in which servers say that.

use std::time::{Duration, SystemTime};

use crate::clock::parse_date;

/// A number from here on is a time: in seconds since the Unix epoch, 2001-09-09.
const FIRST_EPOCH_SECOND: f64 = 1e9;
/// A number from here on is a time in milliseconds since the Unix epoch: 1973-03-03. In seconds it
/// would be in the year 5138.
const FIRST_EPOCH_MILLISECOND: f64 = 1e11;
const LONGEST: f64 = 1e9;

/// How long it takes until a quota is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    pub(super) wait: Duration,
    /// Whether the server rounds it to seconds.
    pub(super) is_rounded: bool,
}

/// The present time of a server, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerTime {
    pub(super) now: SystemTime,
    /// Whether it is rounded down to seconds.
    pub(super) is_rounded: bool,
}

/// Returns the wait until a reset. The text is a number of
/// seconds, a time in seconds or milliseconds since the Unix epoch, a duration (`1m30s`, `250ms`),
/// or a date of RFC 3339 or of HTTP. What has passed is no wait. Returns `None` if it is none of
/// these.
pub(super) fn reset(text: &str, server: ServerTime) -> Option<Reset> {
    let text = text.trim();
    let is_rounded = !text.contains('.');
    if let Some(number) = number(text) {
        let since_epoch = server.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (seconds, is_rounded) = match number {
            _ if number >= FIRST_EPOCH_MILLISECOND => (number / 1e3 - since_epoch, server.is_rounded),
            _ if number >= FIRST_EPOCH_SECOND => (number - since_epoch, is_rounded || server.is_rounded),
            _ => (number, is_rounded),
        };
        return Some(Reset { wait: Duration::from_secs_f64(seconds.clamp(0.0, LONGEST)), is_rounded });
    }
    if let Some(wait) = duration(text) {
        return Some(Reset { wait, is_rounded: is_rounded && !text.ends_with("ms") });
    }
    let wait = parse_date(text)?.duration_since(server.now).unwrap_or_default();
    Some(Reset { wait, is_rounded: is_rounded || server.is_rounded })
}

/// Returns a number without an exponent, a sign apart.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    text.parse().ok().filter(|number: &f64| is_number && number.is_finite())
}

/// Returns a duration as Go writes it: `1h2m3.5s`, `6m0s`, `20ms`, and `2d`.
fn duration(text: &str) -> Option<Duration> {
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let unit_at = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (amount, tail) = rest.split_at_checked(unit_at)?;
        let unit_end = tail.find(|char: char| char.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        seconds += number(amount)? * unit_seconds(unit.trim())?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST)))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("d", 86_400.0),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
        ("ms", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
    ];
    UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|&(_, seconds)| seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<(u128, bool)> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        reset(text, ServerTime { now, is_rounded: false }).map(|reset| (reset.wait.as_millis(), reset.is_rounded))
    }

    #[test]
    fn a_reset_is_read_however_servers_write_it() {
        for (text, expected) in [
            ("0", (0, true)),
            (" 30 ", (30_000, true)),
            ("1.5", (1500, false)),
            ("1000000060", (60_000, true)),
            ("1000000060.25", (60_250, false)),
            ("1000000060250", (60_250, false)),
            ("6m0s", (360_000, true)),
            ("1h2m3.5s", (3_723_500, false)),
            ("20ms", (20, false)),
            ("2d", (172_800_000, true)),
            ("2001-09-09T01:47:40Z", (60_000, true)),
            ("2001-09-09T01:46:40.5Z", (500, false)),
            ("Sun, 09 Sep 2001 01:47:40 GMT", (60_000, true)),
            ("-5", (0, true)),
            ("999999000", (999_999_000_000, true)),
            ("2001-09-09T00:00:00Z", (0, true)),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_reset_is_not_read_and_no_number_is_too_large() {
        for text in ["", "soon", "1m3", "m", "1x", "NaN", "inf", "1e3", "--1", "6m 0x"] {
            assert_eq!(millis(text), None, "{text}");
        }
        for text in ["9".repeat(400), format!("{}h", "9".repeat(300)), "99999999999999999999".to_owned()] {
            assert!(millis(&text).is_none_or(|(wait, _)| wait <= 1_000_000_000_000), "{text}");
        }
    }
}
