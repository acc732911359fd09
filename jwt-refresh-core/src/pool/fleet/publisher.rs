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
use crate::pool::quarantine::{Quarantine, QuarantineCause};
use crate::pool::share::AccountChange;
use crate::redis::{Connection, Subscription};
use crate::store::StoreError;
use crate::sync::Mutex;

/// How many accounts are told of at once.
const AT_ONCE: usize = 500;
/// How often it is looked whether Redis still has what it was told, and what members want.
const ROUND: Duration = Duration::from_secs(1);
const SHORTEST_ROUND: Duration = Duration::from_millis(2);
/// For how long after its last word a worker is believed to live, and when its row is deleted, in
/// microseconds.
const BELIEVED: u64 = 5_000_000;
const KEPT: u64 = 60_000_000;
/// How often it is looked for rows of workers that have ended, and for what cannot be read.
const CLEANING: Duration = Duration::from_secs(60);

pub(super) struct Publisher {
    pool: Pool,
    place: FleetPlace,
    link: Arc<Connection>,
    clock: Clock,
    worker: String,
    definitions: Arc<Mutex<BTreeMap<String, Definition>>>,
    /// How often it was begun and ended to tell of accounts: odd while they are told of.
    telling: watch::Sender<u64>,
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
    /// What was told last of each account: its row, unless it was out of date, and the sequence of
    /// its token.
    told: BTreeMap<String, (Option<AccountRow>, u64)>,
    outdated: BTreeMap<String, Outdated>,
    /// What members want and was acted on last, with the time since boot.
    wants: BTreeMap<String, (String, Timestamp)>,
}

/// What this worker has to say of an account that it has no token of, while the fleet has one. It
/// is told when that one has expired: then no other worker has renewed it.
struct Outdated {
    change: AccountChange,
    /// The sequence of the fleet's token.
    sequence: u64,
    /// Until when that one lives, as far as is known, since boot.
    until: Timestamp,
}

