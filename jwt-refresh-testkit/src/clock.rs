//! The server's clock: the machine's, shifted for good by the builder and moved forward by the test whenever it likes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// 9999-12-31T23:59:59Z: the last moment that an HTTP date can name.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_799);

/// A moment on the server's clock, as the time since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(Duration);

impl Timestamp {
    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Nothing if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Cut to whole seconds.
    pub(crate) fn floor(self) -> Self {
        Self(Duration::from_secs(self.0.as_secs()))
    }

    pub(crate) fn since_epoch(self) -> Duration {
        self.0
    }

    /// As the value of a `Date` header.
    pub(crate) fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + self.0.min(END_OF_TIME))
    }
}

/// A number of seconds in JSON: an integer if whole, else a fraction (RFC 7519 §2 lets a `NumericDate` have one).
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

    /// # Panics
    ///
    /// If `by` is more than 584 years.
    pub(crate) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).expect("an advance of less than 584 years");
        self.advanced_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}
