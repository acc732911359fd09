//! The kinds of renewal.

/// Which requests a renewal may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// A refresh or a login, whichever is safest.
    Renew,
    /// A login that the user asked for. A failure leaves everything as it was.
    LogIn,
    /// A login for what an API wants beyond the token. A failure leaves everything as it was.
    StepUp,
    /// A refresh that brings an access token for other parameters. The session's own stays.
    Other,
}
