//! The arithmetic of expiry: when an access token is renewed in the background, when callers wait
//! for its renewal, and when it has expired. See "When has a token expired?" in DESIGN.md.

use std::time::Duration;

use crate::clock::{DATE_RESOLUTION, Moment, Timestamp, date_ahead};
use crate::jwt::TokenDates;
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

    /// Returns whether the token is used until it is rejected.
    pub(crate) fn is_endless(&self) -> bool {
        *self == Self::ENDLESS
    }

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
/// `exp` and `expires_at`, converted from the server's clock, and `expires_in` and the time from
/// `iat` to `exp`, counted from before the request was sent. Without a hint it is the policy's
/// default lifetime. Returns `None` if there is none of these.
pub(crate) fn expiry(policy: &Policy, tokens: &Tokens, times: RequestTimes) -> Option<Timestamp> {
    let dates = ServerDates::of(tokens);
    let clock = dates.clock(times);
    let lives = tokens.expires_in.is_some_and(|lifetime| !lifetime.is_zero());
    // If it is not certain what the server's clock shows, `exp` cannot contradict an `expires_in`
    // by which the token lives.
    let is_plausible = |time: &Timestamp| clock.is_certain() || !lives || *time > times.answered.wall;

    let local = dates.ends().map(|time| clock.to_local(time, times)).filter(is_plausible);
    let lifetimes = [tokens.expires_in, dates.lifetime()].into_iter().flatten();
    let fallback = || policy.default_lifetime.map(|lifetime| times.sent.wall + lifetime);
    local.chain(lifetimes.map(|lifetime| times.sent.wall + lifetime)).min().or_else(fallback)
}

/// Returns by how many nanoseconds the server's clock is ahead of the local one, if the answer
/// shows it: by its `Date`, or by an `exp` beside an `expires_in`.
pub(crate) fn server_ahead(tokens: &Tokens, times: RequestTimes) -> Option<i64> {
    let dates = ServerDates::of(tokens);
    let local_now = times.sent.wall.as_nanos().midpoint(times.answered.wall.as_nanos());
    Some(match dates.clock(times) {
        ServerClock::Date { date, .. } => date_ahead(date, Timestamp::from_nanos(local_now)),
        ServerClock::IssuedAt(_) | ServerClock::Unknown => {
            (dates.exp? - tokens.expires_in?).as_nanos().saturating_sub(local_now)
        }
    })
}

/// Returns when captured tokens expire. `exp` and `expires_at` are read on the local clock, because
/// there was no request whose times could show how the server's clock differs from it. `expires_in`
/// counts from `now`.
pub(crate) fn expiry_of_captured(policy: &Policy, tokens: &Tokens, now: Timestamp) -> Option<Timestamp> {
    let lifetime = tokens.expires_in.map(|lifetime| now + lifetime);
    let earliest = ServerDates::of(tokens).ends().chain(lifetime).min();
    earliest.or_else(|| policy.default_lifetime.map(|lifetime| now + lifetime))
}

/// The times in an answer, which the server's clock has made.
struct ServerDates {
    date: Option<Timestamp>,
    issued_at: Option<Timestamp>,
    exp: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl ServerDates {
    fn of(tokens: &Tokens) -> Self {
        let TokenDates { expires_at: exp, issued_at } = tokens.access.dates();
        Self {
            date: tokens.server_time.map(Into::into),
            // A token that was issued after its expiry has a wrong `iat`.
            issued_at: issued_at.filter(|&issued_at| exp.is_none_or(|exp| issued_at < exp)),
            exp,
            expires_at: tokens.expires_at.map(Into::into),
        }
    }

    /// Returns when the token expires, on the server's clock.
    fn ends(&self) -> impl Iterator<Item = Timestamp> + use<> {
        [self.exp, self.expires_at].into_iter().flatten()
    }

    /// Returns the whole lifetime of the token. It may have less left, if it was handed out before.
    fn lifetime(&self) -> Option<Duration> {
        Some(self.exp?.since(self.issued_at?))
    }

    /// Returns what is known of the server's clock at the time of its answer.
    fn clock(&self, times: RequestTimes) -> ServerClock {
        match (self.date, self.issued_at) {
            (Some(date), _) if agree(date, times) => ServerClock::Date { date, agrees: true },
            (Some(date), _) if self.believes(date, times) => ServerClock::Date { date, agrees: false },
            (_, Some(issued_at)) => ServerClock::IssuedAt(issued_at),
            (_, None) => ServerClock::Unknown,
        }
    }

    /// Returns whether a `Date` that the local clock contradicts is believed. It is not if the
    /// token itself contradicts it too: a server that puts `Date` on its answers may not be the
    /// one that issues the tokens, and its clock may never have been set.
    fn believes(&self, date: Timestamp, times: RequestTimes) -> bool {
        let is_expired = self.ends().min().is_some_and(|end| end <= date);
        let is_from_the_future = self.issued_at.is_some_and(|issued_at| issued_at > date + TOLERANCE);
        let is_alone = self.issued_at.is_some_and(|issued_at| agree(issued_at, times));
        !is_expired && !is_from_the_future && !is_alone
    }
}

/// Returns whether the local clock showed about this time when the request was under way.
fn agree(time: Timestamp, RequestTimes { sent, answered }: RequestTimes) -> bool {
    (sent.wall - TOLERANCE..=answered.wall + TOLERANCE).contains(&time)
}

/// What is known of the server's clock at the time of its answer. `Date` and most `iat` are whole
/// seconds, so the server's time lies within the second that follows.
#[derive(Clone, Copy)]
enum ServerClock {
    /// The clock shows this time. `agrees` says whether the local clock shows about the same.
    Date {
        date: Timestamp,
        agrees: bool,
    },
    IssuedAt(Timestamp),
    Unknown,
}

/// By how much two clocks may differ that both are about right.
const TOLERANCE: Duration = Duration::from_secs(300);

impl ServerClock {
    /// Returns whether there is no doubt about the server's time.
    fn is_certain(self) -> bool {
        matches!(self, Self::Date { agrees: true, .. })
    }

