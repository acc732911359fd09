//! The figures of one account of a pool.

use std::time::Duration;

use super::status::QuarantinedAccount;
use crate::error::Error;

/// A snapshot of one account, returned by [`PoolAccount::stats`](super::PoolAccount::stats).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountStats {
    /// How many leases of the account were given so far. Stops counting at `u32::MAX`.
    pub calls: u32,
    /// How many leases of it are held.
    pub held: u32,
    /// How many logins and refreshes in a row have failed, up to 255; 0 after one that succeeded.
    pub failures: u8,
    /// How many 429s count against it: see [`PoolPolicy::cool_down`](super::PoolPolicy::cool_down).
    pub strikes: u8,
    /// How many calls its limits allow now, as far as they are known; `None` if none limits calls.
    pub remaining_calls: Option<u64>,
    /// What calls may cost now by its limits, as far as known; `None` if none limits costs.
    pub remaining_cost: Option<u64>,
    /// How long its token lives from now. `None` if it has no token, or one without a known expiry.
    pub expires_in: Option<Duration>,
    /// Why it does not serve, or `None` if it does.
    pub quarantine: Option<QuarantinedAccount>,
    /// The last failure of a login or refresh since one succeeded.
    pub last_error: Option<Error>,
}
