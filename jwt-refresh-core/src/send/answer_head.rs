//! What the head of an answer says about the token of its request.

use http::{HeaderMap, StatusCode};

use super::challenge::Challenge;
use crate::error::{Error, ErrorKind};

/// The longest text of a server that an error repeats.
const LONGEST_REPEATED: usize = 200;

/// The status and the headers of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// Where the answer comes from, after redirects. Not all clients say so.
    pub(crate) url: Option<&'a str>,
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

/// What is wrong with the proof of a request, which says nothing about the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofFault {
    /// It has to have another nonce (RFC 9449 §9).
    Nonce,
    /// It is not taken (RFC 9449 §7.1).
    Refused,
}

/// What a token lacks, or the proof for it.
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
    /// A claims challenge, as of Microsoft Entra.
    Claims,
    /// A proof with a nonce that the server takes (RFC 9449 §9), which it has given, or not.
    Nonce { is_given: bool },
    /// A proof that the server takes (RFC 9449 §7.1).
    Proof,
}

impl AnswerHead<'_> {
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

    /// A claims challenge says so too, but where nothing meets it, a renewed token may suffice.
    fn insufficient(self) -> Option<Insufficient> {
        let (_, insufficient) = self.challenge()?;
        (insufficient.lacking != Lacking::Claims).then_some(insufficient)
    }

    /// Returns what is wrong with the proof for the request, if a 401 says so and does not say that
    /// the token is not valid.
    pub(crate) fn proof_fault(self) -> Option<ProofFault> {
        if self.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        let challenges = Challenge::in_headers(self.headers);
        let codes =
            || challenges.iter().filter_map(|challenge| Some((challenge.scheme(), challenge.parameter("error")?)));
        if codes().any(|(_, code)| code == "invalid_token") {
            return None;
        }
        codes().find_map(|(scheme, code)| match (scheme, code) {
            ("dpop", "use_dpop_nonce") => Some(ProofFault::Nonce),
            ("dpop", "invalid_dpop_proof") => Some(ProofFault::Refused),
            _ => None,
        })
    }

    /// Returns the challenge that says what the token lacks.
    pub(crate) fn challenge(self) -> Option<(Challenge, Insufficient)> {
        if !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let mut found = None;
        for challenge in Challenge::in_headers(self.headers) {
            let repeated = |name| challenge.parameter(name).filter(|value| is_harmless(value)).map(str::to_owned);
            let lacking = match challenge.parameter("error") {
                // A token that is not valid may be replaced by one that suffices.
                Some("invalid_token") => return None,
                Some("insufficient_scope") => Lacking::Scope { scope: repeated("scope") },
                Some("insufficient_user_authentication") => {
                    Lacking::UserAuthentication { acr_values: repeated("acr_values"), max_age: repeated("max_age") }
                }
                Some("insufficient_claims") => Lacking::Claims,
                _ => continue,
            };
            found = Some((challenge, Insufficient { lacking, status: self.status }));
        }
        found
    }
}

impl Insufficient {
    /// Returns what is lacking if the server does not take the proof for the request, and has given
    /// a nonce with that answer or not.
    pub(crate) fn of_proof(fault: ProofFault, is_given: bool) -> Self {
        let lacking = match fault {
            ProofFault::Nonce => Lacking::Nonce { is_given },
            ProofFault::Refused => Lacking::Proof,
        };
        Self { lacking, status: StatusCode::UNAUTHORIZED }
    }

    /// Returns the code of the challenge.
    pub(crate) fn code(&self) -> &'static str {
        match self.lacking {
            Lacking::Scope { .. } => "insufficient_scope",
            Lacking::UserAuthentication { .. } => "insufficient_user_authentication",
            Lacking::Claims => "insufficient_claims",
            Lacking::Nonce { .. } => "use_dpop_nonce",
            Lacking::Proof => "invalid_dpop_proof",
        }
    }

    /// Returns what to do about a proof that is not taken.
    fn advice(&self) -> Option<&'static str> {
        match self.lacking {
            Lacking::Nonce { .. } => Some("all machines of the API have to know the nonces that one of them gives"),
            Lacking::Proof => {
                Some("check the clock of this machine, and that no redirect or proxy changes the URL or the method")
            }
            _ => None,
        }
    }

    pub(crate) fn into_error(self) -> Error {
        let (code, advice) = (self.code(), self.advice());
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
            Lacking::Claims => (
                ErrorKind::InsufficientUserAuthentication,
                "the request needs claims that the login of the access token does not bring",
                None,
            ),
            Lacking::Nonce { is_given: true } => (
                ErrorKind::BadAnswer,
                "the API asks for a DPoP nonce again, though the proof had the one that it gave",
                None,
            ),
            Lacking::Nonce { is_given: false } => (
                ErrorKind::BadAnswer,
                "the API asks for a DPoP nonce and gives none",
                Some("there is no header `DPoP-Nonce` (RFC 9449 §9)".to_owned()),
            ),
            Lacking::Proof => (ErrorKind::BadAnswer, "the API takes no DPoP proof of the request", None),
        };
        let error = Error::new(kind, what).answered(self.status).coded(code);
        let error = advice.into_iter().fold(error, Error::advising);
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
        AnswerHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers, url: None }.verdict()
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
    fn a_fault_of_the_proof_is_told_from_one_of_the_token() {
        for (status, challenge, fault) in [
            (401, r#"Bearer, DPoP error="use_dpop_nonce""#, Some(ProofFault::Nonce)),
            (401, r#"DPoP error="invalid_dpop_proof", algs="ES256""#, Some(ProofFault::Refused)),
            (401, r#"DPoP error="invalid_token""#, None),
            (401, r#"DPoP error="use_dpop_nonce", Bearer error="invalid_token""#, None),
            (401, r#"Bearer error="use_dpop_nonce""#, None),
            (400, r#"DPoP error="use_dpop_nonce""#, None),
        ] {
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]);
            let head = AnswerHead { status: StatusCode::from_u16(status).unwrap(), headers: &headers, url: None };
            assert_eq!(head.proof_fault(), fault, "{challenge}");
        }
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
            let head = AnswerHead { status: StatusCode::FORBIDDEN, headers: &headers, url: None };
            let TokenVerdict::Insufficient(insufficient) = head.verdict() else { panic!("{challenge}") };
            let error = insufficient.into_error();
            assert_eq!(error.to_string(), text);
            assert!(!error.is_transient());
        }
    }
}
