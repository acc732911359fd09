//! The time by which this machine signs what a server checks against its own clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use http::HeaderMap;
use huskarl::core::time::Clock as ProtocolClock;

use super::date::{date_ahead, date_header};
use super::timestamp::Timestamp;

/// The least difference that matters, in nanoseconds: more than the resolution and the way of an
/// answer make of it.
const LEAST: u64 = 2_000_000_000;

/// The time of a server that checks the times in what this machine signs against its own. Until it
/// refuses one, that is the time of this machine: the `Date` of a server that takes them may be of
/// a gateway before it.
#[derive(Debug, Default)]
pub(crate) struct SigningTime {
    /// In nanoseconds.
    ahead: AtomicI64,
}

impl SigningTime {
    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::from(SystemTime::now()).as_nanos();
        Timestamp::from_nanos(now.saturating_add(self.ahead.load(Ordering::Acquire)))
    }

    /// Follows the clock of an answer that has refused a time. Returns whether that shows another
    /// time, by which the request may be made again. If it does not, the time was not the reason,
    /// and that of this machine counts again.
    pub(crate) fn follow(&self, headers: &HeaderMap) -> bool {
        let Some(date) = date_header(headers) else { return false };
        let ahead = date_ahead(date.into(), SystemTime::now().into());
        let differs = ahead.abs_diff(self.ahead.load(Ordering::Acquire)) >= LEAST;
        self.ahead.store(if differs { ahead } else { 0 }, Ordering::Release);
        differs
    }
}

impl ProtocolClock for SigningTime {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.now().as_nanos().into()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::DATE;

    use super::*;

    fn answered(ahead: i64) -> HeaderMap {
        let shift = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        let date = httpdate::fmt_http_date(if ahead < 0 { now - shift } else { now + shift });
        HeaderMap::from_iter([(DATE, HeaderValue::from_str(&date).unwrap())])
    }

    fn ahead(time: &SigningTime) -> i64 {
        (time.now().as_nanos() - Timestamp::from(SystemTime::now()).as_nanos()) / 1_000_000_000
    }

    #[test]
    fn a_server_with_another_time_is_followed_until_that_was_not_the_reason() {
        for other in [400, -400] {
            let time = SigningTime::default();
            assert!(time.follow(&answered(other)));
            assert!(ahead(&time).abs_diff(other) <= 2, "{other}");
            assert!(!time.follow(&answered(other)), "it was refused by its own time");
            assert!(ahead(&time).abs_diff(0) <= 2, "{other}");
        }
    }

    #[test]
    fn a_date_that_agrees_or_is_none_changes_nothing() {
        let time = SigningTime::default();
        let odd = HeaderMap::from_iter([(DATE, HeaderValue::from_static("yesterday"))]);
        for headers in [answered(0), odd, HeaderMap::new()] {
            assert!(!time.follow(&headers));
            assert!(ahead(&time).abs_diff(0) <= 1);
        }
    }
}
