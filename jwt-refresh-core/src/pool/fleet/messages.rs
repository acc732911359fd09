//! What processes of a fleet tell each other through Redis, as JSON. Times are on Redis' clock, in
//! microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pool::definition::Definition;
use crate::pool::quarantine::QuarantineCause;
use crate::pool::share::{AccountState, KnownState};

/// A field of each key whose loss must be noticed. Where it is missing, the rest was lost, too.
pub(super) const SENTINEL: &str = "\n";

/// An account of the fleet, as its auth workers tell of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AccountRow {
    pub(super) definition: Definition,
    /// Why no process can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unavailable: Option<Unavailable>,
    /// When the fleet's access token expires. An earlier version has not said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<u64>,
}

impl AccountRow {
    /// Returns why no process can use the account at `now`. If its worker has ended, and no other
    /// has it, nobody tells that its token has expired.
    pub(super) fn unavailable_at(&self, now: u64) -> Option<Unavailable> {
        let has_expired = self.expires.is_some_and(|expires| expires <= now);
        let expired = || has_expired.then(|| Unavailable::new(QuarantineCause::Expired, None, None));
        self.unavailable.clone().or_else(expired)
    }
}

/// Why an account cannot be used, and until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Unavailable {
    /// The name of a [`QuarantineCause`].
    cause: String,
    /// `None` if new tokens are on their way, and 0 if it does not return by itself.
    pub(super) until: Option<u64>,
    /// What led to it. It holds no secret, as no error does.
    #[serde(default)]
    pub(super) error: Option<String>,
}

impl Unavailable {
    pub(super) fn new(cause: QuarantineCause, until: Option<u64>, error: Option<String>) -> Self {
        Self { cause: cause.name().to_owned(), until, error }
    }

    /// Returns the cause. That of a later version counts as one that new tokens end.
    pub(super) fn cause(&self) -> QuarantineCause {
        QuarantineCause::by_name(&self.cause).unwrap_or(QuarantineCause::Expired)
    }
}

/// The share of an account that a member has, as the coordinator has written it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ShareRow {
    /// How many of the account's units the member may use.
    pub(super) units: u32,
    /// How many more it had, and has not released yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) leaving: u32,
    pub(super) of: u32,
    /// Tells this share from those that the member had of the account before.
    pub(super) grant: u64,
    /// Counts the changes of its units, so that a late release is not taken for another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) step: u32,
    /// How many leases other members hold that had the account before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) held_elsewhere: u32,
    /// What calls of such members have cost beside, as was told since the member was given it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) late_cost: u64,
    /// Until when the account rests for what another member that had a part of it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rest: Option<Rest>,
    /// What is known of the account's state.
    #[serde(default, skip_serializing_if = "KnownState::is_unused")]
    pub(super) known: KnownState,
}

/// The rows of a member, by account.
pub(super) type RowsOfMember = BTreeMap<String, ShareRow>;
pub(super) type RowsByMember = BTreeMap<String, RowsOfMember>;

/// Why an account rests, as the name of a [`QuarantineCause`], and until when.
pub(super) type Rest = (String, u64);

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// What a member says with each heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MemberReport {
    /// How much is asked for by the tag that callers ask for: those that wait, and leases in use.
    pub(super) demand: Vec<(Option<String>, u32)>,
    /// The accounts that callers with keys wait for.
    #[serde(default)]
    pub(super) wanted: Vec<(String, u32)>,
    /// Since which of Redis' losses the member has known what it holds.
    pub(super) incarnation: String,
    /// Set if the coordinator is to confirm what the member holds, since Redis has lost something.
    /// Another number is another question, which the answer to an earlier one does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asks: Option<u64>,
    /// What the member holds, while it asks; and when it has left, what it has used last, by its
    /// grant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) claims: BTreeMap<String, ShareRow>,
    /// The rests of accounts of which others have parts, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) rests: BTreeMap<String, Rest>,
    pub(super) figures: Figures,
}

/// Returns until when a member may use its shares, and its report, of what Redis has of it. A
/// report that a later version has written is left out.
pub(super) fn of_said(said: &str) -> Option<(u64, Option<MemberReport>)> {
    let (until, report) = said.split_once(' ')?;
    Some((until.parse().ok()?, serde_json::from_str(report).ok()))
}

/// A member's figures, for the status of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) waiting: usize,
    pub(super) leases: u64,
    pub(super) per_minute: f64,
    /// The accounts that rest here, at most a hundred: name, cause, and milliseconds left.
    pub(super) resting: Vec<(String, String, u64)>,
}

/// An auth worker's figures, for the status of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct WorkerFigures {
    /// Until when the worker is believed to live.
    pub(super) until: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// How many of its accounts cannot renew their tokens.
    pub(super) failing: usize,
    /// For how long its accounts' tokens live on average, in seconds.
    pub(super) average_ttl: Option<f64>,
}

/// A share, or a part of one, that a member gives back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Release {
    pub(super) grant: u64,
    #[serde(default)]
    pub(super) step: u32,
    /// How many units the member goes on to use.
    pub(super) units: u32,
    /// How many leases it still holds.
    pub(super) held: u32,
    /// Until when those count if the member is gone.
    #[serde(default)]
    pub(super) until: Option<u64>,
    /// The state of the account, if the member had the whole of it and gives all back.
    #[serde(default)]
    pub(super) state: Option<AccountState>,
}

impl Release {
    /// Returns that of all units but those that stay in a row.
    pub(super) fn of(row: &ShareRow) -> Self {
        let &ShareRow { grant, step, units, .. } = row;
        Self { grant, step, units, held: 0, until: None, state: None }
    }
}

/// What counts as spent of an account with quotas if the member dies that has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Reservation {
    /// Of which share it is.
    pub(super) grant: u64,
    pub(super) state: AccountState,
}

/// Returns what a member has written last beside its reservations: how often it has, and what Redis
/// had lost when all of them were told.
pub(super) fn reservations_word(number: u64, incarnation: &str) -> String {
    format!("{number} {incarnation}")
}

/// Separates the member from the account in the name of a field. A member's name is hexadecimal.
const SEPARATOR: char = '\n';

/// Returns the field of what `member` has released of `account`.
pub(super) fn release_field(account: &str, member: &str) -> String {
    format!("{member}{SEPARATOR}{account}")
}

/// Returns the field of what calls of `account` have cost beside after another had it. The number
/// tells it from others: it counts what `member` has told, or is the grant of a share that it had.
pub(super) fn late_cost_field(account: &str, member: &str, number: u64) -> String {
    release_field(account, &format!("{member}:{number}"))
}

/// Returns member and account of a field.
pub(super) fn of_release_field(field: &str) -> Option<(&str, &str)> {
    field.split_once(SEPARATOR)
}
