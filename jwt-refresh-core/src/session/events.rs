//! The events of a session, for a program that watches it.

use std::time::SystemTime;

use crate::error::Error;

/// Something that happened to a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is a new access token, from a login or refresh of this session, or from one that
    /// another process did meanwhile. It may be one for
    /// [other parameters](crate::Session::access_for) than the session's own.
    Renewed,
    /// Another process has put a newer token into the store, and this session took it, for itself
    /// or for other parameters.
    Adopted,
    /// A renewal failed. It is tried again after a pause. Until then, a token that still lives is
    /// served, unless the store failed and the policy is
    /// [`StoreFailure::Fail`](crate::store::StoreFailure::Fail). Also a
    /// [`Session::login`](crate::Session::login) that failed, with whatever error, and left the
    /// session as it was.
    Failed(Error),
    /// Neither refresh nor login can bring a token any more. A person has to act.
    ReauthenticationRequired(Error),
    /// The login ends at this time: its refresh token expires then, as the server has said
    /// (`refresh_expires_in`). A refresh or a login before that prolongs it. This comes once, five
    /// minutes ahead, or at half of what the refresh token lives if it lives for less than ten.
    /// After the end, a session whose authenticator cannot log in by itself needs a person.
    LoginEnds(SystemTime),
    /// The session was logged out, here or in another process.
    LoggedOut,
}
