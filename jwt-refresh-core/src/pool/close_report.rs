//! What came of closing a pool.

/// What [`Pool::close`](super::Pool::close) has ended, and what it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Callers that waited for a lease, and were told that the pool was closed.
    pub waiters: usize,
    /// Leases that are still held. Their tokens stay as they are.
    pub leases: usize,
    /// Logins, refreshes and revocations that were under way and have ended.
    pub ended: usize,
    /// Those that were cut off when the time was up. Whether the server has acted on them is
    /// unknown.
    pub cut_off: usize,
    /// Those that are not cut off and go on in the background: of accounts in a
    /// [store](super::PoolBuilder::store), which would lose a new refresh token, and of
    /// authenticators that block their threads.
    pub unfinished: usize,
    /// Accounts whose new tokens are not in the store yet. If the process goes on, saving them is
    /// tried again.
    pub unsaved: usize,
    /// Revocations for removed accounts that were not begun. They are done when the last handle and
    /// the last lease are dropped.
    pub revocations: usize,
}
