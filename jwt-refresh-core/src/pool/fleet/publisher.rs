//! What an auth worker tells the fleet: its accounts, their access tokens, and which of them cannot
//! be used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::messages::{AccountRow, Unavailable, WorkerFigures};
use super::place::FleetPlace;
use super::redis_time::RedisTime;
use super::scripts::{LOOK, PUBLISH};
use super::tokens;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::pool::definition::Definition;
use crate::pool::local::Pool;
use crate::pool::quarantine::QuarantineCause;
use crate::pool::share::AccountChange;
use crate::redis::{Connection, Subscription};
use crate::store::StoreError;
use crate::sync::Mutex;

#[cfg(test)]
mod tests;

/// How many accounts are told of at once.
const AT_ONCE: usize = 500;
/// How often it is looked whether Redis still has what it was told, and what members want.
const ROUND: Duration = Duration::from_secs(1);
const SHORTEST_ROUND: Duration = Duration::from_millis(2);
/// For how long after its last word a worker is believed to live, in microseconds.
const BELIEVED: u64 = 5_000_000;
/// When the row of a worker that has ended is deleted, and when it is looked again at one of an
/// account that does not say when its token expires, in microseconds.
const KEPT: u64 = 60_000_000;
/// How often it is looked for rows of workers that have ended.
const CLEANING: Duration = Duration::from_secs(60);

pub(super) struct Publisher {
    pool: Pool,
    place: FleetPlace,
    link: Arc<Connection>,
    clock: Clock,
    worker: String,
    registered: Arc<Registered>,
    time: Option<RedisTime>,
    /// The last revision that this worker has written.
    rev: u64,
    /// What stood in the sentinels when this worker told of all its accounts. Which worker sees
    /// first that one is missing writes others, so that each worker sees it, and tells of its own.
    sentinel: Option<i64>,
    /// When this worker has looked for rows of workers that have ended, since boot.
    cleaned: Option<Timestamp>,
    /// What has changed and is not told yet.
    pending: BTreeMap<String, AccountChange>,
    /// What was told last of each account.
    told: BTreeMap<String, Told>,
    /// What is to be said of accounts that this worker has no token of, while the fleet has one,
    /// and when: once that one has expired, for then no other worker has renewed it.
    outdated: BTreeMap<String, (AccountChange, u64)>,
    /// The sequences of the fleet's tokens that have expired. What is told of their accounts next
    /// is not out of date for them. What is told later may be: one can turn out to live.
    expired: BTreeMap<String, u64>,
    /// What members want and was acted on last, with the time since boot.
    wants: BTreeMap<String, (String, Timestamp)>,
}

/// The accounts of an auth worker, as it registers them.
#[derive(Default)]
pub(super) struct Registered {
    pub(super) definitions: Mutex<BTreeMap<String, Definition>>,
    /// Its sender is dropped once the fleet was told of accounts.
    telling: Mutex<Option<watch::Receiver<()>>>,
}

impl Registered {
    /// Waits until the fleet was told of the accounts of which it is told now, if of any.
    pub(super) async fn until_told(&self) {
        let telling = self.telling.lock().clone();
        if let Some(mut telling) = telling {
            let _ = telling.changed().await;
        }
    }
}

/// What is told of an account.
struct Told {
    row: AccountRow,
    /// The sequence of its token.
    sequence: u64,
    /// Whether the fleet had a later token, so that the row was not taken.
    is_outdated: bool,
}

impl Told {
    /// Returns what is to be told of an account at `now`, on Redis' clock, after `before`.
    fn new(definition: Definition, change: &AccountChange, before: Option<&Self>, time: RedisTime, now: u64) -> Self {
        let (sequence, expires) = match (&change.token, before) {
            (Some(token), _) => (token.sequence, Some(time.early(token.expires.boot.as_nanos()))),
            (None, Some(before)) => (before.sequence, before.row.expires),
            // If Redis has lost rows, and the token is left, its worker tells of it until then.
            (None, None) => (0, Some(now + BELIEVED)),
        };
        let row = AccountRow { definition, unavailable: unavailable(change, time), expires };
        Self { row, sequence, is_outdated: false }
    }

    /// Whether the row says what it said before. When the token expires is measured each time.
    fn is_old(&self, before: &Self) -> bool {
        let (row, last) = (&self.row, &before.row);
        let says_the_same = row.definition == last.definition && row.unavailable == last.unavailable;
        says_the_same && self.sequence == before.sequence && !before.is_outdated
    }
}

impl Publisher {
    pub(super) fn new(
        place: &FleetPlace,
        pool: &Pool,
        clock: Clock,
        worker: String,
        registered: Arc<Registered>,
    ) -> Result<Self, Error> {
        Ok(Self {
            pool: pool.clone(),
            link: place.link()?,
            place: place.clone(),
            clock,
            worker,
            registered,
            time: None,
            rev: 0,
            sentinel: None,
            cleaned: None,
            pending: BTreeMap::new(),
            told: BTreeMap::new(),
            outdated: BTreeMap::new(),
            expired: BTreeMap::new(),
            wants: BTreeMap::new(),
        })
    }

