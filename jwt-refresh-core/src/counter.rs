//! Adds to counters of the feature `metrics`. Without it, does nothing.

/// Adds one to a counter.
#[cfg(feature = "metrics")]
pub(crate) fn count(name: &'static str) {
    metrics::counter!(name).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn count(_: &'static str) {}
