//! What the coordinator has seen in Redis.

use std::collections::BTreeMap;

use super::messages::{MemberReport, Release, Reservation, of_release_field};

/// What Redis holds of members, at a time on its clock.
pub(super) struct Seen {
    pub(super) now: u64,
    /// The same time since boot, in microseconds.
    pub(super) boot: u64,
    /// Until when each member may use its shares.
    pub(super) until: BTreeMap<String, u64>,
    pub(super) reports: BTreeMap<String, MemberReport>,
    /// What members have reserved of quotas whose time is up, if Redis has lost nothing of it.
    pub(super) reserved: BTreeMap<String, BTreeMap<String, Reservation>>,
    /// What members have released, by field, with the text that Redis holds.
    pub(super) released: BTreeMap<String, (Release, String)>,
    /// What calls have cost beside after their account had gone to another, by account.
    pub(super) late_costs: BTreeMap<String, Vec<LateCost>>,
}

/// A cost, and of where Redis holds it the field and the text.
pub(super) type LateCost = (u64, (String, String));

impl Seen {
    /// Takes what Redis holds of what was released, and told since.
    pub(super) fn take_released(&mut self, told: BTreeMap<String, String>) {
        for (field, text) in told {
            if let Ok(release) = serde_json::from_str(&text) {
                self.released.insert(field, (release, text));
            } else if let (Some((_, account)), Ok(cost)) = (of_release_field(&field), text.parse()) {
                self.late_costs.entry(account.to_owned()).or_default().push((cost, (field, text)));
            }
        }
    }
}
