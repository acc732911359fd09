//! The accounts `a0`, `a1`, … of a test server, for pools.

use jwt_refresh::HttpAuthenticatorBuilder;
use jwt_refresh::pool::Account;
use jwt_refresh_testkit::{Builder, TestServer};

use super::login::login_at;

/// The password of each account.
pub(crate) const PASSWORD: &str = "secret";

/// The name of the `number`th account.
pub(crate) fn account_name(number: usize) -> String {
    format!("a{number}")
}

/// Adds the first `accounts` accounts to a server.
pub(crate) fn with_accounts(server: Builder, accounts: usize) -> Builder {
    (0..accounts).fold(server, |server, number| server.account(&account_name(number), PASSWORD))
}

/// An authenticator for the `number`th account.
pub(crate) fn account_login(server: &TestServer, number: usize) -> HttpAuthenticatorBuilder {
    login_at(server.base_url(), &account_name(number), PASSWORD)
}

/// The `number`th account, to be added to a pool.
pub(crate) fn account(server: &TestServer, number: usize) -> Account {
    Account::new(account_name(number), account_login(server, number).build().unwrap())
}
