//! The two kinds of renewal.

/// Which requests a renewal may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// A refresh or a login, whichever is safest.
    Renew,
    /// A login that the user asked for. A failure leaves everything as it was.
    LogIn,
}
