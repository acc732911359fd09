//! What connections go over, and what to do if nothing is heard over them for that reason.

use std::error::Error as _;

use redis::{ConnectionAddr, ErrorKind, RedisError};

/// What the user has chosen by the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisTransport {
    /// TCP without TLS.
    Plain,
    Tls,
    /// A socket of the system.
    Local,
}

/// What the TLS library says, and what the user can do then. The types of its errors are those of
/// several crates, so their words are read.
const ADVICE: [(&str, &str); 3] = [
    (
        "UnknownIssuer",
        "trust its authority in the system, or by `SSL_CERT_FILE`: see the documentation of `RedisStore`",
    ),
    ("not valid for name", "the URL, and each node that tells of another, has to name it as its certificate does"),
    (CERTIFICATE_REQUIRED, "the store has no certificate of its own to show: `tls-auth-clients no` in Redis"),
];
const CERTIFICATE_REQUIRED: &str = "CertificateRequired";

const NOT_PLAIN: &str = "if that port is for TLS, the URL has to begin with `rediss`";
const NOT_TLS: &str = "if that port is not for TLS, the URL has to begin with `redis`, and not with `rediss`";

impl From<&ConnectionAddr> for RedisTransport {
    fn from(address: &ConnectionAddr) -> Self {
        match address {
            ConnectionAddr::TcpTls { .. } => Self::Tls,
            ConnectionAddr::Tcp(..) => Self::Plain,
            _ => Self::Local,
        }
    }
}

impl RedisTransport {
    /// Returns what the user can do about an error that may be due to TLS.
    pub(super) fn advice(self, error: &RedisError) -> Option<&'static str> {
        match self {
            Self::Plain => is_cut_off(error).then_some(NOT_PLAIN),
            Self::Tls => advice_of_tls(error),
            Self::Local => None,
        }
    }

    /// The same if there was no connection in time.
    pub(super) fn advice_of_silence(self) -> Option<&'static str> {
        (self == Self::Tls).then_some(NOT_TLS)
    }
}

/// Whether the server has ended the TLS connection because its client has no certificate.
pub(super) fn asks_for_certificate(error: &RedisError) -> bool {
    says(error, CERTIFICATE_REQUIRED)
}

fn advice_of_tls(error: &RedisError) -> Option<&'static str> {
    if let Some((_, advice)) = ADVICE.iter().find(|(words, _)| says(error, words)) {
        return Some(advice);
    }
    // A server without TLS waits for the end of what it takes for a command, or says in plain text
    // that there is none.
    let is_suspect = is_cut_off(error) || error.is_timeout() || says(error, "corrupt message");
    is_suspect.then_some(NOT_TLS)
}

/// Whether the TLS library or the system has said so.
fn says(error: &RedisError, words: &str) -> bool {
    error.is_io_error() && error.source().is_some_and(|source| source.to_string().contains(words))
}

/// Whether the connection was ended, or brought what is no answer. One that did not last is
/// replaced by a new one before a request fails, so it is the new one that was.
fn is_cut_off(error: &RedisError) -> bool {
    (error.is_connection_dropped() && !error.is_connection_refusal()) || error.kind() == ErrorKind::Parse
}
