//! The server's clock. It runs like the machine's, with a constant shift set by the builder, and a
//! test can move it forward at any time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// 9999-12-31T23:59:59Z, the last time that an HTTP date can express.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

/// A time on the server's clock, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(Duration);

impl Timestamp {
    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Returns the time from `earlier` to this one, or zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time rounded down to whole seconds.
    pub(crate) fn floor(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }

    pub(crate) fn since_epoch(self) -> Duration {
        self.0
    }

    pub(crate) fn system_time(self) -> SystemTime {
        UNIX_EPOCH + self.0.min(END_OF_TIME)
    }

    /// Returns the value for a `Date` header.
    pub(crate) fn http_date(self) -> String {
        httpdate::fmt_http_date(self.system_time())
    }
}

/// A number of seconds in JSON. It is an integer if the seconds are whole and has a fraction
/// otherwise, which RFC 7519 §2 allows for a `NumericDate`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            return serializer.serialize_u64(self.0.as_secs());
        }
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

#[derive(Debug)]
pub(crate) struct Clock {
    shift_seconds: i64,
    advanced_nanos: AtomicU64,
}

impl Clock {
    pub(crate) fn new(shift_seconds: i64) -> Self {
        Self { shift_seconds, advanced_nanos: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shift = Duration::from_secs(self.shift_seconds.unsigned_abs());
        let shifted =
            if self.shift_seconds < 0 { machine.saturating_sub(shift) } else { machine.saturating_add(shift) };
        let advanced = Duration::from_nanos(self.advanced_nanos.load(Ordering::Relaxed));
        Timestamp(shifted.saturating_add(advanced))
    }

    /// Moves the clock forward.
    ///
    /// # Panics
    ///
    /// If `by` is more than 584 years.
    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).expect("an advance of less than 584 years");
        self.advanced_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
