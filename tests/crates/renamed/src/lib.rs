//! `crate = path` for a dependency under another name.

use stay_logged_in::prelude::*;
use stay_logged_in::{Error, Renewal};

/// An API that returns the token of each call.
#[derive(Debug)]
pub struct Api {
    session: Fixed,
}

/// Issues one token, and another after a rejection.
#[derive(Debug)]
struct Fixed;

impl TokenProvider for Fixed {
    type Token = AccessToken;

    fn fresh(&self) -> Renewal<AccessToken> {
        Box::pin(async { Ok(AccessToken::new("old")?.of_generation(1)) })
    }

    fn rejected(&self, _: &AccessToken) -> Renewal<AccessToken> {
        Box::pin(async { Ok(AccessToken::new("new")?.of_generation(2)) })
    }
}

#[refresh_token(crate = ::stay_logged_in, token)]
impl Api {
    /// Returns the first token.
    pub async fn token(&self) -> Result<String, Error> {
        Ok(token.expose().to_owned())
    }

    /// Returns the token that replaces the first.
    #[refresh_token(retry_if = is_old)]
    pub async fn newer_token(&self, prefix: String) -> Result<String, Error> {
        Ok(prefix + token.expose())
    }
}

fn is_old(result: &Result<String, Error>) -> bool {
    matches!(result, Ok(token) if token.ends_with("old"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_attribute_compiles_and_runs() {
        let api = Api { session: Fixed };
        assert_eq!(api.token().await.unwrap(), "old");
        assert_eq!(api.newer_token("a ".to_owned()).await.unwrap(), "a new");
    }
}
