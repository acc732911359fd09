//! The families of headers in which servers say their limits:
//!
//! - `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10: lists of
//!   policies with parameters; and `RateLimit: limit=…, remaining=…, reset=…` of version 07;
//! - `RateLimit-Limit`, `-Remaining` and `-Reset` of the versions before, and all headers that are
//!   named like them, whatever stands before and between: `X-RateLimit-Remaining`,
//!   `X-Rate-Limit-Reset`, `x-ratelimit-remaining-tokens`, `anthropic-ratelimit-requests-limit`,
//!   `X-RateLimit-Limit-Minute`, `X-RateLimit-Reset-After`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

use super::reset::{Reset, ServerTime, number, reset};
use super::structured::{ListMember, members};
use crate::pool::limit::{Advertised, Unit};

/// The most headers of an answer that are read.
const MOST_HEADERS: usize = 64;
/// By how much the server's `Date` may be behind the clock here, for a moment on the server's clock
/// to be one of the clock here: it is rounded down, and the answer took its time.
const SAME_TIME: Duration = Duration::from_secs(2);

/// Returns what the headers of an answer say of limits. `now` is the time on the wall clock.
pub(in crate::pool) fn advertised(headers: &HeaderMap, now: SystemTime) -> Vec<Advertised> {
    let server = server_time(headers, now);
    let mut said = policies(headers, server);
    let mut families: BTreeMap<(String, String), Family<'_>> = BTreeMap::new();
    for (name, value) in headers.iter().take(MOST_HEADERS) {
        let Some((family, qualifier, field)) = parsed_name(name.as_str()) else { continue };
        let Ok(value) = value.to_str() else { continue };
        families.entry((family, qualifier)).or_default().set(field, value);
    }
    for ((family, qualifier), fields) in families {
        said.extend(fields.advertised(&family, &qualifier, headers, server));
    }
    said
}

/// Returns the present time of the server: on the clock here, if that agrees with its `Date`.
fn server_time(headers: &HeaderMap, now: SystemTime) -> ServerTime {
    let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    match date.filter(|date| now.duration_since(*date).map_or(true, |behind| behind > SAME_TIME)) {
        Some(date) => ServerTime { now: date, is_rounded: true },
        None => ServerTime { now, is_rounded: false },
    }
}

/// Returns all lines of a header as one list.
fn list(headers: &HeaderMap, name: &str) -> String {
    let lines: Vec<_> = headers.get_all(name).iter().take(MOST_HEADERS).filter_map(|line| line.to_str().ok()).collect();
    lines.join(",")
}

/// Reads `RateLimit` with `RateLimit-Policy`.
fn policies(headers: &HeaderMap, server: ServerTime) -> Vec<Advertised> {
    let (limits, policies) = (list(headers, "ratelimit"), list(headers, "ratelimit-policy"));
    let policies: Vec<_> = members(&policies).collect();
    let limits: Vec<_> = members(&limits).collect();
    let in_dictionary = |key: &str| limits.iter().find(|member| member.item.eq_ignore_ascii_case(key))?.value;
    if let Some(remaining) = in_dictionary("remaining") {
        let quota = in_dictionary("limit").and_then(amount);
        let policy = policies.iter().find(|policy| amount(policy.item) == quota);
        let reset = in_dictionary("reset").and_then(|text| reset(text, server));
        return vec![said("ratelimit", Unit::Requests, quota, amount(remaining), reset, policy.and_then(window))];
    }
    let mut all: Vec<Advertised> = Vec::new();
    for limit in &limits {
        let Some(remaining) = limit.parameter("r").and_then(amount) else { continue };
        let policy = policies.iter().find(|policy| policy.item == limit.item);
        let Some(unit) = quota_unit(policy.and_then(|policy| policy.parameter("qu"))) else { continue };
        let quota = policy.and_then(|policy| policy.parameter("q")).and_then(amount);
        let reset = limit.parameter("t").and_then(|text| reset(text, server));
        let said = said(limit.item, unit, quota, Some(remaining), reset, policy.and_then(window));
        match all.iter_mut().find(|other| other.name == said.name) {
            // Of two partitions, the one of which less remains.
            Some(other) if other.remaining > said.remaining => *other = said,
            Some(_) => {}
            None => all.push(said),
        }
    }
    all
}

