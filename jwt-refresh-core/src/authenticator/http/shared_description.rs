//! Descriptions that are equal are one: the accounts of a pool are often described each anew, and
//! differ only in their values.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::description::PreparedDescription;
use crate::sync::Mutex;

/// How many descriptions are compared with. A program talks to few servers at a time.
const REMEMBERED: usize = 16;

static LATEST: Mutex<VecDeque<Weak<PreparedDescription>>> = Mutex::new(VecDeque::new());

/// Returns the equal one of the latest descriptions that are in use, else this one.
pub(super) fn shared(description: PreparedDescription) -> Arc<PreparedDescription> {
    let mut latest = LATEST.lock();
    let equal = latest.iter().filter_map(Weak::upgrade).find(|other| **other == description);
    equal.unwrap_or_else(|| {
        let description = Arc::new(description);
        latest.retain(|other| other.strong_count() > 0);
        latest.truncate(REMEMBERED - 1);
        latest.push_front(Arc::downgrade(&description));
        description
    })
}
