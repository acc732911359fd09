//! What an answer without tokens means: one table, for every authenticator. It stands in DESIGN.md
//! too, under "What if the server says no?", and a test compares the two.

use std::time::Duration;

use http::StatusCode;

use crate::error::{AnswerBody, Error, ErrorKind};

/// What the server was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Refresh,
    Login,
}

/// What an answer without tokens means for what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The server refuses these credentials, and would refuse them again.
    Refused,
    /// The server did not act on the request, so it may be sent again after a pause.
    NotSpent,
    /// It is unknown whether the server acted on the request.
    InDoubt,
    /// No request of this kind can succeed at this endpoint.
    Misdirected,
}

/// The answers that a row of the table is about.
#[derive(Clone, Copy, Debug)]
enum Answers {
    /// These statuses, from the first to the last of each pair.
    Statuses(&'static [(u16, u16)]),
    /// These error codes in a JSON body (RFC 6749 §5.2).
    Codes(&'static [&'static str]),
    /// A web page: it comes from a gateway and not from the token endpoint.
    Page,
    /// A success whose JSON body has an `error` in it, and no access token.
    ErrorInside,
}

struct Row {
    answers: Answers,
    refresh: Meaning,
    login: Meaning,
}

const fn row(answers: Answers, refresh: Meaning, login: Meaning) -> Row {
    Row { answers, refresh, login }
}

/// The table. The first row that an answer is in counts.
const TABLE: &[Row] = {
    use Answers::{Codes, ErrorInside, Page, Statuses};
    use Meaning::{InDoubt, Misdirected, NotSpent, Refused};
    &[
        row(Statuses(&[(429, 429), (503, 503), (521, 521), (523, 523), (525, 525), (526, 526)]), NotSpent, NotSpent),
        row(Codes(&["temporarily_unavailable", "slow_down"]), NotSpent, NotSpent),
        row(Codes(&["use_dpop_nonce", "invalid_dpop_proof"]), NotSpent, NotSpent),
        row(Codes(&["server_error"]), InDoubt, NotSpent),
        row(
            Codes(&[
                "invalid_grant",
                "invalid_client",
                "unauthorized_client",
                "invalid_request",
                "unsupported_grant_type",
                "invalid_scope",
            ]),
            Refused,
            Refused,
        ),
        row(Statuses(&[(500, 500), (502, 502), (504, 504), (520, 520), (522, 522), (524, 524)]), InDoubt, NotSpent),
        row(Statuses(&[(500, 599)]), InDoubt, NotSpent),
        row(Page, NotSpent, NotSpent),
        row(ErrorInside, Refused, Refused),
        row(Statuses(&[(400, 400), (401, 401), (403, 403), (422, 422)]), Refused, Refused),
        row(Statuses(&[(404, 404), (405, 405), (410, 410)]), Refused, Misdirected),
        row(Statuses(&[(415, 415)]), InDoubt, Misdirected),
        row(Statuses(&[(400, 499)]), InDoubt, NotSpent),
        row(Statuses(&[(300, 399)]), NotSpent, NotSpent),
        row(Statuses(&[(200, 299)]), InDoubt, NotSpent),
    ]
};

impl Answers {
    fn contain(self, status: StatusCode, code: Option<&str>, body: AnswerBody) -> bool {
        match self {
            Self::Statuses(ranges) => ranges.iter().any(|&(first, last)| (first..=last).contains(&status.as_u16())),
            Self::Codes(codes) => code.is_some_and(|code| codes.contains(&code)),
            Self::Page => body == AnswerBody::Page,
            Self::ErrorInside => status.is_success() && body == AnswerBody::Error,
        }
    }
}

fn meaning(asked: Asked, status: StatusCode, code: Option<&str>, body: AnswerBody) -> Meaning {
    match TABLE.iter().find(|row| row.answers.contain(status, code, body)) {
        Some(row) if asked == Asked::Refresh => row.refresh,
        Some(row) => row.login,
        // No status that HTTP knows.
        None => Meaning::InDoubt,
    }
}

/// What came back instead of tokens.
pub(crate) struct Refusal<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<&'a str>,
    pub(crate) body: AnswerBody,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal<'_> {
    /// Returns the error for an answer without tokens. `action` names the request in the error. If
    /// it is not known what was `asked`, the answer is read as that to a refresh, until
    /// [`judged`] knows it.
    pub(crate) fn into_error(self, action: &str, asked: Option<Asked>) -> Error {
        let error = Error::new(ErrorKind::Other, "").answered(self.status).with_body(self.body);
        let error = self.code.into_iter().fold(error, Error::coded);
        let error = self.retry_after.into_iter().fold(error, Error::retry_in);
        let error = restated(error, action, asked.unwrap_or(Asked::Refresh));
        if asked.is_some() { error.judged() } else { error }
    }
}

