//! Dates as servers write them, without a calendar library.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

use super::timestamp::Timestamp;

/// The resolution of `Date`, and of most times in tokens. The time lies within the second that
/// follows.
pub(crate) const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// Returns a time that is written as a date of RFC 3339 §5.6 (`2026-11-22T18:30:00Z`,
/// `2026-11-22 18:30:00.5+01:00`) or of HTTP (RFC 9110 §5.6.7). Returns `None` if `text` is
/// neither, has no offset from UTC, or is before 1970.
pub(crate) fn parse_date(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    rfc3339(text).or_else(|| httpdate::parse_http_date(text).ok())
}

/// Returns by how many nanoseconds a clock that wrote this `Date` is ahead of one that shows
/// `local`.
pub(crate) fn date_ahead(date: Timestamp, local: Timestamp) -> i64 {
    (date + DATE_RESOLUTION / 2).as_nanos().saturating_sub(local.as_nanos())
}

/// Returns what the server's clock showed when it answered (RFC 9110 §6.6.1).
pub(crate) fn date_header(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, offset) = rest.split_at(rest.find(['Z', 'z', '+', '-'])?);
    let days = days_since_epoch(&numbers(date, '-', 3)?)?;
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(whole, ':', 3)?[..] else { return None };
    let is_time = hour <= 23 && minute <= 59 && second <= 60;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds(offset)?;
    let since = Duration::from_secs(u64::try_from(seconds).ok().filter(|_| is_time)?) + nanoseconds(fraction)?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Returns the numbers in `text`, which are separated by `separator`, if there are `count`.
fn numbers(text: &str, separator: char, count: usize) -> Option<Vec<i64>> {
    let numbers: Option<Vec<i64>> = text.split(separator).map(number).collect();
    numbers.filter(|numbers| numbers.len() == count)
}

/// Returns a number of at most four digits, without a sign.
fn number(digits: &str) -> Option<i64> {
    let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_epoch(date: &[i64]) -> Option<i64> {
    let &[year, month, day] = date else { return None };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month).ok()?.checked_sub(1)?;
    if !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let years = year - 1;
    let days_before_year = 365 * years + years / 4 - years / 100 + years / 400;
    // That of 1970.
    Some(days_before_year - 719_162 + lengths[..before].iter().sum::<i64>() + day - 1)
}

/// Returns the offset from UTC: `Z`, `+01:00`, `-0530` or `+01`.
fn offset_seconds(offset: &str) -> Option<i64> {
    if offset.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let digits = offset.strip_prefix(['+', '-'])?;
    let digits = digits.replace(':', "");
    let (hours, minutes) = (number(digits.get(..2)?)?, digits.get(2..).filter(|rest| !rest.is_empty()));
    let minutes = minutes.map_or(Some(0), |minutes| number(minutes).filter(|_| minutes.len() == 2))?;
    Some(sign * (hours * 3600 + minutes * 60)).filter(|_| hours <= 23 && minutes <= 59)
}

/// Returns the nanoseconds that a fraction of a second says. Further digits do not count.
fn nanoseconds(fraction: &str) -> Option<Duration> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    digits.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Option<u128> {
        let time = parse_date(text)?;
        Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis())
    }

    #[test]
    fn a_date_is_read_however_servers_write_it() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2001-09-09T01:46:40Z", 1_000_000_000_000),
            ("2001-09-09t01:46:40.5z", 1_000_000_000_500),
            ("2001-09-09 03:46:40.123456789+02:00", 1_000_000_000_123),
            ("2001-09-08T20:16:40-0530", 1_000_000_000_000),
            ("2001-09-09T02:46:40+01", 1_000_000_000_000),
            ("2024-02-29T00:00:00+00:00", 1_709_164_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            (" Sun, 09 Sep 2001 01:46:40 GMT ", 1_000_000_000_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_or_has_no_offset_is_not_read() {
        for text in [
            "",
            "soon",
            "2001-09-09",
            "2001-09-09T01:46:40",
            "2001-02-29T00:00:00Z",
            "2001-13-01T00:00:00Z",
            "2001-00-01T00:00:00Z",
            "2001-09-09T24:00:00Z",
            "2001-09-09T01:60:00Z",
            "2001-09-09T+1:46:40Z",
            "2001-09-09T01:46:40.x5Z",
            "2001-09-09T01:46:40+1",
            "2001-09-09T01:46:40+01:00:00",
            "1969-12-31T23:59:59Z",
            "2001-09-0öT01:46:40Z",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in ".*", date in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,12}[Zz+-]?[0-9:]{0,6}") {
            let _ = (parse_date(&text), parse_date(&date));
        }
    }
}