fn said(
    name: &str,
    unit: Unit,
    quota: Option<u64>,
    remaining: Option<u64>,
    reset: Option<Reset>,
    window: Option<Duration>,
) -> Advertised {
    Advertised {
        name: name.chars().take(64).collect::<String>().into(),
        unit,
        quota,
        remaining,
        reset: reset.map(|reset| reset.wait),
        is_rounded: reset.is_some_and(|reset| reset.is_rounded),
        window,
    }
}

fn window(policy: &ListMember<'_>) -> Option<Duration> {
    let seconds = policy.parameter("w").or_else(|| policy.parameter("window")).and_then(amount)?;
    Some(Duration::from_secs(seconds.min(1 << 32)))
}

/// Returns what a quota counts, or `None` if neither calls nor what callers can state.
fn quota_unit(unit: Option<&str>) -> Option<Unit> {
    match unit {
        None | Some("requests" | "request") => Some(Unit::Requests),
        Some("content-bytes" | "concurrent-requests") => None,
        Some(_) => Some(Unit::Cost),
    }
}

/// Returns a number of calls or of cost: a whole number that is not negative, of a text that may
/// go on (`100;w=60`, `598.0`).
fn amount(text: &str) -> Option<u64> {
    let number = number(text.split([',', ';', ' ']).find(|part| !part.is_empty())?)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and it is positive"
    )]
    (number >= 0.0).then_some(number as u64)
}

/// A field of a family of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderField {
    Limit,
    Remaining,
    Used,
    Reset,
    Name,
}

const FIELDS: [(&str, HeaderField); 7] = [
    ("limit", HeaderField::Limit),
    ("remaining", HeaderField::Remaining),
    ("used", HeaderField::Used),
    ("reset", HeaderField::Reset),
    ("after", HeaderField::Reset),
    ("resource", HeaderField::Name),
    ("bucket", HeaderField::Name),
];

/// Returns the family of a header, what it says more closely, and its field: `x`, `tokens` and
/// `Remaining` of `x-ratelimit-remaining-tokens`. Returns `None` if it is no header of a limit.
fn parsed_name(name: &str) -> Option<(String, String, HeaderField)> {
    let (family, rest) = name.split_once("ratelimit").or_else(|| name.split_once("rate-limit"))?;
    let words = || rest.split('-').filter(|word| !word.is_empty());
    let of = |word: &str| FIELDS.iter().find(|(name, _)| *name == word).map(|&(_, field)| field);
    let field = words().find_map(of)?;
    let qualifier: Vec<_> = words().filter(|word| of(word).is_none()).collect();
    Some((family.to_owned(), qualifier.join("-"), field))
}

/// The headers of one limit.
#[derive(Debug, Default)]
struct Family<'a> {
    limit: Option<&'a str>,
    remaining: Option<&'a str>,
    used: Option<&'a str>,
    reset: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Family<'a> {
    fn set(&mut self, field: HeaderField, value: &'a str) {
        let place = match field {
            HeaderField::Limit => &mut self.limit,
            HeaderField::Remaining => &mut self.remaining,
            HeaderField::Used => &mut self.used,
            HeaderField::Reset => &mut self.reset,
            HeaderField::Name => &mut self.name,
        };
        // `Reset-After` comes after `Reset` or before it; the shorter says it relative to now.
        if place.is_none_or(|other| field == HeaderField::Reset && value.len() < other.len()) {
            *place = Some(value);
        }
    }

    fn advertised(&self, family: &str, qualifier: &str, headers: &HeaderMap, server: ServerTime) -> Option<Advertised> {
        let unit = qualifier_unit(qualifier)?;
        let quota = self.limit.and_then(amount);
        let is_unlimited = self.limit.and_then(number).is_some_and(|limit| limit < 0.0);
        let remaining = self.remaining.and_then(|text| {
            let negative = number(text).filter(|remaining| *remaining < 0.0).map(|_| 0);
            amount(text).or(negative)
        });
        let unused = || Some(quota?.saturating_sub(self.used.and_then(amount)?));
        let remaining = remaining.or_else(unused).filter(|_| !is_unlimited)?;
        let reset = self.reset.and_then(|text| reset(text, server));
        let policies = [self.limit.unwrap_or_default().to_owned(), list(headers, "ratelimit-policy")];
        let of_policy = policies.iter().find_map(|policies| {
            members(policies).filter(|policy| amount(policy.item) == quota).find_map(|policy| window(&policy))
        });
        let window = qualifier_window(qualifier).or(of_policy);
        let name = format!("{family}{qualifier} {}", self.name.unwrap_or_default());
        Some(said(&name, unit, quota, Some(remaining), reset, window))
    }
}

