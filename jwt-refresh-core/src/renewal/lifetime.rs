//! The arithmetic of expiry: when an access token is renewed in the background, when callers wait
//! for its renewal, and when it has expired. See "When has a token expired?" in DESIGN.md.

use std::time::Duration;

use crate::clock::{Moment, Timestamp};
use crate::jwt::{Claims, Jwt};
use crate::policy::Policy;
use crate::policy::{AHEAD_JITTER, AHEAD_SHARE, LEEWAY_SHARE};
use crate::token::Tokens;

/// The three points in the life of an access token, in the order in which they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// The refresh-ahead window begins: the token is served, and renewed in the background.
    pub(crate) ahead: Moment,
    /// The leeway begins: callers wait for the renewal.
    pub(crate) due: Moment,
    /// The token has expired and is not used any more.
    pub(crate) expires: Moment,
}

impl Lifetime {
    /// The lifetime of a token that a server has rejected.
    pub(crate) const EXPIRED: Self = Self { ahead: Moment::LONG_AGO, due: Moment::LONG_AGO, expires: Moment::LONG_AGO };

    /// The lifetime of a token that is used until it is rejected.
    const ENDLESS: Self = Self { ahead: Moment::NEVER, due: Moment::NEVER, expires: Moment::NEVER };

    /// Returns the lifetime of a token that lives from `start` until the wall clock shows
    /// `expires`, or until it is rejected if there is no `expires`. `jitter` is a random number
    /// from 0 to 1, which lengthens the refresh-ahead window.
    pub(crate) fn new(policy: &Policy, start: Moment, expires: Option<Timestamp>, jitter: f64) -> Self {
        let Some(expires) = expires.filter(|&expires| expires != Timestamp::NEVER) else { return Self::ENDLESS };
        let total = expires.since(start.wall);
        let expires = start.at_wall(expires);
        let leeway = policy.leeway.min(total.mul_f64(LEEWAY_SHARE));
        let share = (policy.refresh_ahead.max(0.0) * (1.0 + AHEAD_JITTER * jitter)).min(AHEAD_SHARE);
        let window = total.mul_f64(share).max(leeway);
        Self { ahead: expires - window, due: expires - leeway, expires }
    }

    /// Returns the lifetime of a token that dies earlier than its hints say.
    pub(crate) fn shortened(self, by: Duration) -> Self {
        let Self { ahead, due, expires } = self;
        if self == Self::ENDLESS {
            return self;
        }
        Self { ahead: ahead - by, due: due - by, expires: expires - by }
    }
}

/// When a request for tokens was sent and answered, on the local clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTimes {
    pub(crate) sent: Moment,
    pub(crate) answered: Moment,
}

/// Returns when the access token expires on the local clock. That is the earliest of the hints:
/// `exp` and `expires_at`, converted from the server's clock, and `expires_in`, counted from before
/// the request was sent. Without a hint it is the policy's default lifetime. Returns `None` if
/// there is none of these.
pub(crate) fn expiry(policy: &Policy, tokens: &Tokens, times: RequestTimes) -> Option<Timestamp> {
    let jwt = tokens.access.jwt();
    let claims = jwt.as_ref().map(Jwt::claims);
    let server = ServerClock::of(tokens, claims.and_then(Claims::issued_at).map(Into::into));

    let exp = claims.and_then(Claims::expires_at);
    let on_server_clock = [exp, tokens.expires_at].into_iter().flatten();
    let local = on_server_clock.map(|time| server.to_local(time.into(), times));
    let lifetime = tokens.expires_in.map(|lifetime| times.sent.wall + lifetime);
    let fallback = || policy.default_lifetime.map(|lifetime| times.sent.wall + lifetime);
    local.chain(lifetime).min().or_else(fallback)
}

/// Returns when captured tokens expire. `exp` and `expires_at` are read on the local clock, because
/// there was no request whose times could show how the server's clock differs from it. `expires_in`
/// counts from `now`.
pub(crate) fn expiry_of_captured(policy: &Policy, tokens: &Tokens, now: Timestamp) -> Option<Timestamp> {
    let exp = tokens.access.jwt().and_then(|jwt| jwt.claims().expires_at());
    let times = [exp, tokens.expires_at].into_iter().flatten().map(Timestamp::from);
    let lifetime = tokens.expires_in.map(|lifetime| now + lifetime);
    times.chain(lifetime).min().or_else(|| policy.default_lifetime.map(|lifetime| now + lifetime))
}

/// What is known of the server's clock at the time of its answer. `Date` and most `iat` are whole
/// seconds, so the server's time lies within the second that follows.
enum ServerClock {
    Date(Timestamp),
    IssuedAt(Timestamp),
    Unknown,
}

/// The resolution of `Date` and of most `iat`.
const RESOLUTION: Duration = Duration::from_secs(1);

impl ServerClock {
    fn of(tokens: &Tokens, issued_at: Option<Timestamp>) -> Self {
        match (tokens.server_time, issued_at) {
            (Some(date), _) => Self::Date(date.into()),
            (None, Some(issued_at)) => Self::IssuedAt(issued_at),
            (None, None) => Self::Unknown,
        }
    }

