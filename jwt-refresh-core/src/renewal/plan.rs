//! How a renewal goes about it, and what it asks the server for.

/// How a renewal goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Refresh or log in, whatever is soundest.
    Renew,
    /// Log in, because the user said so. A failure leaves everything as it was.
    LogIn,
}
