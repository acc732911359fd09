//! A lease of a pool in Redis, in the hands of one who uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use super::fleet::Fleet;
use super::outbox::Message;
use crate::pool::lease::{LeaseBackend, Report};
use crate::pool::limits::Pin;
use crate::token::AccessToken;

/// What belongs to an account, as this process has seen it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) name: Arc<str>,
    pub(super) token: AccessToken,
    pub(super) pin: Option<Pin>,
}

pub(super) struct RedisLeaseBackend {
    pub(super) fleet: Arc<Fleet>,
    pub(super) known: Known,
    /// Which of the leases that the account's concurrency counts, if it does.
    pub(super) held: Option<i64>,
    pub(super) released: AtomicBool,
}

impl RedisLeaseBackend {
    fn release(&self) {
        let Some(held) = self.held else { return };
        if !self.released.swap(true, Ordering::AcqRel) {
            self.fleet.let_go(held);
            self.fleet.outbox.push(Message::release(&self.known.name, held));
        }
    }
}

impl Drop for RedisLeaseBackend {
    fn drop(&mut self) {
        self.release();
    }
}

impl LeaseBackend for RedisLeaseBackend {
    fn account(&self) -> &str {
        &self.known.name
    }

    fn token(&self) -> &AccessToken {
        &self.known.token
    }

    fn pin(&self) -> Option<&Pin> {
        self.known.pin.as_ref()
    }

    #[cfg(feature = "reqwest")]
    fn client(&self) -> Option<&reqwest::Client> {
        self.pin()?.downcast_ref()
    }

    fn pool(&self) -> u64 {
        self.fleet.id
    }

    /// Does nothing: the scripts know of no cost.
    fn spent(&self, _: u64) {}

    fn was_rate_limited(&self) -> bool {
        false
    }

    /// Does nothing: the scripts learn no limits.
    fn observe(&self, _: &HeaderMap) {}

    fn report(&self, report: Report) {
        if report == Report::Succeeded && !self.fleet.is_news(&self.known.name) {
            return;
        }
        self.fleet.outbox.push(Message::of(report, &self.known.name, self.known.token.generation()));
        if report.ends_lease() {
            self.release();
        }
    }
}
