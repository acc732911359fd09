//! What the head of an answer says about the token of its request.

use http::{HeaderMap, StatusCode};

use super::challenge::Challenge;
use super::response_head::ResponseHead;
use crate::error::{Error, ErrorKind};

/// The longest text of a server that an error repeats.
const LONGEST_REPEATED: usize = 200;

/// The status and the headers of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
}

/// What an answer says about the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    Accepted,
    /// The token is not valid. A new one may be.
    Rejected,
    /// The token is valid and does not suffice. A renewed one would not either.
    Insufficient(Insufficient),
}

/// What a token lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insufficient {
    lacking: Lacking,
    status: StatusCode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Lacking {
    /// RFC 6750 §3.1
    Scope { scope: Option<String> },
    /// RFC 9470 §3
    UserAuthentication { acr_values: Option<String>, max_age: Option<String> },
}

impl<'a> AnswerHead<'a> {
    /// Returns the head of an answer of any client.
    pub(crate) fn of(response: &'a impl ResponseHead) -> Self {
        let (status, headers) = response.head();
        Self { status, headers }
    }

    /// Returns what a 401 or 403 says about the token.
    pub(crate) fn verdict(self) -> TokenVerdict {
        self.verdict_by(|status, _| status == StatusCode::UNAUTHORIZED)
    }

    /// Does the same where `is_rejection` tells which answers are a rejection. A challenge that
    /// says what the token lacks comes first: a new token would lack it, too.
    pub(crate) fn verdict_by(self, is_rejection: impl FnOnce(StatusCode, &HeaderMap) -> bool) -> TokenVerdict {
        if let Some(insufficient) = self.insufficient() {
            return TokenVerdict::Insufficient(insufficient);
        }
        if is_rejection(self.status, self.headers) { TokenVerdict::Rejected } else { TokenVerdict::Accepted }
    }

    fn insufficient(self) -> Option<Insufficient> {
        if !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let challenges = Challenge::in_headers(self.headers);
        let mut lacking = None;
        for challenge in &challenges {
            let repeated = |name| challenge.parameter(name).filter(|value| is_harmless(value)).map(str::to_owned);
            match challenge.parameter("error") {
                // A token that is not valid may be replaced by one that suffices.
                Some("invalid_token") => return None,
                Some("insufficient_scope") => lacking = Some(Lacking::Scope { scope: repeated("scope") }),
                Some("insufficient_user_authentication") => {
                    let (acr_values, max_age) = (repeated("acr_values"), repeated("max_age"));
                    lacking = Some(Lacking::UserAuthentication { acr_values, max_age });
                }
                _ => {}
            }
        }
        lacking.map(|lacking| Insufficient { lacking, status: self.status })
    }
}

impl Insufficient {
    /// Returns the code of the challenge.
    pub(crate) fn code(&self) -> &'static str {
        match self.lacking {
            Lacking::Scope { .. } => "insufficient_scope",
            Lacking::UserAuthentication { .. } => "insufficient_user_authentication",
        }
    }

    pub(crate) fn into_error(self) -> Error {
        let code = self.code();
        let (kind, what, detail) = match self.lacking {
            Lacking::Scope { scope } => (
                ErrorKind::InsufficientScope,
                "the access token lacks a scope that the request needs",
                scope.map(|scope| format!("it needs `{scope}`")),
            ),
            Lacking::UserAuthentication { acr_values, max_age } => (
                ErrorKind::InsufficientUserAuthentication,
                "the request needs a login that is stronger or more recent than that of the access token",
                joined([("acr_values", acr_values), ("max_age", max_age)]),
            ),
        };
        let error = Error::new(kind, what).answered(self.status).coded(code);
        detail.into_iter().fold(error, Error::detailed)
    }
}

fn joined<const N: usize>(parameters: [(&str, Option<String>); N]) -> Option<String> {
    let known = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name} `{}`", value?)));
    Some(known.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

/// Returns whether a text of a server may be in an error: words of names, numbers and URLs.
fn is_harmless(text: &str) -> bool {
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b" -._~:/*+".contains(&byte);
    text.len() <= LONGEST_REPEATED && text.bytes().all(is_harmless)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    fn verdict(status: u16, challenge: &'static str) -> TokenVerdict {
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]);
        AnswerHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers }.verdict()
    }

    #[test]
    fn a_401_is_a_rejection_unless_its_challenge_says_that_a_new_token_would_not_help() {
        for challenge in [
            "",
            "Bearer",
            "Basic",
            r#"Bearer error="invalid_token""#,
            r#"Bearer error="invalid_request""#,
            r#"DPoP error="insufficient_scope", Bearer error="invalid_token""#,
            r#"Bearer error_description="insufficient_scope""#,
        ] {
            assert_eq!(verdict(401, challenge), TokenVerdict::Rejected, "{challenge}");
        }
        for status in [401, 403] {
            for code in ["insufficient_scope", "insufficient_user_authentication"] {
                let challenge: &'static str = format!(r#"Basic, Bearer realm="x", error="{code}""#).leak();
                let TokenVerdict::Insufficient(insufficient) = verdict(status, challenge) else {
                    panic!("{challenge}")
                };
                assert_eq!((insufficient.code(), insufficient.status.as_u16()), (code, status));
            }
        }
        assert_eq!(verdict(403, r#"Bearer error="invalid_token""#), TokenVerdict::Accepted);
        assert_eq!(verdict(200, r#"Bearer error="insufficient_scope""#), TokenVerdict::Accepted);
    }

    #[test]
    fn the_error_names_what_the_token_lacks() {
        for (challenge, text) in [
            (
                r#"Bearer error="insufficient_scope", scope="orders:write orders:read""#,
                "the access token lacks a scope that the request needs (status 403, insufficient_scope): it needs \
                 `orders:write orders:read`; log in with the scope, or ask for it where it is granted",
            ),
            (
                r#"Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="60""#,
                "the request needs a login that is stronger or more recent than that of the access token (status 403, \
                 insufficient_user_authentication): acr_values `mfa`, max_age `60`; let the user log in as the server asks",
            ),
            (
                "Bearer error=insufficient_scope, scope=\"a\u{fc}b\"",
                "the access token lacks a scope that the request needs (status 403, insufficient_scope); log in with the \
                 scope, or ask for it where it is granted",
            ),
        ] {
            let headers =
                HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_bytes(challenge.as_bytes()).unwrap())]);
            let head = AnswerHead { status: StatusCode::FORBIDDEN, headers: &headers };
            let TokenVerdict::Insufficient(insufficient) = head.verdict() else { panic!("{challenge}") };
            let error = insufficient.into_error();
            assert_eq!(error.to_string(), text);
            assert!(!error.is_transient());
        }
    }
}
