//! Refreshes that are logins, because there is no way to refresh.

use crate::error::Error;
use crate::token::Tokens;

tokio::task_local! {
    static REFRESH_ONLY: ();
}

/// Waits for a refresh. If it would be a login, none is sent, and the error is one of a login
/// ([`Error::is_by_login`]) that is not available.
pub(crate) async fn refresh_only<T>(refresh: impl Future<Output = T>) -> T {
    REFRESH_ONLY.scope((), refresh).await
}

/// Logs in where a refresh was asked for, unless it is [`refresh_only`].
pub(super) async fn log_in_instead(login: impl Future<Output = Result<Tokens, Error>>) -> Result<Tokens, Error> {
    let login = match REFRESH_ONLY.try_with(|()| ()) {
        Ok(()) => Err(Error::login_unavailable()),
        Err(_) => login.await,
    };
    login.map_err(Error::by_login)
}
