//! The task of a process in a fleet: it tells Redis what the process needs, and the local pool
//! which shares it has. `report` is what it tells, `sync` what it reads, and `held_shares` what it
//! makes of that; `releases` are what it gives back, `reservations` how much of quotas it may use,
//! and `said` is what was said last of its callers.

mod held_shares;
mod releases;
mod report;
mod reservations;
mod said;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::releases::Releases;
use self::said::{NEWS, Said};
use super::member::{FleetMember, Pins, TaskProgress, TaskSignals, Wishes};
use super::messages::{AccountRow, ShareRow};
use super::mirror::Mirror;
use super::place::{FleetPlace, failed};
use super::redis_time::RedisTime;
use super::scripts::LEAVE;
use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::pool::definition::Definition;
use crate::pool::local::Pool;
use crate::pool::quarantine::QuarantineCause;
use crate::pool::share::{AccountChange, AccountState};
use crate::redis::{Connection, Subscription, Subscriptions, random_name};
use crate::runtime;
use crate::store::StoreError;

/// The longest time between two heartbeats, and the shortest between two rounds.
const LONGEST_BEAT: Duration = Duration::from_secs(1);
const SHORTEST_ROUND: Duration = Duration::from_millis(2);
/// How long a process whose pool was dropped tells of the leases that it held.
const LAST_LEASES: Duration = Duration::from_secs(30);
/// How many changes of accounts are taken at once.
const AT_ONCE: usize = 1000;

/// Starts the task of a process that joins a fleet, whose local pool is `pool`.
pub(super) fn start(place: FleetPlace, pool: Pool, pins: Option<Pins>) -> Result<Arc<FleetMember>, Error> {
    let (member, signals) = FleetMember::new(place, pool)?;
    let task = MemberTask::new(&member, pins, signals)?;
    runtime::handle()?.spawn(task.work());
    Ok(member)
}

struct MemberTask {
    /// The local pool's handle keeps it alive for as long as the task runs, which is until the last
    /// handle of the fleet's pool is dropped.
    pool: Pool,
    place: FleetPlace,
    clock: Clock,
    /// Its own connection: the task lives on the library's runtime, and a connection on one.
    link: Arc<Connection>,
    signals: TaskSignals,
    pins: Option<Pins>,
    /// The random name by which Redis knows this member.
    name: String,
    accounts: Mirror<AccountRow>,
    shares: Mirror<ShareRow>,
    /// The shares that the local pool has.
    held: BTreeMap<String, ShareRow>,
    time: Option<RedisTime>,
    incarnation: String,
    /// Until when the shares may be used, in nanoseconds since boot.
    until: i64,
    share_time: Duration,
    standing: MemberStanding,
    /// The definitions that the local pool has.
    definitions: BTreeMap<String, Definition>,
    /// The share of each account that this process has used last.
    used: BTreeMap<String, UsedShare>,
    releases: Releases,
    /// Accounts of which units are to be given back while others stay.
    shrinking: BTreeSet<String>,
    reservations: Reservations,
    news: News,
    /// The tokens that are to be renewed. Redis is told again until there are new ones, in case
    /// that it forgets it.
    wants: BTreeMap<String, (u64, QuarantineCause)>,
    has_new_wants: bool,
    /// Callers have begun to wait for what nothing here serves.
    has_new_demand: bool,
    /// Accounts that rest for what was reported here, and until when in nanoseconds since boot.
    rests: BTreeMap<String, (QuarantineCause, i64)>,
    /// Accounts whose tokens are to be read.
    without_token: BTreeSet<String>,
    said: Said,
}

/// A share that a process has used, and used no later one of the account.
struct UsedShare {
    grant: u64,
    /// What was known of the account if the share was given up without a word. If the coordinator
    /// has not given it to others, it is still this process' own.
    given_up: Option<AccountState>,
}

/// What Redis and the coordinator know of this member.
#[derive(Default)]
struct MemberStanding {
    /// Redis does not know it.
    joins: bool,
    /// The question to the coordinator what it holds, while it is open, since Redis has lost
    /// something.
    asks: Option<u64>,
    /// Redis did not answer last.
    is_disconnected: bool,
}

