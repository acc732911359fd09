//! Where a day begins: at an offset from UTC, or in a time zone.

use std::fmt;

#[cfg(feature = "redis")]
use self::named::ZoneName;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Where a day begins.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "redis", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "redis", serde(into = "ZoneName", try_from = "ZoneName"))]
pub(in crate::pool) enum Zone {
    /// So many minutes east of UTC.
    Offset(i32),
    #[cfg(feature = "time-zones")]
    Named(jiff::tz::TimeZone),
    /// A name that no time zone has.
    #[cfg(feature = "time-zones")]
    Unknown(Box<str>),
}

impl Zone {
    /// Returns the time zone of an IANA name.
    #[cfg(feature = "time-zones")]
    pub(in crate::pool) fn named(name: &str) -> Self {
        jiff::tz::TimeZone::get(name).map_or_else(|_| Self::Unknown(name.into()), Self::Named)
    }

    /// Returns the begin and the end of the day that contains a time, in nanoseconds since the Unix
    /// epoch.
    pub(in crate::pool) fn day(&self, time: i64) -> (i64, i64) {
        match self {
            Self::Offset(minutes) => day_at_offset(time, *minutes),
            #[cfg(feature = "time-zones")]
            Self::Named(zone) => day_in(zone, time).unwrap_or_else(|| day_at_offset(time, 0)),
            #[cfg(feature = "time-zones")]
            Self::Unknown(_) => day_at_offset(time, 0),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset(minutes) => write!(f, "UTC{minutes:+} min"),
            #[cfg(feature = "time-zones")]
            Self::Named(zone) => f.write_str(zone.iana_name().unwrap_or("UTC")),
            #[cfg(feature = "time-zones")]
            Self::Unknown(name) => write!(f, "{name:?}"),
        }
    }
}

/// A zone as one process tells another: by its offset or its name.
#[cfg(feature = "redis")]
mod named {
    use super::Zone;

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(untagged)]
    pub(super) enum ZoneName {
        Offset(i32),
        Name(String),
    }

    impl From<Zone> for ZoneName {
        fn from(zone: Zone) -> Self {
            match zone {
                Zone::Offset(minutes) => Self::Offset(minutes),
                #[cfg(feature = "time-zones")]
                Zone::Named(zone) => Self::Name(zone.iana_name().unwrap_or("UTC").to_owned()),
                #[cfg(feature = "time-zones")]
                Zone::Unknown(name) => Self::Name(name.into()),
            }
        }
    }

    impl TryFrom<ZoneName> for Zone {
        type Error = &'static str;

        fn try_from(zone: ZoneName) -> Result<Self, Self::Error> {
            match zone {
                ZoneName::Offset(minutes) => Ok(Self::Offset(minutes)),
                #[cfg(feature = "time-zones")]
                ZoneName::Name(name) => Ok(Self::named(&name)),
                #[cfg(not(feature = "time-zones"))]
                ZoneName::Name(_) => Err("a day in a time zone by its name needs the feature `time-zones`"),
            }
        }
    }
}

fn day_at_offset(time: i64, minutes: i32) -> (i64, i64) {
    let offset = i64::from(minutes) * 60 * SECOND;
    let begin = time.saturating_add(offset).div_euclid(DAY).saturating_mul(DAY).saturating_sub(offset);
    (begin, begin.saturating_add(DAY))
}

/// Returns the begin and the end of a day, which may have 23 or 25 hours.
#[cfg(feature = "time-zones")]
fn day_in(zone: &jiff::tz::TimeZone, time: i64) -> Option<(i64, i64)> {
    let time = jiff::Timestamp::from_nanosecond(time.into()).ok()?.to_zoned(zone.clone());
    let begin = time.start_of_day().ok()?;
    let end = begin.tomorrow().and_then(|next| next.start_of_day()).ok()?;
    let [begin, end] = [begin, end].map(|time| i64::try_from(time.timestamp().as_nanosecond()).ok());
    begin.zip(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn a_day_begins_at_midnight_of_its_offset() {
        let noon = 20_000 * DAY + 12 * HOUR;
        assert_eq!(Zone::Offset(0).day(noon), (20_000 * DAY, 20_001 * DAY));
        assert_eq!(Zone::Offset(-8 * 60).day(noon), (20_000 * DAY + 8 * HOUR, 20_001 * DAY + 8 * HOUR));
        assert_eq!(Zone::Offset(13 * 60).day(noon), (20_001 * DAY - 13 * HOUR, 20_002 * DAY - 13 * HOUR));
        let (begin, end) = Zone::Offset(330).day(i64::MAX);
        assert!(begin < end || end == i64::MAX);
    }

    #[cfg(feature = "time-zones")]
    #[test]
    fn a_day_in_a_zone_has_the_hours_that_it_has_there() {
        // 2026-03-08 in Los Angeles, where 2:00 to 3:00 is left out.
        let spring: i64 = 1_772_956_800 * SECOND;
        let (begin, end) = Zone::named("America/Los_Angeles").day(spring + 5 * HOUR);
        assert_eq!((begin, end - begin), (spring, 23 * HOUR));
        assert!(matches!(Zone::named("Mars/Olympus_Mons"), Zone::Unknown(_)));
    }
}