    /// Converts `time` from the server's clock to the local one. Returns it unchanged if the two
    /// clocks may agree, and otherwise as early as it can be.
    fn to_local(&self, time: Timestamp, times: RequestTimes) -> Timestamp {
        let (Self::Date(server_now) | Self::IssuedAt(server_now)) = *self else { return time };
        let latest = server_now + RESOLUTION;
        if server_now > times.answered.wall {
            return time - latest.since(times.sent.wall);
        }
        if latest >= times.sent.wall {
            return time;
        }
        // The server's clock is behind the local one, or the server handed out an old token again,
        // whose `iat` does not show the server's clock. An `exp` that is in the future as it stands
        // indicates an old token.
        let is_old_token = matches!(self, Self::IssuedAt(_)) && time > times.answered.wall;
        if is_old_token { time } else { time + times.sent.wall.since(latest) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_secs(NOW) + secs(seconds)
    }

    fn moment(seconds: f64) -> Moment {
        Moment { wall: at(seconds), boot: Timestamp::from(SystemTime::UNIX_EPOCH) + secs(seconds) }
    }

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn times() -> RequestTimes {
        RequestTimes { sent: moment(0.0), answered: moment(0.2) }
    }

    fn opaque() -> Tokens {
        Tokens::new("opaque").unwrap()
    }

    fn jwt(claims: &str) -> Tokens {
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        Tokens::new(format!("{}.{}.c2ln", encode(r#"{"alg":"HS256"}"#), encode(claims))).unwrap()
    }

    fn expires(tokens: &Tokens) -> Option<f64> {
        let expiry = expiry(&Policy::default(), tokens, times())?;
        Some(expiry.since(at(0.0)).as_secs_f64())
    }

    #[test]
    fn a_lifetime_counts_from_before_the_request_was_sent() {
        assert_eq!(expires(&opaque().expires_in(secs(60.0))), Some(60.0));
    }

    #[test]
    fn the_earliest_hint_wins() {
        let tokens = jwt(&format!(r#"{{"exp":{}}}"#, NOW + 50));
        assert_eq!(expires(&tokens.clone().expires_in(secs(60.0))), Some(50.0));
        assert_eq!(expires(&tokens.expires_in(secs(40.0))), Some(40.0));
    }

    #[test]
    fn exp_is_read_on_the_servers_clock_whether_that_is_ahead_or_behind() {
        for skew in [-3600, 3600] {
            let server_now = NOW.checked_add_signed(skew).unwrap();
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(server_now);
            let tokens = jwt(&format!(r#"{{"exp":{}}}"#, server_now + 60)).server_time(date);
            let lives = expires(&tokens).unwrap();
            assert!((59.0..=60.0).contains(&lives), "skew {skew}: lives {lives} s");
        }
    }

    #[test]
    fn without_a_date_header_iat_shows_the_servers_clock() {
        for skew in [-3600, 3600] {
            let iat = NOW.checked_add_signed(skew).unwrap();
            let lives = expires(&jwt(&format!(r#"{{"iat":{iat},"exp":{}}}"#, iat + 60))).unwrap();
            assert!((59.0..=60.0).contains(&lives), "skew {skew}: lives {lives} s");
        }
    }

    #[test]
    fn an_old_token_that_is_handed_out_again_expires_no_later() {
        let tokens = jwt(&format!(r#"{{"iat":{},"exp":{}}}"#, NOW - 1800, NOW + 1800));
        assert_eq!(expires(&tokens), Some(1800.0));
    }

    #[test]
    fn clocks_that_agree_to_the_second_are_treated_as_equal() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        assert_eq!(expires(&jwt(&format!(r#"{{"exp":{}}}"#, NOW + 2)).server_time(date)), Some(2.0));
    }

    #[test]
    fn without_any_hint_the_policys_default_lifetime_counts() {
        assert_eq!(expires(&opaque()), None);
        let policy = Policy::default().default_lifetime(secs(3500.0));
        assert_eq!(expiry(&policy, &opaque(), times()), Some(at(3500.0)));
    }

    #[test]
    fn a_token_of_any_length_is_fresh_for_most_of_its_life() {
        for life in [0.5, 2.0, 5.0, 60.0, 3600.0, 1e7] {
            for jitter in [0.0, 1.0] {
                let Lifetime { ahead, due, expires } =
                    Lifetime::new(&Policy::default(), moment(0.0), Some(at(life)), jitter);
                assert!(ahead.wall >= at(life * 0.87) && ahead.wall <= due.wall && due.wall < expires.wall, "{life} s");
                assert!(due.wall + secs(30.0) >= at(life), "{life} s");
                assert_eq!(expires, moment(life), "{life} s");
            }
        }
    }

    #[test]
    fn refresh_ahead_fractions_out_of_range_are_clamped() {
        for ahead in [f64::NAN, -1.0, f64::INFINITY, 7.0] {
            let policy = Policy::default().refresh_ahead(ahead);
            let lifetime = Lifetime::new(&policy, moment(0.0), Some(at(100.0)), 1.0);
            assert!(lifetime.ahead.wall >= at(50.0) && lifetime.ahead.wall <= lifetime.due.wall, "{ahead}");
        }
    }
}
