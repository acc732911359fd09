//! What a process tells Redis of shares that it has given back.

use std::collections::BTreeMap;

use crate::pool::fleet::messages::{Release, late_cost_field, release_field};

pub(super) struct Releases {
    /// The name of the process.
    member: String,
    /// What Redis was told last of each account, or is to be told.
    pub(super) told: BTreeMap<String, Release>,
    /// What Redis is to be told, by field.
    pub(super) unsent: BTreeMap<String, String>,
    /// How many late costs there were.
    late_costs: u64,
}

impl Releases {
    pub(super) fn new(member: &str) -> Self {
        Self { member: member.to_owned(), told: BTreeMap::new(), unsent: BTreeMap::new(), late_costs: 0 }
    }

    /// Plans to tell of a share, or of a part of one, that is given back.
    pub(super) fn tell(&mut self, account: &str, release: Release) {
        let text = serde_json::to_string(&release).unwrap_or_default();
        self.unsent.insert(release_field(account, &self.member), text);
        self.told.insert(account.to_owned(), release);
    }

    /// Plans to tell how many leases are still held of an account that was given back.
    pub(super) fn tell_held(&mut self, account: &str, held: u32) {
        if let Some(told) = self.told.get(account).filter(|told| told.held != held).cloned() {
            self.tell(account, Release { held, ..told });
        }
    }

    /// Plans to tell what a call has cost beside after its account had gone to another. Each cost
    /// has a field of its own, so that it is counted once.
    pub(super) fn tell_late_cost(&mut self, account: &str, cost: u64) {
        self.late_costs += 1;
        self.unsent.insert(late_cost_field(account, &self.member, self.late_costs), cost.to_string());
    }

    /// Returns what Redis is to be told, as fields and values.
    pub(super) fn unsent(&self) -> impl Iterator<Item = String> {
        self.unsent.iter().flat_map(|(field, text)| [field.clone(), text.clone()])
    }

    /// Forgets what was told of shares, since others say by now what is true of them. Returns it.
    pub(super) fn forget(&mut self) -> BTreeMap<String, Release> {
        for account in self.told.keys() {
            self.unsent.remove(&release_field(account, &self.member));
        }
        std::mem::take(&mut self.told)
    }

    /// Whether there is something to tell, or will be when leases end.
    pub(super) fn are_open(&self) -> bool {
        !self.unsent.is_empty() || self.told.values().any(|told| told.held > 0)
    }
}