/// What has changed, and is to be read or told.
#[derive(Default)]
struct News {
    accounts: bool,
    shares: bool,
    rests: bool,
}

/// What may be spent of quotas.
#[derive(Default)]
struct Reservations {
    /// Accounts of which Redis is to be told that more of their quotas may be spent.
    short: BTreeSet<String>,
    /// The word by which Redis knows that it has lost nothing of what it was told. Without it all
    /// is told anew.
    last: Option<String>,
    words: u64,
}

impl MemberTask {
    fn new(member: &Arc<FleetMember>, pins: Option<Pins>, signals: TaskSignals) -> Result<Self, Error> {
        let place = member.place.clone();
        let (name, link) = (random_name().map_err(failed)?, place.link()?);
        let keys = &place.keys;
        Ok(Self {
            pool: member.pool.clone(),
            clock: member.clock.clone(),
            link,
            signals,
            pins,
            accounts: Mirror::new((keys.accounts.clone(), keys.account_changes.clone()), &keys.demand),
            shares: Mirror::new(keys.shares_of(&name), &keys.demand),
            held: BTreeMap::new(),
            time: None,
            incarnation: String::new(),
            until: i64::MIN,
            share_time: Duration::from_secs(3),
            standing: MemberStanding { joins: true, ..MemberStanding::default() },
            definitions: BTreeMap::new(),
            used: BTreeMap::new(),
            releases: Releases::new(&name),
            shrinking: BTreeSet::new(),
            reservations: Reservations::default(),
            news: News::default(),
            wants: BTreeMap::new(),
            has_new_wants: false,
            has_new_demand: false,
            rests: BTreeMap::new(),
            without_token: BTreeSet::new(),
            said: Said::default(),
            name,
            place,
        })
    }

    async fn work(mut self) {
        self.pool.watch();
        let hub = Subscriptions::new(Arc::clone(&self.link));
        let mut shares = hub.subscribe(self.place.keys.channel_of(&self.name));
        let mut changes = hub.subscribe(self.place.keys.channel("changes"));
        while !self.has_ended() {
            let pause = match self.round().await {
                Ok(()) => self.beat_pause(),
                Err(error) => self.disconnected(&error),
            };
            self.wait(pause, &mut shares, &mut changes).await;
        }
        self.leave().await;
    }

