//! How an account of the test server logs in and refreshes.

use jwt_refresh::{HttpAuthenticator, HttpAuthenticatorBuilder};
use jwt_refresh_testkit::TestServer;

/// An authenticator for the account that every test server has.
pub(crate) fn login(server: &TestServer) -> HttpAuthenticatorBuilder {
    login_at(server.base_url(), server.email(), server.password())
}

/// An authenticator for an account of the test server that is reached at `base_url`.
pub(crate) fn login_at(base_url: &str, email: &str, password: &str) -> HttpAuthenticatorBuilder {
    HttpAuthenticator::builder(format!("{base_url}/api/auth/login"))
        .refresh_url(format!("{base_url}/api/auth/refresh"))
        .field("email", email)
        .secret_field("password", password)
}