/// Returns what a limit counts, by a word in its headers' names, or `None` if neither calls nor
/// what callers can state.
fn qualifier_unit(qualifier: &str) -> Option<Unit> {
    const COSTS: [&str; 6] = ["token", "cost", "credit", "point", "unit", "complexity"];
    match qualifier {
        _ if qualifier.contains("bytes") || qualifier.contains("concurren") => None,
        _ if COSTS.iter().any(|cost| qualifier.contains(cost)) => Some(Unit::Cost),
        _ => Some(Unit::Requests),
    }
}

fn qualifier_window(qualifier: &str) -> Option<Duration> {
    const WINDOWS: [(&str, u64); 5] =
        [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400), ("month", 30 * 86_400)];
    WINDOWS.iter().find(|(word, _)| qualifier.contains(word)).map(|&(_, seconds)| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    /// What was read: unit, quota, what remains, seconds to the reset, and to the next window.
    type Read = (Unit, Option<u64>, Option<u64>, Option<f64>, Option<u64>);

    fn read(lines: &[(&'static str, &str)]) -> Vec<Read> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_lowercase(name.to_lowercase().as_bytes()).unwrap(), value.parse().unwrap());
        }
        let short = |said: Advertised| {
            let seconds = said.reset.map(|reset| reset.as_secs_f64());
            (said.unit, said.quota, said.remaining, seconds, said.window.map(|window| window.as_secs()))
        };
        advertised(&headers, now()).into_iter().map(short).collect()
    }

    const REQUESTS: Unit = Unit::Requests;

    #[test]
    fn the_current_draft_is_read() {
        let lines = [
            ("RateLimit-Policy", r#""minute";q=100;w=60, "day";q=5000;w=86400"#),
            ("RateLimit-Policy", r#""tokens";q=40000;w=60;qu="tokens", "bytes";q=1;w=1;qu="content-bytes""#),
            ("RateLimit", r#""minute";r=50;t=30, "tokens";r=12;t=7;pk=:dsdf:"#),
            ("RateLimit", r#""minute";r=40;t=29, "bytes";r=0;t=9, "other";r=3"#),
        ];
        let expected = [
            (REQUESTS, Some(100), Some(40), Some(29.0), Some(60)),
            (Unit::Cost, Some(40_000), Some(12), Some(7.0), Some(60)),
            (REQUESTS, None, Some(3), None, None),
        ];
        assert_eq!(read(&lines), expected);
    }

    #[test]
    fn the_drafts_before_are_read() {
        let lines = [("RateLimit", "limit=100, remaining=50, reset=5"), ("RateLimit-Policy", "10;w=1, 100;w=60")];
        assert_eq!(read(&lines), [(REQUESTS, Some(100), Some(50), Some(5.0), Some(60))]);
        let lines = [
            ("RateLimit-Limit", "100, 10;w=1, 100;w=60;comment=\"sliding\""),
            ("RateLimit-Remaining", "9"),
            ("RateLimit-Reset", "50"),
        ];
        assert_eq!(read(&lines), [(REQUESTS, Some(100), Some(9), Some(50.0), Some(60))]);
    }

    #[test]
    fn dialects_are_read() {
        let github = [
            ("X-RateLimit-Limit", "5000"),
            ("X-RateLimit-Remaining", "4987"),
            ("X-RateLimit-Reset", "1700000350"),
            ("X-RateLimit-Used", "13"),
            ("X-RateLimit-Resource", "core"),
        ];
        assert_eq!(read(&github), [(REQUESTS, Some(5000), Some(4987), Some(350.0), None)]);
        let openai = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let expected = [
            (REQUESTS, Some(60), Some(59), Some(1.0), None),
            (Unit::Cost, Some(150_000), Some(149_984), Some(360.0), None),
        ];
        assert_eq!(read(&openai), expected);
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:25Z"),
            ("anthropic-ratelimit-input-tokens-limit", "30000"),
            ("anthropic-ratelimit-input-tokens-remaining", "29000"),
            ("anthropic-ratelimit-input-tokens-reset", "2023-11-14T22:13:50Z"),
        ];
        let expected = [
            (Unit::Cost, Some(30_000), Some(29_000), Some(30.0), None),
            (REQUESTS, Some(50), Some(49), Some(5.0), None),
        ];
        assert_eq!(read(&anthropic), expected);
        let discord = [
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "1700000001.5"),
            ("X-RateLimit-Reset-After", "1.250"),
        ];
        assert_eq!(read(&discord), [(REQUESTS, None, Some(0), Some(1.25), None)]);
        let kong = [("X-RateLimit-Limit-Minute", "100"), ("X-RateLimit-Remaining-Minute", "3")];
        assert_eq!(read(&kong), [(REQUESTS, Some(100), Some(3), None, Some(60))]);
        let milliseconds = [("X-Rate-Limit-Remaining", "598.0"), ("X-Rate-Limit-Reset", "1700000002500")];
        assert_eq!(read(&milliseconds), [(REQUESTS, None, Some(598), Some(2.5), None)]);
        let used = [("x-ratelimit-used", "7"), ("x-ratelimit-limit", "10")];
        assert_eq!(read(&used), [(REQUESTS, Some(10), Some(3), None, None)]);
    }

    #[test]
    fn a_clock_that_differs_from_the_servers_does_not_count() {
        let lines = |date| [("Date", date), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1700000060")];
        let reset = |date| read(&lines(date))[0].3;
        assert_eq!(reset("Tue, 14 Nov 2023 22:13:19 GMT"), Some(60.0), "that of the same second is rounded");
        assert_eq!(reset("Tue, 14 Nov 2023 22:13:00 GMT"), Some(80.0), "ours is 20 s ahead");
        assert_eq!(reset("Tue, 14 Nov 2023 22:13:40 GMT"), Some(40.0), "ours is 20 s behind");
    }

    #[test]
    fn what_says_nothing_of_a_limit_is_left_out() {
        for lines in [
            &[("X-RateLimit-Limit", "100")][..],
            &[("X-RateLimit-Remaining", "many")],
            &[("X-RateLimit-Limit", "-1"), ("X-RateLimit-Remaining", "-1")],
            &[("RateLimit", "")],
            &[("RateLimit", "\"a\";t=5")],
            &[("X-RateLimit-Remaining-Bytes", "5")],
            &[("Content-Type", "text/plain")],
        ] {
            assert_eq!(read(lines), [], "{lines:?}");
        }
        assert_eq!(read(&[("X-RateLimit-Remaining", "-3")]), [(REQUESTS, None, Some(0), None, None)]);
    }

    proptest! {
        #[test]
        fn no_header_makes_reading_panic(
            lines in prop::collection::vec((
                "(x-)?(rate-?limit)(-(limit|remaining|reset|used|policy|tokens|after|minute)){0,3}",
                prop_oneof!["[ -~]{0,40}", "(\"[a-z]{0,2}\"|[0-9]{1,25})?(;(r|t|q|w|qu)=-?[0-9.]{0,25}){0,4},?.{0,5}"],
            ), 0..12)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) else { continue };
                headers.append(name, value);
            }
            for said in advertised(&headers, now()) {
                prop_assert!(said.name.len() <= 64 * 4);
            }
        }
    }
}