    /// Does rounds until it is dropped. `wanted` tells of members that want new tokens.
    pub(super) async fn run(mut self, mut wanted: Subscription) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(target: "jwt_refresh", %error, "an auth worker could not tell the fleet's Redis of its accounts, and tries again");
                tokio::time::sleep(ROUND.mul_f64(0.2 + 0.2 * fastrand::f64())).await;
                continue;
            }
            tokio::time::sleep(SHORTEST_ROUND).await;
            tokio::select! {
                () = self.pool.changed() => {}
                () = wanted.notified() => {}
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let time = self.look().await?;
        loop {
            self.tell_outdated(self.now(time));
            // What could not be told before goes first.
            for change in self.pool.take_changed(AT_ONCE.saturating_sub(self.pending.len())) {
                self.outdated.remove(&change.name);
                if change.is_removed {
                    self.told.remove(&change.name);
                } else {
                    self.pending.insert(change.name.clone(), change);
                }
            }
            if self.pending.is_empty() {
                break;
            }
            self.publish(time).await?;
        }
        self.renew_wanted().await?;
        self.tell_figures(time).await
    }

    /// Measures Redis' clock, and looks whether Redis has lost what it was told. Then it is told
    /// anew.
    async fn look(&mut self) -> Result<RedisTime, StoreError> {
        let keys = &self.place.keys;
        let names = [&*keys.accounts, &keys.account_changes, &keys.tokens, &keys.state];
        // As a version a sentinel is below that of every row, so that no mirror reads it.
        let arguments = [self.rev.to_string(), (-fastrand::i64(1..1 << 50)).to_string()];
        let arguments = arguments.each_ref().map(String::as_bytes);
        let sent = self.clock.moment().boot.as_nanos();
        let (seconds, micros, sentinel): (u64, u64, i64) = self.link.run(&LOOK, &names, &arguments).await?;
        let received = self.clock.moment().boot.as_nanos();
        let time = RedisTime::measure(self.time, seconds * 1_000_000 + micros, sent, received);
        self.time = Some(time);
        if self.sentinel.replace(sentinel) != Some(sentinel) {
            self.rev = 0;
            self.told.clear();
            self.outdated.clear();
            self.pool.watch();
        }
        Ok(time)
    }

    /// Returns what Redis' clock shows.
    fn now(&self, time: RedisTime) -> u64 {
        time.early(self.clock.moment().boot.as_nanos())
    }

    /// Has what was out of date of accounts told whose token has expired. Where the fleet has a
    /// later one by now, it is out of date again.
    fn tell_outdated(&mut self, now: u64) {
        let Self { outdated, pending, .. } = self;
        outdated.retain(|name, (change, until)| {
            let is_due = *until <= now && pending.len() < AT_ONCE;
            if is_due {
                pending.insert(name.clone(), change.clone());
            }
            !is_due
        });
    }

    /// Tells of what has changed.
    async fn publish(&mut self, time: RedisTime) -> Result<(), StoreError> {
        // Who removes an account waits until this is dropped, or it would be registered again.
        let (_telling, until_told) = watch::channel(());
        *self.registered.telling.lock() = Some(until_told);
        let (keys, now) = (&self.place.keys, self.now(time));
        let mut arguments: Vec<Vec<u8>> = vec![keys.channel("changes").into()];
        let mut told = BTreeMap::new();
        for (name, change) in &self.pending {
            let Some(definition) = self.registered.definitions.lock().get(name).cloned() else { continue };
            let before = self.told.get(name);
            let new = Told::new(definition, change, before, time, now);
            let token = match &change.token {
                Some(token) => tokens::write(&self.place, name, token, time)?.to_vec(),
                None => Vec::new(),
            };
            // With a new token the row is told again: another worker may have told meanwhile that
            // the account cannot be used, since it saw the last token expire.
            let is_old = before.is_some_and(|before| new.is_old(before));
            let row = if is_old { Vec::new() } else { serde_json::to_vec(&new.row).unwrap_or_default() };
            let expired = self.expired.remove(name).filter(|_| change.token.is_none());
            let sequence = expired.unwrap_or(new.sequence).to_string();
            let is_new = if before.is_none() { "1" } else { "0" };
            arguments.extend([name.clone().into(), row, sequence.into(), token, is_new.into()]);
            told.insert(name.clone(), new);
        }
        let mut others = Vec::new();
        if !told.is_empty() {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let names = [&*keys.accounts, &keys.account_changes, &keys.tokens, &keys.state, &keys.wants];
            (self.rev, others) = self.link.run(&PUBLISH, &names, &arguments).await?;
        }
        self.compare(others, &mut told, now);
        self.told.extend(told);
        Ok(())
    }

    /// Compares what this worker has told with what others had told of the same accounts: each with
    /// the sequence of the fleet's token and the row that was there.
    ///
    /// Has tokens replaced that are older than the fleet's by their sequence. Mostly another worker
    /// has renewed, and the vault has what it got. If the vault was lost, and all that knew its
    /// sequences ended, they begin anew, and have to go on after those of the fleet.
    fn compare(&mut self, others: Vec<Other>, told: &mut BTreeMap<String, Told>, now: u64) {
        let mut pending = std::mem::take(&mut self.pending);
        for (name, sequence, row) in others {
            let (Some(told), Some(change)) = (told.get_mut(&name), pending.remove(&name)) else { continue };
            let row = row.and_then(|row| serde_json::from_slice::<AccountRow>(&row).ok());
            if !self.told.contains_key(&name) && row.as_ref().is_some_and(|row| row.definition != told.row.definition) {
                warn_of_other_limits(&name);
            }
            told.is_outdated = sequence > told.sequence;
            if !told.is_outdated {
                continue;
            }
            self.pool.catch_up(&name, sequence);
            let expires = row.and_then(|row| row.expires).unwrap_or(now + KEPT);
            if change.token.is_none() && expires <= now {
                self.expired.insert(name.clone(), sequence);
                self.pending.insert(name, change);
            } else if change.token.is_none() {
                self.outdated.insert(name, (change, expires));
            }
        }
    }

    /// Renews the tokens that members want to be renewed. What is wanted stands in Redis until
    /// there is a later token. It is acted on when it is new, and once a round from then on, since
    /// this worker may get the token that it speaks of only later.
    async fn renew_wanted(&mut self) -> Result<(), StoreError> {
        let wants = self.link.all_of(&self.place.keys.wants).await?;
        let now = self.clock.moment().boot;
        self.wants.retain(|account, (want, acted)| wants.get(account) == Some(want) && now < *acted + ROUND);
        for (account, want) in wants {
            let Some((sequence, cause)) = want.split_once(':') else { continue };
            let Ok(sequence) = sequence.parse() else { continue };
            if self.wants.contains_key(&account) || !self.registered.definitions.lock().contains_key(&account) {
                continue;
            }
            let cause = QuarantineCause::by_name(cause).unwrap_or(QuarantineCause::Rejected);
            self.pool.renew_rejected(&account, sequence, cause);
            self.wants.insert(account, (want, now));
        }
        Ok(())
    }

    /// Says that this worker lives, and how it is doing.
    async fn tell_figures(&mut self, time: RedisTime) -> Result<(), StoreError> {
        let keys = &self.place.keys;
        let now = self.now(time);
        let (succeeded, failed) = self.pool.exchange_counts();
        let status = self.pool.status();
        let figures = WorkerFigures {
            until: now + BELIEVED,
            succeeded,
            failed,
            failing: status.failing,
            average_ttl: status.average_ttl.map(|ttl| ttl.as_secs_f64()),
        };
        let figures = serde_json::to_string(&figures).unwrap_or_default();
        self.link.query::<i64>(redis::cmd("HSET").arg(&keys.workers).arg(&self.worker).arg(figures)).await?;
        self.delete_ended(now).await
    }

    /// Deletes the rows of workers that have ended. One that was only stopped writes its own again
    /// within a round.
    async fn delete_ended(&mut self, now: u64) -> Result<(), StoreError> {
        let boot = self.clock.moment().boot;
        if self.cleaned.is_some_and(|cleaned| boot < cleaned + CLEANING) {
            return Ok(());
        }
        let key = &self.place.keys.workers;
        for (worker, row) in self.link.all_of(key).await? {
            let ended = serde_json::from_str(&row).is_ok_and(|row: WorkerFigures| row.until.saturating_add(KEPT) < now);
            if ended {
                self.link.query::<i64>(redis::cmd("HDEL").arg(key).arg(worker)).await?;
            }
        }
        self.cleaned = Some(boot);
        Ok(())
    }
}

/// What another worker has told of an account: its name, the sequence of its token, and its row.
type Other = (String, u64, Option<Vec<u8>>);

fn warn_of_other_limits(account: &str) {
    tracing::warn!(
        target: "jwt_refresh",
        account,
        "another auth worker has registered the account with other limits or tags; those of this worker hold \
         from now on (give all workers the same)"
    );
}

/// Returns why no process can use an account, if it is in quarantine at its auth worker, or has no
/// token yet.
fn unavailable(change: &AccountChange, time: RedisTime) -> Option<Unavailable> {
    let Some(quarantine) = &change.quarantine else {
        return change.token.is_none().then(|| Unavailable::new(QuarantineCause::Joining, None, None));
    };
    let never = Timestamp::NEVER.as_nanos();
    let until = quarantine.until.map(|until| if until == never { 0 } else { time.late(until) });
    Some(Unavailable::new(quarantine.cause, until, quarantine.error.as_ref().map(ToString::to_string)))
}
