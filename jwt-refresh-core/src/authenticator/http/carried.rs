//! What a refresh token takes along, because the refresh or the revocation has to send it too: a
//! CSRF token, the access token, an id that the login brought. A session, a store and a pool see
//! one refresh token, so what belongs together is never torn apart.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::values::Values;
use crate::token::{RefreshToken, Tokens};

pub(super) const REFRESH_TOKEN: &str = "refresh_token";
pub(super) const ACCESS_TOKEN: &str = "access_token";

/// The names of the values that are taken along. If there is one, its value is the refresh token;
/// if there are more, the refresh token is a JSON object of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    names: BTreeSet<String>,
    /// Those without which there is no refresh.
    required: BTreeSet<String>,
}

impl Carried {
    /// `refresh` and `revocation` are the names that these requests send, secrets apart.
    pub(super) fn new(refresh: BTreeSet<String>, revocation: &BTreeSet<String>) -> Self {
        let mut names: BTreeSet<_> = refresh.union(revocation).cloned().collect();
        if names.is_empty() {
            names.insert(REFRESH_TOKEN.to_owned());
        }
        let required = if refresh.is_empty() { names.clone() } else { refresh };
        Self { names, required }
    }

    /// Adds what a refresh token has taken along to `values`.
    pub(super) fn unpack(&self, token: &RefreshToken, values: &mut Values) {
        match self.packed(token) {
            Some(packed) => packed.into_iter().for_each(|(name, value)| values.set(&name, value)),
            None => values.set_text(self.sole().unwrap_or(REFRESH_TOKEN), token.expose()),
        }
    }

    /// Replaces the refresh token of an answer by one that takes all of `values` along that it has
    /// to. There is none if not all that a refresh needs is there, or if it is `sent` again.
    pub(super) fn pack(&self, tokens: &mut Tokens, values: &mut Values, sent: Option<&RefreshToken>) {
        if tokens.refresh_is_unreadable {
            return;
        }
        values.set_text(ACCESS_TOKEN, tokens.access().expose());
        if let Some(refresh) = tokens.refresh() {
            values.set_text(REFRESH_TOKEN, refresh.expose());
        }
        let missing = self.required.iter().find(|name| !values.has(name));
        if let Some(name) = missing.filter(|_| tokens.refresh().is_some()) {
            tracing::warn!(
                target: "jwt_refresh",
                missing = name.as_str(),
                "dropped a refresh token: the refresh has to send a value that did not come with it"
            );
        }
        let packed = self.join(values).map(RefreshToken::from).filter(|_| missing.is_none());
        tokens.refresh = packed.filter(|packed| Some(packed) != sent);
    }

    fn join(&self, values: &Values) -> Option<String> {
        if let Some(sole) = self.sole() {
            return values.text(sole).map(Cow::into_owned);
        }
        let value = |name: &String| Some((name.clone(), values.json(name)?));
        Some(Value::Object(self.names.iter().filter_map(value).collect()).to_string())
    }

    fn sole(&self) -> Option<&str> {
        self.names.first().filter(|_| self.names.len() == 1).map(String::as_str)
    }

    /// Returns the values in a refresh token that is an object of some of these names.
    fn packed(&self, token: &RefreshToken) -> Option<Map<String, Value>> {
        let Ok(Value::Object(fields)) = serde_json::from_str(token.expose()) else { return None };
        let known: Map<_, _> = fields.into_iter().filter(|(name, _)| self.names.contains(name)).collect();
        Some(known).filter(|known| !known.is_empty())
    }
}
