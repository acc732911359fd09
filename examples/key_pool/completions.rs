//! The part that you write: a wrapper of an API for which you have many keys. A call is limited by
//! the number of calls and by what they cost, for each key.

use std::time::Duration;

use jwt_refresh::pool::{Account, Pool};
use jwt_refresh::prelude::*;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// How many calls of one key may be under way. The server says the rest in its answers.
const AT_ONCE: u32 = 8;

/// A key, and its tier: keys of the lowest number serve first.
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) secret: Secret,
    pub(crate) tier: u8,
}

pub(crate) struct Completions {
    http: reqwest::Client,
    base: String,
    /// Holds the keys, and chooses one for each call.
    pool: Pool,
}

#[derive(Deserialize)]
pub(crate) struct Completion {
    pub(crate) text: String,
    /// What the call has cost.
    tokens: u64,
}

impl Completions {
    pub(crate) fn new(base: &str, keys: impl IntoIterator<Item = Key>) -> Result<Self, Error> {
        let account =
            |key: Key| Account::api_key(key.name, key.secret).header("x-api-key").tier(key.tier).concurrency(AT_ONCE);
        let pool = Pool::builder().accounts(keys.into_iter().map(account)).build()?;
        Ok(Self { http: reqwest::Client::new(), base: base.to_owned(), pool })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Completes `prompt` by at most `longest` tokens.
    ///
    /// What the call may cost is stated before and corrected after it, so this takes its lease
    /// itself. `observed` tells the pool what the answer says of the key's limits, and a 429.
    pub(crate) async fn complete(&self, prompt: &str, longest: u64) -> Result<Completion, Error> {
        let most = prompt.split_whitespace().count() as u64 + longest;
        loop {
            let token = self.pool.lease().cost(most).within(Duration::from_secs(10)).await?;
            let request = self.http.post(format!("{}/v1/completions", self.base)).bearer(&token);
            let request = request.json(&json!({ "prompt": prompt, "max_tokens": longest }));
            let answer = request.send().await?.observed(&token);
            match answer.status() {
                // The key does not serve any more. Another one does, as long as there is one.
                StatusCode::UNAUTHORIZED => token.rejected(),
                // The key rests, as `observed` has told the pool.
                StatusCode::TOO_MANY_REQUESTS => {}
                _ => {
                    let completion: Completion = answer.error_for_status()?.json().await?;
                    token.spent(completion.tokens);
                    return Ok(completion);
                }
            }
        }
    }
}

#[refresh_token(from = self.pool, token, retry)]
impl Completions {
    /// A call that costs nothing worth mentioning needs no more than the attribute.
    pub(crate) async fn models(&self) -> Result<Vec<String>, Error> {
        let answer = self.http.get(format!("{}/v1/models", self.base)).bearer(&token).send().await?;
        Ok(answer.observed(&token).error_for_status()?.json().await?)
    }
}
