//! How often an account may call the API: a token bucket, as in most servers. The bucket holds as
//! many requests as the limit allows in a period, is full at first, and fills evenly. So a request
//! may come a little early or late, while the rate is kept over any longer time.

use std::time::Duration;

use crate::clock::Timestamp;

/// The limit: how many requests are allowed in each period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) per: Duration,
    /// How long the bucket takes to fill by one request.
    cost: Duration,
}

impl RateLimit {
    /// # Panics
    ///
    /// If `requests` or `per` is zero.
    pub(crate) fn new(requests: u32, per: Duration) -> Self {
        assert!(requests > 0 && !per.is_zero(), "a rate of {requests} requests in {per:?} lets nothing through");
        Self { per, cost: per / requests }
    }
}

/// What is left of an account's rate. The default is a full bucket.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// Takes one request from the bucket. If the bucket is empty, returns how long it takes until
    /// there is one.
    pub(crate) fn take(&mut self, limit: RateLimit, now: Timestamp) -> Result<(), Duration> {
        let fills_in = self.full_at.since(now) + limit.cost;
        match fills_in.checked_sub(limit.per) {
            None | Some(Duration::ZERO) => {
                self.full_at = now.after(fills_in);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    pub(crate) fn empty(&mut self, limit: RateLimit, now: Timestamp) {
        self.full_at = now.after(limit.per);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_full_bucket_can_be_emptied_at_once_and_fills_evenly() {
        let limit = RateLimit::new(4, SECOND);
        let (mut bucket, begun) = (Bucket::default(), Timestamp::default().after(SECOND));
        let mut takes = |after: u64, times: u32| {
            let now = begun.after(Duration::from_millis(after));
            (0..times).filter(|_| bucket.take(limit, now).is_ok()).count()
        };
        assert_eq!([takes(0, 9), takes(249, 9), takes(250, 9), takes(800, 9)], [4, 0, 1, 2]);
        assert_eq!(takes(60_000, 9), 4, "it overflows");
        assert_eq!(bucket.take(limit, begun.after(60 * SECOND)), Err(SECOND / 4));
    }
}