    /// Converts `time` from the server's clock to the local one. Returns it unchanged if the two
    /// clocks may agree, and otherwise as early as it can be.
    fn to_local(self, time: Timestamp, times: RequestTimes) -> Timestamp {
        let (Self::Date { date: server_now, .. } | Self::IssuedAt(server_now)) = self else { return time };
        let latest = server_now + DATE_RESOLUTION;
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
    fn a_wrong_date_is_not_believed_beside_a_sane_iat_or_expires_in() {
        let seconds =
            |year: u64| SystemTime::UNIX_EPOCH + secs(31_556_952.0 * f64::from(u32::try_from(year - 1970).unwrap()));
        let (iat, exp) = (NOW, NOW + 60);
        for year in [1970, 1980, 2026, 2036, 2106, 9999] {
            for (what, tokens) in [
                ("iat", jwt(&format!(r#"{{"iat":{iat},"exp":{exp}}}"#))),
                ("expires_in", jwt(&format!(r#"{{"exp":{exp}}}"#)).expires_in(secs(60.0))),
                ("both", jwt(&format!(r#"{{"iat":{iat},"exp":{exp}}}"#)).expires_in(secs(60.0))),
                ("no date in the token", opaque().expires_in(secs(60.0))),
            ] {
                let lives = expires(&tokens.server_time(seconds(year)));
                assert_eq!(lives, Some(60.0), "Date of {year}, {what}");
            }
        }
    }

    #[test]
    fn a_wrong_date_is_not_believed_either_if_the_local_clock_is_wrong_too() {
        for skew in [-86_400, 86_400] {
            let server_now = NOW.checked_add_signed(skew).unwrap();
            for date in [0, 2_082_758_400] {
                let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
                let tokens = jwt(&format!(r#"{{"iat":{server_now},"exp":{}}}"#, server_now + 60)).server_time(date);
                let lives = expires(&tokens).unwrap();
                assert!((58.9..=60.0).contains(&lives), "skew {skew}: lives {lives} s");
                let tokens = jwt(&format!(r#"{{"exp":{}}}"#, server_now + 60)).expires_in(secs(60.0));
                assert_eq!(expires(&tokens.server_time(date)), Some(60.0), "skew {skew}");
            }
        }
    }

    #[test]
    fn a_local_clock_that_is_ahead_makes_no_token_expired_that_lives_by_expires_in() {
        let tokens = jwt(&format!(r#"{{"exp":{}}}"#, NOW - 3540));
        assert_eq!(expires(&tokens.expires_in(secs(60.0))), Some(60.0));
    }

    #[test]
    fn a_token_that_has_expired_by_the_date_and_by_the_local_clock_has_expired() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let claims = format!(r#"{{"iat":{},"exp":{}}}"#, NOW - 7200, NOW - 3600);
        assert_eq!(expires(&jwt(&claims).server_time(date).expires_in(secs(3600.0))), Some(0.0));
    }

    #[test]
    fn a_malformed_date_in_a_token_is_ignored() {
        for claims in [r#"{"exp":-1}"#, r#"{"exp":"soon","iat":{}}"#, r#"{"exp":1e300}"#, r#"{"exp":true}"#] {
            assert_eq!(expires(&jwt(claims)), None, "{claims}");
            assert_eq!(expires(&jwt(claims).expires_in(secs(60.0))), Some(60.0), "{claims}");
        }
        for claims in [r#""iat":9999999999"#, r#""iat":-1"#, r#""iat":"then""#, r#""sub":7"#, r#""aud":{}"#] {
            let tokens = jwt(&format!(r#"{{{claims},"exp":{}}}"#, NOW + 60));
            assert_eq!(expires(&tokens), Some(60.0), "{claims}");
        }
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