    /// Whether the pool was closed, or its last handle dropped.
    fn has_ended(&self) -> bool {
        let wishes = &self.signals.wishes;
        wishes.has_changed().is_err() || wishes.borrow().closes.is_some()
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, pause: Duration, shares: &mut Subscription, changes: &mut Subscription) {
        tokio::time::sleep(SHORTEST_ROUND).await;
        tokio::select! {
            biased;
            _ = self.signals.wishes.changed() => {}
            () = self.pool.demand_arose(), if !self.standing.is_disconnected => self.has_new_demand = true,
            () = shares.notified() => self.news.shares = true,
            () = changes.notified() => self.news.accounts = true,
            () = self.pool.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn beat_pause(&self) -> Duration {
        (self.share_time / 3).min(LONGEST_BEAT).min(NEWS)
    }

    /// Notes that Redis did not answer. Shares and tokens serve until their time is up; from then
    /// on callers get the error. Returns the pause until the next try.
    fn disconnected(&mut self, error: &StoreError) -> Duration {
        if !std::mem::replace(&mut self.standing.is_disconnected, true) {
            tracing::warn!(target: "jwt_refresh", %error, "a fleet's Redis failed; this process goes on with its shares");
        }
        let error = failed(error.clone());
        self.pool.set_disconnected(Some(error.clone()));
        if !self.signals.progress.borrow().is_ready() {
            self.signals.progress.send_modify(|progress| progress.joined = Some(Err(error)));
        }
        Duration::from_millis(200).mul_f64(0.5 + fastrand::f64())
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let asked = self.signals.wishes.borrow().reads;
        self.news.accounts |= asked > self.signals.progress.borrow().reads;
        self.take_changes(AT_ONCE);
        self.tell().await?;
        self.say().await?;
        self.sync().await?;
        // A process that gets a part of an account hears first that it rests.
        if self.news.rests {
            self.say().await?;
        }
        self.release_units();
        // What is told anew of quotas lacks what was given back, and that must be known before.
        self.tell().await?;
        self.reserve().await?;
        // Callers are let in once the accounts are known.
        self.signals.progress.send_replace(TaskProgress { joined: Some(Ok(())), reads: asked });
        Ok(())
    }

    /// Says that this process lives and what it needs, if it is time to.
    async fn say(&mut self) -> Result<(), StoreError> {
        if let Some((report, is_news)) = self.report() {
            self.beat(&report, is_news).await?;
        }
        Ok(())
    }

    /// Takes what has changed in the local pool: tokens that are to be renewed, and leases that
    /// have ended of accounts that are elsewhere by now.
    fn take_changes(&mut self, most: usize) {
        for change in self.pool.take_changed(most) {
            let AccountChange { name, wants, held, late_cost, quarantine, is_short, is_removed, .. } = change;
            if is_short {
                self.reservations.short.insert(name.clone());
            }
            // Others rest until the end, though the part of the account was given back.
            if quarantine.is_some() || is_removed || self.held.contains_key(&name) {
                self.note_rest(&name, quarantine.as_ref());
            }
            if late_cost > 0 {
                self.releases.tell_late_cost(&name, late_cost);
            }
            if !self.held.contains_key(&name) {
                self.releases.tell_held(&name, held);
                if let Some(state) = self.used.get_mut(&name).and_then(|used| used.given_up.as_mut()) {
                    state.held = held;
                }
            }
            if let Some(want) = wants {
                self.has_new_wants |= self.wants.insert(name, want) != Some(want);
            }
        }
    }

    /// Returns the offsets of Redis' clock for a state that goes out, and for one that comes in.
    /// Calls are later by what is not known of the clocks, and never earlier.
    fn offsets(&self) -> (i64, i64) {
        self.time.map_or((0, 0), |time| (time.high, time.low))
    }

    fn now(&self) -> i64 {
        self.clock.moment().boot.as_nanos()
    }

    /// Gives all shares back, and says that this member ends.
    async fn leave(mut self) {
        self.take_changes(usize::MAX);
        let rests = self.rests();
        for (account, row) in self.held.clone() {
            self.release(&account, &row);
        }
        self.pool.close(Duration::ZERO).await;
        self.take_changes(usize::MAX);
        let keys = Arc::clone(&self.place.keys);
        let mut arguments = vec![keys.channel("coordinator"), self.name.clone(), self.last_report(rests)];
        arguments.extend(self.releases.unsent());
        // If Redis does not answer, the shares are free when their time is up.
        if self.link.run::<i64>(&LEAVE, &[&keys.demand, &keys.released], &arguments).await.is_ok() {
            self.releases.unsent.clear();
        }
        let _ = self.tell().await;
        let until = end_of_waiting(self.signals.wishes.clone(), self.clock.clone());
        tokio::select! {
            () = self.tell_of_last_leases() => {}
            () = until => {}
        }
    }

    /// Tells of the leases that were held when the shares were given back, until all have ended.
    async fn tell_of_last_leases(&mut self) {
        while self.releases.are_open() {
            tokio::time::sleep(SHORTEST_ROUND).await;
            // What Redis did not take is told again.
            let _ = tokio::time::timeout(NEWS, self.pool.changed()).await;
            self.take_changes(usize::MAX);
            let _ = self.tell().await;
        }
    }
}

/// Waits until a process that ends waits for its last leases no more. That may be made earlier
/// meanwhile.
async fn end_of_waiting(mut wishes: watch::Receiver<Wishes>, clock: Clock) {
    let dropped = Moment::since_boot(clock.moment().boot + LAST_LEASES);
    loop {
        let until = wishes.borrow_and_update().closes.unwrap_or(dropped);
        tokio::select! {
            () = runtime::sleep_until(&clock, until) => return,
            Ok(()) = wishes.changed() => {}
        }
    }
}