impl Publisher {
    pub(super) fn new(
        place: &FleetPlace,
        pool: &Pool,
        clock: Clock,
        worker: String,
        definitions: Arc<Mutex<BTreeMap<String, Definition>>>,
        telling: watch::Sender<u64>,
    ) -> Result<Self, Error> {
        Ok(Self {
            pool: pool.clone(),
            link: place.link()?,
            place: place.clone(),
            clock,
            worker,
            definitions,
            telling,
            time: None,
            rev: 0,
            sentinel: None,
            cleaned: None,
            pending: BTreeMap::new(),
            told: BTreeMap::new(),
            outdated: BTreeMap::new(),
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
            self.tell_outdated(time).await?;
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

    /// Tells of what has changed. Who removes an account meanwhile waits until that has ended, or
    /// it would be registered again.
    async fn publish(&mut self, time: RedisTime) -> Result<(), StoreError> {
        self.compare_definitions().await?;
        self.telling.send_modify(|turns| *turns += 1);
        let told = self.tell(time).await;
        self.telling.send_modify(|turns| *turns += 1);
        told
    }

    async fn tell(&mut self, time: RedisTime) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.place.keys);
        let mut arguments: Vec<Vec<u8>> = vec![keys.channel("changes").into()];
        let mut told = Vec::new();
        for (name, change) in &self.pending {
            let Some(definition) = self.definitions.lock().get(name).cloned() else { continue };
            let unavailable = change.quarantine.as_ref().map(|quarantine| unavailable(quarantine, time));
            let row = AccountRow { definition, unavailable };
            let before = self.told.get(name);
            let token = match &change.token {
                Some(token) => tokens::write(&self.place, name, token, time)?.to_vec(),
                None => Vec::new(),
            };
            let sequence = change.token.as_ref().map_or(before.map_or(0, |before| before.1), |token| token.sequence);
            // With a new token the row is told again: another worker may have told meanwhile that
            // the account cannot be used, since it saw the last token expire.
            let is_told = |(last, with): &(Option<AccountRow>, u64)| last.as_ref() == Some(&row) && *with == sequence;
            let json =
                if before.is_some_and(is_told) { Vec::new() } else { serde_json::to_vec(&row).unwrap_or_default() };
            let is_new = if before.is_none() { "1" } else { "0" };
            arguments.extend([name.clone().into(), json, sequence.to_string().into(), token, is_new.into()]);
            told.push((name.clone(), (Some(row), sequence)));
        }
        let mut outdated = Vec::new();
        if arguments.len() > 1 {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            let names = [&*keys.accounts, &keys.account_changes, &keys.tokens, &keys.state, &keys.wants];
            (self.rev, outdated) = self.link.run(&PUBLISH, &names, &arguments).await?;
        }
        self.told.extend(told);
        self.catch_up(outdated);
        self.pending.clear();
        Ok(())
    }

    /// Has tokens replaced that are older than those that the fleet has by their sequence. Mostly
    /// another worker has renewed, and the vault has what it got. If the vault was lost, and all
    /// that knew its sequences ended, they begin anew, and have to go on after those of the fleet.
    fn catch_up(&mut self, outdated: Vec<(String, u64)>) {
        for (name, sequence) in outdated {
            self.pool.catch_up(&name, sequence);
            if let Some(told) = self.told.get_mut(&name) {
                told.0 = None;
            }
            if let Some(change) = self.pending.remove(&name).filter(|change| change.token.is_none()) {
                let until = self.clock.moment().boot;
                self.outdated.insert(name, Outdated { change, sequence, until });
            }
        }
    }

    /// Tells what was out of date of accounts that no worker has a token of any more.
    async fn tell_outdated(&mut self, time: RedisTime) -> Result<(), StoreError> {
        let now = self.clock.moment();
        let due = self.outdated.iter().filter(|(_, outdated)| outdated.until <= now.boot);
        let room = AT_ONCE.saturating_sub(self.pending.len());
        let names: Vec<String> = due.map(|(name, _)| name.clone()).take(room).collect();
        if names.is_empty() {
            return Ok(());
        }
        let tokens = tokens::read(&self.place, &self.link, &names, time, now).await?;
        for name in names {
            let Some(mut outdated) = self.outdated.remove(&name) else { continue };
            let until = match tokens.get(&name) {
                Some(Ok(token)) => token.expires.boot,
                // It is sealed with a key that this worker lacks, so another one is to tell.
                Some(Err(_)) => now.boot + CLEANING,
                None => now.boot,
            };
            if now.boot < until {
                outdated.until = until;
                self.outdated.insert(name, outdated);
                continue;
            }
            if let Some(told) = self.told.get_mut(&name) {
                told.1 = outdated.sequence;
            }
            self.pending.insert(name, outdated.change);
        }
        Ok(())
    }

    /// Warns of accounts that other workers have registered with other limits, which end now.
    async fn compare_definitions(&mut self) -> Result<(), StoreError> {
        let new: Vec<String> = self.pending.keys().filter(|name| !self.told.contains_key(*name)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(&self.place.keys.accounts).arg(&new);
        let rows: Vec<Option<Vec<u8>>> = self.link.query(&command).await?;
        for (name, row) in new.iter().zip(rows) {
            let other = row.and_then(|row| serde_json::from_slice::<AccountRow>(&row).ok());
            let own = self.definitions.lock().get(name).cloned();
            if other.zip(own).is_some_and(|(other, own)| other.definition != own) {
                tracing::warn!(
                    target: "jwt_refresh",
                    account = name,
                    "another auth worker has registered the account with other limits or tags; those of this worker hold \
                     from now on (give all workers the same)"
                );
            }
        }
        Ok(())
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
            if self.wants.contains_key(&account) || !self.definitions.lock().contains_key(&account) {
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
        let now = time.early(self.clock.moment().boot.as_nanos());
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
        let rows = self.link.all_of(key).await?;
        let until = |row: &str| serde_json::from_str::<WorkerFigures>(row).ok().map(|worker| worker.until);
        let has_ended =
            |(_, row): &(&String, &String)| until(row).is_some_and(|until| until.saturating_add(KEPT) < now);
        let ended: Vec<&String> = rows.iter().filter(has_ended).map(|(worker, _)| worker).collect();
        if !ended.is_empty() {
            self.link.query::<i64>(redis::cmd("HDEL").arg(key).arg(&ended)).await?;
        }
        self.cleaned = Some(boot);
        Ok(())
    }
}

/// Returns why no process can use an account that is in quarantine at its auth worker.
fn unavailable(quarantine: &Quarantine, time: RedisTime) -> Unavailable {
    let until =
        quarantine.until.map(|until| if until == Timestamp::NEVER.as_nanos() { 0 } else { time.early(until).max(1) });
    Unavailable::new(quarantine.cause, until, quarantine.error.as_ref().map(ToString::to_string))
}