/// Returns the error of a request that an authenticator made without saying what it asked for, as
/// that of a login or a refresh. Other errors stay as they are.
pub(crate) fn judged(error: Error, asked: Asked) -> Error {
    if error.body().is_none() || error.is_judged() {
        return error;
    }
    let action = match asked {
        Asked::Refresh => "refresh",
        Asked::Login => "login",
    };
    restated(error, action, asked).judged()
}

/// Returns whether the server may have acted on the request although no usable answer arrived.
/// After such a failure the refresh token must not simply be sent again: to a server that rotates
/// refresh tokens that looks like theft (RFC 9700 §4.14.2).
pub(crate) fn outcome_unknown(error: &Error) -> bool {
    if let Some(in_doubt) = error.in_doubt() {
        return in_doubt;
    }
    match (error.kind(), error.status()) {
        (ErrorKind::Unanswered | ErrorKind::Aborted | ErrorKind::Other, _) | (ErrorKind::BadAnswer, None) => true,
        (ErrorKind::BadAnswer | ErrorKind::Unavailable, Some(status)) => {
            let body = error.body().unwrap_or(AnswerBody::Other);
            meaning(Asked::Refresh, status, error.code(), body) == Meaning::InDoubt
        }
        _ => false,
    }
}

/// Returns whether the server says that the request itself is wrong, not the credentials in it.
pub(crate) fn is_misunderstood(error: &Error) -> bool {
    let by_code = matches!(error.code(), Some("invalid_request" | "unsupported_grant_type"));
    error.body().is_some() && (by_code || error.status() == Some(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// Says what is wrong with the proof of a request (RFC 9449 §5, §8).
fn unproven(error: &Error, action: &str) -> String {
    match error.code() {
        Some("use_dpop_nonce") => format!("the server asks for one DPoP nonce after the other at the {action}"),
        _ => format!("the server takes no DPoP proof of the {action}"),
    }
}

/// Gives an error about an answer its kind and its words.
fn restated(error: Error, action: &str, asked: Asked) -> Error {
    let (Some(status), Some(body)) = (error.status(), error.body()) else { return error };
    let of_code = |codes: &[&str]| error.code().is_some_and(|code| codes.contains(&code));
    let (kind, what) = match meaning(asked, status, error.code(), body) {
        Meaning::Refused if is_misunderstood(&error) && asked == Asked::Login => {
            (ErrorKind::Denied, format!("the server did not understand the {action}"))
        }
        Meaning::Refused => (ErrorKind::Denied, format!("the {action} was denied")),
        Meaning::Misdirected if is_misunderstood(&error) => {
            (ErrorKind::Configuration, format!("the server did not understand the {action}"))
        }
        Meaning::Misdirected => (ErrorKind::Configuration, format!("the server knows no {action}")),
        Meaning::NotSpent | Meaning::InDoubt => match status {
            _ if of_code(&["temporarily_unavailable", "slow_down", "server_error"]) => {
                (ErrorKind::Unavailable, format!("the server could not do the {action}"))
            }
            StatusCode::TOO_MANY_REQUESTS => (ErrorKind::Unavailable, format!("the server takes no {action} now")),
            status if status.is_server_error() => {
                (ErrorKind::Unavailable, format!("the server failed at the {action}"))
            }
            _ if of_code(&["use_dpop_nonce", "invalid_dpop_proof"]) => (ErrorKind::BadAnswer, unproven(&error, action)),
            _ if body == AnswerBody::Page => {
                (ErrorKind::BadAnswer, format!("a web page came in answer to the {action}"))
            }
            StatusCode::REQUEST_TIMEOUT => (ErrorKind::Unanswered, format!("the server gave up on the {action}")),
            status if status.is_redirection() => (ErrorKind::BadAnswer, format!("the {action} was redirected")),
            _ => (ErrorKind::BadAnswer, format!("the {action} brought no tokens")),
        },
    };
    let error = error.restated(kind, what);
    match kind {
        ErrorKind::Configuration if status == StatusCode::NOT_FOUND => {
            error.advising("check the URL; some servers also say so of an account that they do not know")
        }
        ErrorKind::BadAnswer if body == AnswerBody::Page => error.detailed("it may come from a gateway"),
        ErrorKind::BadAnswer if error.code() == Some("invalid_dpop_proof") => {
            error.advising("check the clock of this machine, and that the client may use DPoP")
        }
        ErrorKind::BadAnswer if status.is_redirection() => {
            error.detailed("credentials follow no redirect").advising("configure the final URL")
        }
        ErrorKind::Configuration => error.advising("check the URL, and the method and the format that it takes"),
        ErrorKind::Denied if is_misunderstood(&error) && asked == Asked::Login => {
            error.advising("check the format and the fields that the endpoint takes")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests;
