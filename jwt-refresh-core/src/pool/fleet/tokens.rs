//! Access tokens as they stand in Redis, for members to use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::place::FleetPlace;
use super::redis_time::RedisTime;
use crate::clock::{Moment, Timestamp};
use crate::error::{Error, ErrorKind};
use crate::pool::share::SuppliedToken;
use crate::redis::Connection;
use crate::store::StoreError;
use crate::token::{AccessToken, ProofKey};

/// An access token, and when it expires on Redis' clock, in microseconds. No time stands for never.
#[derive(Serialize, Deserialize)]
struct TokenRow {
    token: String,
    expires: Option<u64>,
    /// The key that the token is bound to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dpop_key: Option<String>,
}

/// Returns a token as it is written to Redis.
pub(super) fn write(
    place: &FleetPlace,
    account: &str,
    token: &SuppliedToken,
    time: RedisTime,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let expires = (token.expires != Moment::NEVER).then(|| time.early(token.expires.boot.as_nanos()));
    let dpop_key = token.token.key().map(|key| key.written().to_owned());
    let row = TokenRow { token: token.token.expose().to_owned(), expires, dpop_key };
    let json = Zeroizing::new(serde_json::to_vec(&row).unwrap_or_default());
    drop((Zeroizing::new(row.token), row.dpop_key.map(Zeroizing::new)));
    place.settings.cipher.seal(&binding(account), json)
}

/// Reads the tokens of accounts. One that cannot be read comes with the reason, for people.
pub(super) async fn read(
    place: &FleetPlace,
    link: &Connection,
    accounts: &[String],
    time: RedisTime,
    now: Moment,
) -> Result<BTreeMap<String, Result<SuppliedToken, Error>>, StoreError> {
    let mut tokens = BTreeMap::new();
    for accounts in accounts.chunks(500) {
        let mut command = redis::cmd("HMGET");
        command.arg(&place.keys.tokens).arg(accounts);
        let rows: Vec<Option<Zeroizing<Vec<u8>>>> =
            link.query::<Vec<Option<Vec<u8>>>>(&command).await?.into_iter().map(|row| row.map(Into::into)).collect();
        for (account, row) in accounts.iter().zip(rows) {
            let Some(row) = row else { continue };
            let token = open(place, account, &row, time, now).map_err(|why| {
                let what = format!("the access token of {account:?} in the fleet's Redis {why}");
                Error::new(ErrorKind::Configuration, what)
            });
            tokens.insert(account.clone(), token);
        }
    }
    Ok(tokens)
}

fn open(
    place: &FleetPlace,
    account: &str,
    row: &[u8],
    time: RedisTime,
    now: Moment,
) -> Result<SuppliedToken, &'static str> {
    const STRANGE: &str = "is not what an auth worker writes";
    let colon = row.iter().position(|byte| *byte == b':').ok_or(STRANGE)?;
    let (sequence, sealed) = row.split_at(colon);
    let sequence = str::from_utf8(sequence).ok().and_then(|text| text.parse().ok()).ok_or(STRANGE)?;
    let json = place.settings.cipher.open(&binding(account), sealed.get(1..).unwrap_or_default())?;
    let row: TokenRow = serde_json::from_slice(&json).map_err(|_| STRANGE)?;
    let secret = Zeroizing::new(row.token);
    let token = AccessToken::new(&secret).map_err(|_| STRANGE)?;
    let token = match row.dpop_key.map(Zeroizing::new) {
        Some(key) => token.bound_to(ProofKey::parse(&key).ok_or(STRANGE)?),
        None => token,
    };
    let expires = row.expires.map_or(Moment::NEVER, |redis| {
        let boot = Timestamp::from_nanos(time.boot_early(redis));
        let left = boot.as_nanos().saturating_sub(now.boot.as_nanos());
        Moment { wall: Timestamp::from_nanos(now.wall.as_nanos().saturating_add(left)), boot }
    });
    Ok(SuppliedToken { token, sequence, expires })
}

fn binding(account: &str) -> String {
    format!("jwt-refresh fleet token of {account}")
}

#[cfg(all(test, feature = "oauth"))]
mod tests {
    use super::super::place::Settings;
    use super::*;

    #[test]
    fn the_key_that_a_token_is_bound_to_is_read_with_it() {
        let place = Settings::new("redis://127.0.0.1:1", "pool").place().unwrap();
        let (key, time) = (ProofKey::generate().unwrap(), RedisTime::measure(None, 1_000_000, 0, 0));
        for token in [AccessToken::new("access").unwrap().bound_to(key), AccessToken::new("access").unwrap()] {
            let supplied = SuppliedToken { token, sequence: 3, expires: Moment::NEVER };
            let sealed = write(&place, "ada", &supplied, time).unwrap();
            let now = Moment { wall: Timestamp::from_nanos(0), boot: Timestamp::from_nanos(0) };
            let read = open(&place, "ada", &[b"3:", &sealed[..]].concat(), time, now).unwrap();
            assert_eq!((read.token.key(), read.token.header()), (supplied.token.key(), supplied.token.header()));
        }
    }
}
