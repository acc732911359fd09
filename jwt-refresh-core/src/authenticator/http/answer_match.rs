//! Which answers of a server mean something else than the table in `refusal.rs` says.

use std::fmt;
use std::ops::RangeInclusive;

use http::StatusCode;
use serde_json::Value;

use crate::token::{AnswerParts, AnswerPlace};

/// The answers that a rule of a [`HttpRequest`](crate::HttpRequest) is about: those with a status,
/// with values in them, or with both.
///
/// ```
/// use jwt_refresh::AnswerMatch;
///
/// // 200 with `{"code": 4011}`
/// let expired = AnswerMatch::status(200).with("code", 4011);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerMatch {
    statuses: Option<RangeInclusive<u16>>,
    values: Vec<(AnswerPlace, Value)>,
}

impl AnswerMatch {
    /// Answers of this status.
    pub fn status(status: u16) -> Self {
        Self::statuses(status..=status)
    }

    /// Answers with a status in this range.
    pub fn statuses(statuses: RangeInclusive<u16>) -> Self {
        Self { statuses: Some(statuses), values: Vec::new() }
    }

    /// Answers with this value at a place, whatever their status. A place is written as for
    /// [`TokenFields`](crate::TokenFields). A number and a string of its digits are equal.
    pub fn value(place: impl AsRef<str>, value: impl Into<Value>) -> Self {
        Self { statuses: None, values: Vec::new() }.with(place, value)
    }

    /// Of these answers, those that also have this value at a place.
    pub fn with(mut self, place: impl AsRef<str>, value: impl Into<Value>) -> Self {
        self.values.push((AnswerPlace::parse(place.as_ref()), value.into()));
        self
    }

    pub(super) fn matches(&self, status: StatusCode, answer: AnswerParts<'_>) -> bool {
        let is_there = |(place, value): &(AnswerPlace, Value)| {
            place.find(answer).ok().flatten().is_some_and(|found| as_text(&found) == as_text(value))
        };
        self.statuses.as_ref().is_none_or(|statuses| statuses.contains(&status.as_u16()))
            && self.values.iter().all(is_there)
    }

    pub(super) fn mistake(&self) -> Option<String> {
        self.values.iter().find_map(|(place, _)| place.mistake())
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl fmt::Debug for AnswerMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self.values.iter().map(|(place, _)| place.to_string()).collect();
        f.debug_struct("AnswerMatch").field("statuses", &self.statuses).field("values", &places).finish()
    }
}

/// What an answer means, where the description says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerMeaning {
    Success,
    Dead,
    Later,
    InDoubt,
}
