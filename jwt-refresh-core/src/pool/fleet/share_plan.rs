//! What the coordinator writes of shares.

use serde::Serialize;

use super::messages::{Release, ShareRow, late_cost_field, release_field};
use crate::pool::share::AccountState;

/// What the coordinator writes, in one step.
#[derive(Debug, Default, Serialize)]
pub(super) struct SharePlan {
    pub(super) members: Vec<MemberPlan>,
    /// What is to be remembered of dead members, by field, and what stood there. If something
    /// else stands there by now, nothing of the plan is written.
    pub(super) left: Vec<(String, String, String)>,
    /// Likewise of what members had told; but if one has told something else since, that holds. An
    /// empty text is remembered no longer.
    pub(super) changed: Vec<(String, String, String)>,
    /// The incarnation that is learnt now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) learnt: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MemberPlan {
    pub(super) name: String,
    pub(super) dead: bool,
    /// What the member asked. Rows that are not named here are removed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fresh: Option<String>,
    /// Account and row; an empty row removes it.
    pub(super) rows: Vec<(String, String)>,
}

impl SharePlan {
    /// Plans to count what a member has released until a time only. What it has told of its quotas
    /// stays exact. `text` is what stands there.
    pub(super) fn change(&mut self, account: &str, member: &str, release: &mut Release, text: &mut String, until: u64) {
        release.until = Some(until);
        if let Some(state) = &mut release.state {
            state.reserved.get_or_insert_default();
        }
        let stood = std::mem::replace(text, written(release));
        self.changed.push((release_field(account, member), text.clone(), stood));
    }

    /// Plans to forget what was told in a field.
    pub(super) fn forget(&mut self, field: String, told: String) {
        self.changed.push((field, String::new(), told));
    }

    /// Plans to remember what the holder of a row was told of late costs and has not counted in the
    /// state that it leaves, for who has the account next.
    pub(super) fn leave_late_cost(
        &mut self,
        account: &str,
        member: &str,
        row: &ShareRow,
        state: Option<&AccountState>,
    ) {
        let left = row.late_cost.saturating_sub(state.map_or(0, |state| state.late_cost));
        if left > 0 {
            self.left.push((late_cost_field(account, member, row.grant), left.to_string(), String::new()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.left.is_empty() && self.changed.is_empty() && self.learnt.is_none()
    }
}

/// Returns a release as it is in Redis.
pub(super) fn written(release: &Release) -> String {
    serde_json::to_string(release).unwrap_or_default()
}
