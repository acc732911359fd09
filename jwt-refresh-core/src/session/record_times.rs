//! How the times in an entry, which the clock of the process that wrote it showed, are read on this
//! process's clock. The clocks of two machines may differ by more than a token lives.

use crate::clock::Timestamp;

/// The times of an access token as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// When it was written, on the writer's clock, in nanoseconds since the epoch.
    pub(super) issued: i64,
    /// When it expires, on the same clock. `None` if it lives until it is rejected.
    pub(super) expires: Option<i64>,
    /// By how many nanoseconds the server's clock was ahead of the writer's, if that was known.
    pub(super) server_ahead: Option<i64>,
}

/// The times of an access token on this process's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) begins: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) server_ahead: Option<i64>,
}

/// Two clocks that differ by less are taken to agree: `Date` has whole seconds, and requests take
/// their time. A correction by what may be the error of the measurement would cost a token that
/// lives for a second half of its life.
const TOLERANCE: i64 = 3_000_000_000;

/// Converts the times of a token. `exp` is what the token itself says, on the server's clock;
/// `server_ahead` is by how much that is ahead of this process's, if that is known.
///
/// If it is not certain when the token expires, this is the earliest that it may be: a token that
/// is renewed too early costs a request, and one that is served too long a failed call.
pub(super) fn on_this_clock(
    written: Written,
    exp: Option<Timestamp>,
    now: Timestamp,
    server_ahead: Option<i64>,
) -> Times {
    let behind = writer_behind(written.server_ahead, server_ahead);
    let begins = Timestamp::from_nanos(written.issued.saturating_add(behind));
    let known_ahead = server_ahead.or_else(|| written.server_ahead.map(|ahead| ahead.saturating_sub(behind)));
    let Some(expires) = written.expires else { return Times { begins, expires: None, server_ahead: known_ahead } };
    let expires = Timestamp::from_nanos(expires.saturating_add(behind));
    if begins.as_nanos().saturating_sub(now.as_nanos()) > TOLERANCE {
        // The writer's clock is ahead by an unknown time, so the age of the token is unknown.
        return Times { begins: now, expires: Some(now), server_ahead: known_ahead };
    }
    let ahead = beyond_tolerance(server_ahead.unwrap_or(0));
    let exp = exp.map(|exp| Timestamp::from_nanos(exp.as_nanos().saturating_sub(ahead)));
    let expires = exp.map_or(expires, |exp| expires.min(exp));
    Times { begins, expires: Some(expires), server_ahead: known_ahead }
}

/// Returns by how many nanoseconds the writer's clock is behind this process's. If the server's
/// clock was compared with the writer's only, this process's may agree with either, so the answer
/// is the one by which the token expires earlier.
fn writer_behind(writer: Option<i64>, own: Option<i64>) -> i64 {
    let behind = match (writer, own) {
        (Some(writer), Some(own)) => writer.saturating_sub(own),
        (Some(writer), None) => writer.min(0),
        (None, _) => 0,
    };
    beyond_tolerance(behind)
}

/// Returns a difference of two clocks, or 0 if they are taken to agree.
fn beyond_tolerance(difference: i64) -> i64 {
    if difference.saturating_abs() <= TOLERANCE { 0 } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_800_000_000 * SECOND;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(NOW + seconds * SECOND)
    }

    /// A token of 300 s that was issued at the time 0, by a process whose clock was so far ahead.
    fn written(ahead: i64, server_ahead: Option<i64>) -> Written {
        Written {
            issued: NOW + ahead * SECOND,
            expires: Some(NOW + (ahead + 300) * SECOND),
            server_ahead: server_ahead.map(|seconds| seconds * SECOND),
        }
    }

    #[test]
    fn a_writer_whose_clock_is_wrong_makes_no_token_live_longer() {
        for ahead in [-600, -60, 60, 600, 86_400] {
            for read_at in [0, 1, 100, 299, 300, 1000] {
                for known in [None, Some(0)] {
                    let times = on_this_clock(written(ahead, Some(-ahead)), None, at(read_at), known);
                    let last = at(read_at.max(300));
                    assert!(times.expires <= Some(last), "{ahead} s ahead, read after {read_at} s: {times:?}");
                }
                let exp = on_this_clock(written(ahead, None), Some(at(300)), at(read_at), None);
                assert!(exp.expires <= Some(at(read_at.max(300))), "{ahead} s ahead, read after {read_at} s: {exp:?}");
            }
        }
    }

    #[test]
    fn if_nothing_is_known_of_the_clocks_a_token_from_the_future_has_expired() {
        let times = on_this_clock(written(600, None), None, at(100), None);
        assert_eq!(times.expires, Some(at(100)));
    }

    #[test]
    fn clocks_that_were_both_compared_with_the_servers_lose_nothing_of_a_life() {
        for (writer, reader) in [(600, 0), (0, 600), (-600, 600), (0, -3600)] {
            let read = on_this_clock(written(writer, Some(-writer)), None, at(reader + 10), Some(-reader * SECOND));
            assert_eq!((read.begins, read.expires), (at(reader), Some(at(reader + 300))), "{writer}, {reader}");
        }
    }

    #[test]
    fn clocks_that_agree_but_for_the_resolution_of_date_are_not_corrected() {
        for server_ahead in [-2, -1, 1, 2] {
            let times = on_this_clock(written(0, Some(server_ahead)), None, at(10), None);
            assert_eq!((times.begins, times.expires), (at(0), Some(at(300))));
            let exp = on_this_clock(written(0, None), Some(at(300)), at(10), Some(server_ahead * SECOND));
            assert_eq!((exp.begins, exp.expires), (at(0), Some(at(300))));
        }
    }

    #[test]
    fn a_server_whose_clock_is_ahead_prolongs_no_token() {
        let times = on_this_clock(written(0, Some(600)), None, at(10), None);
        assert_eq!(times.expires, Some(at(300)));
    }

    #[test]
    fn no_time_overflows() {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            for ahead in [None, Some(i64::MIN), Some(i64::MAX)] {
                let written = Written { issued: time, expires: Some(time), server_ahead: ahead };
                on_this_clock(written, Some(Timestamp::NEVER), at(0), ahead);
            }
        }
    }
}
