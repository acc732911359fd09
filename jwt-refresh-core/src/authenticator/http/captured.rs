//! Tokens that were captured elsewhere: in the answer to a login that another program sent, or by a
//! browser.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::Value;

use super::HttpAuthenticator;
use super::har::HarEntry;
use super::prepared::PreparedRequest;
use super::values::Values;
use crate::error::{Error, ErrorKind};
use crate::shape::Shape;
use crate::token::{AnswerParts, AnswerPlace, TokenFields, Tokens};

impl HttpAuthenticator {
    /// Reads the tokens in the body of an answer to the login that was caught elsewhere, for
    /// [`SessionBuilder::tokens`](crate::SessionBuilder::tokens).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if the access token is not where the description says. The error
    /// shows the shape of the answer.
    pub fn tokens_from_json(&self, body: &[u8]) -> Result<Tokens, Error> {
        let answer = AnswerParts { headers: &HeaderMap::new(), body };
        let tokens = self.0.description.answer.find(answer)?;
        Ok(self.with_captured(tokens, |place| place.find(answer).ok()?))
    }

    /// Reads the latest tokens in a HAR file, in which a browser has saved its requests, for
    /// [`SessionBuilder::tokens`](crate::SessionBuilder::tokens). Only requests to the servers of
    /// this description are looked at: first for an answer with tokens, and if there is none, for
    /// an access token that was sent (`Authorization: Bearer`).
    ///
    /// Some browsers leave cookies and tokens out of what they export, unless they are told not to
    /// ("with sensitive data"). The file holds all that was typed and received, so delete it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`] if `har` is no HAR file, or no tokens are in it. The error says
    /// which servers are, and shows the shape of the latest answer of one of the description's.
    pub fn tokens_from_har(&self, har: &[u8]) -> Result<Tokens, Error> {
        let all = HarEntry::read_all(har).ok_or_else(|| bad(format!("this is not a HAR file but {}", Shape(har))))?;
        let origins: BTreeSet<String> =
            self.0.description.requests().map(|request| request.endpoint.origin()).collect();
        let entries: Vec<&HarEntry> = all.iter().filter(|entry| origins.contains(&entry.origin)).collect();
        let tokens = self.tokens_of_answers(&entries).or_else(|| tokens_of_requests(&entries));
        let tokens = tokens.ok_or_else(|| no_tokens(&all, &entries, &origins))?;
        Ok(self.with_captured(tokens, |place| find_in(place, &entries)))
    }

    /// Returns the tokens of the latest answer that has some.
    fn tokens_of_answers(&self, entries: &[&HarEntry]) -> Option<Tokens> {
        let description = &self.0.description;
        entries.iter().find_map(|entry| {
            let find = |fields: &TokenFields| fields.find(entry.answer()).ok();
            let mut tokens = find(&description.answer).or_else(|| find(&description.refresh_answer))?;
            if let Some(time) = entry.answered_at() {
                tokens.date(time);
            }
            if tokens.refresh().is_none()
                && let Some(Value::String(refresh)) = find_in(description.answer.refresh_token_place(), entries)
            {
                tokens = tokens.refresh_token(refresh);
            }
            Some(tokens)
        })
    }

    /// Adds to the tokens what the login captures beside them.
    fn with_captured(&self, mut tokens: Tokens, find: impl Fn(&AnswerPlace) -> Option<Value>) -> Tokens {
        let mut values = Values::default();
        for (name, place) in self.0.description.login.iter().flat_map(PreparedRequest::captures) {
            if let Some(value) = find(place) {
                values.set(name, value);
            }
        }
        self.keep_captured(&mut tokens, &values);
        self.0.description.carried.pack(&mut tokens, &mut values, None);
        tokens
    }
}

/// Returns what stands at a place in the latest answer that has it, or of a cookie, in the latest
/// request.
fn find_in(place: &AnswerPlace, entries: &[&HarEntry]) -> Option<Value> {
    let in_answers = entries.iter().find_map(|entry| place.find(entry.answer()).ok().flatten());
    in_answers.or_else(|| match place {
        AnswerPlace::Cookie(name) => entries.iter().find_map(|entry| entry.request_cookie(name)).map(Into::into),
        _ => None,
    })
}

/// Returns the latest access token that was sent.
fn tokens_of_requests(entries: &[&HarEntry]) -> Option<Tokens> {
    entries.iter().find_map(|entry| {
        let (scheme, token) = entry.request_header("authorization")?.split_once(' ')?;
        Tokens::new(token.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    })
}

fn no_tokens(all: &[HarEntry], entries: &[&HarEntry], origins: &BTreeSet<String>) -> Error {
    let join = |origins: BTreeSet<&str>| origins.into_iter().collect::<Vec<_>>().join(", ");
    let expected = join(origins.iter().map(String::as_str).collect());
    let Some(latest) = entries.first() else {
        let found = join(all.iter().map(|entry| entry.origin.as_str()).take(20).collect());
        return bad(format!("the HAR file has no request to {expected}; it has requests to {found}"));
    };
    let what = format!(
        "the HAR file has no tokens of {expected}, where the latest answer is {}; the browser may have left them out",
        Shape(latest.answer().body)
    );
    bad(what)
}

fn bad(what: String) -> Error {
    let advice = "check the description, and export the file anew, with sensitive data";
    Error::new(ErrorKind::BadAnswer, what).advising(advice)
}
