//! What the scripts answer, as values.

use std::sync::Arc;

use redis::Value;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::pool::quarantine::QuarantineCause;

/// What holds a token, and is wiped.
pub(super) type Bytes = Arc<Zeroizing<Vec<u8>>>;

/// What came of asking for a lease.
#[derive(Clone)]
pub(super) enum Answer {
    Granted(Grant),
    /// The first account opens in so many µs, which is later than the caller waits.
    Late(f64),
    Nobody(Nobody),
    /// To be asked again when accounts come free, or after so many µs.
    Wait(Option<f64>),
}

/// An account's grant, and from when on it may be used; µs on Redis's clock.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) name: Vec<u8>,
    pub(super) record: Bytes,
    pub(super) now: f64,
    pub(super) from: f64,
    /// Which of the leases that the account's concurrency counts, if it does.
    pub(super) held: Option<i64>,
}

/// Nobody serves.
#[derive(Clone)]
pub(super) struct Nobody {
    /// How many accounts there are (with the tag); `None`: there never was one.
    pub(super) members: Option<u64>,
    pub(super) first: Option<Returning>,
}

/// The first account that returns from quarantine.
#[derive(Clone)]
pub(super) struct Returning {
    pub(super) name: String,
    /// In µs.
    pub(super) wait: f64,
    pub(super) cause: QuarantineCause,
    pub(super) why: String,
}

/// The answers to all callers that a script was asked for, in their order.
pub(super) fn answers(value: Value) -> Option<Vec<Answer>> {
    let Value::Array(fields) = value else { return None };
    match fields.first()? {
        Value::Int(_) => grants(fields),
        _ => fields.into_iter().map(answer).collect(),
    }
}

/// Of the script's first part: the time, and of each caller name, time and grant.
fn grants(fields: Vec<Value>) -> Option<Vec<Answer>> {
    let mut answers: Vec<Answer> = Vec::with_capacity(fields.len() / 3);
    let mut fields = fields.into_iter();
    let now = number(&fields.next()?)?;
    while let Some(name) = fields.next() {
        let (name, from) = (bytes(name)?, number(&fields.next()?)?);
        let record = match fields.next()? {
            Value::BulkString(record) => Arc::new(record.into()),
            Value::Int(caller) => match answers.get(usize::try_from(caller).ok()?.checked_sub(1)?)? {
                Answer::Granted(grant) => Arc::clone(&grant.record),
                _ => return None,
            },
            _ => return None,
        };
        answers.push(Answer::Granted(Grant { name, record, now, from, held: None }));
    }
    Some(answers)
}

/// Of its second part.
fn answer(answer: Value) -> Option<Answer> {
    let Value::Array(fields) = answer else { return None };
    let mut fields = fields.into_iter();
    match fields.next()? {
        Value::BulkString(name) => {
            let record = Arc::new(bytes(fields.next()?)?.into());
            let (now, from) = (number(&fields.next()?)?, number(&fields.next()?)?);
            let held = fields.next().and_then(|held| integer(&held));
            Some(Answer::Granted(Grant { name, record, now, from, held }))
        }
        Value::Int(1) => Some(Answer::Late(number(&fields.next()?)?)),
        Value::Int(2) => {
            let members = u64::try_from(integer(&fields.next()?)?).ok();
            Some(Answer::Nobody(Nobody { members, first: returning(&mut fields) }))
        }
        Value::Int(3) => Some(Answer::Wait(number(&fields.next()?).filter(|wait| *wait >= 0.0))),
        _ => None,
    }
}

fn returning(fields: &mut impl Iterator<Item = Value>) -> Option<Returning> {
    let name = text(fields.next()?)?;
    let wait = number(&fields.next()?)?;
    let cause = QuarantineCause::by_name(&text(fields.next()?)?)?;
    Some(Returning { name, wait, cause, why: text(fields.next()?)? })
}

pub(super) fn strange() -> Error {
    Error::new(ErrorKind::Store, "the pool's Redis answered something else than was asked")
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

pub(super) fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

/// Scripts answer numbers as integers, or, if they have them from Redis, as strings.
#[expect(clippy::cast_precision_loss, reason = "the scripts' numbers are doubles")]
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::BulkString(bytes) => str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}
