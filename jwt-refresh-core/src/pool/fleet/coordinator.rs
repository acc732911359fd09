//! The coordinator of a fleet: the one auth worker that decides which member has which share. It is
//! elected by a lease with an epoch, and every write of another than the holder is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::messages::{AccountRow, Reservation, RowsByMember, SENTINEL, ShareRow, of_said};
use super::mirror::{Mirror, unexpected};
use super::place::FleetPlace;
use super::redis_time::redis_now;
use super::scripts::{COMMIT, ELECT, MEMORY};
use super::seen::Seen;
use super::share_plan::{MemberPlan, SharePlan};
use super::shares::Shares;
use crate::clock::{Clock, Timestamp};
use crate::redis::{Connection, Subscription};
use crate::store::StoreError;

/// For how long an auth worker stays the coordinator without a word, and how often it says one.
const LEASE: Duration = Duration::from_millis(1500);
const ROUND: Duration = Duration::from_millis(250);
/// For how long one stays it while it reads what it takes over.
const TAKE_OVER: Duration = Duration::from_secs(15);
/// The shortest time between two rounds.
const SHORTEST_ROUND: Duration = Duration::from_millis(4);
/// How often it is looked whether Redis may forget keys.
const MEMORY_CHECK: Duration = Duration::from_secs(60);

pub(super) struct Coordinator {
    place: FleetPlace,
    link: Arc<Connection>,
    clock: Clock,
    worker: String,
    share_time: Duration,
    lease_ttl: Duration,
    accounts: Mirror<AccountRow>,
    /// The epoch in which this worker is the coordinator, or the last that it knew of.
    epoch: u64,
    /// The incarnation of what Redis knows.
    incarnation: String,
    term: Option<Term>,
    memory_checked: i64,
}

/// What the coordinator knows in one epoch.
struct Term {
    shares: Shares,
    /// While it learns what members hold: the incarnation, and until when, since boot.
    learns: Option<(String, Timestamp)>,
    /// The rows of members in Redis when it began to learn. They may be old.
    untrusted: RowsByMember,
}

impl Coordinator {
    pub(super) fn new(
        place: &FleetPlace,
        clock: Clock,
        worker: &str,
        (share_time, lease_ttl): (Duration, Duration),
    ) -> Result<Self, crate::error::Error> {
        let keys = &place.keys;
        let accounts = Mirror::new((keys.accounts.clone(), keys.account_changes.clone()), &keys.demand);
        Ok(Self {
            link: place.link()?,
            place: place.clone(),
            clock,
            worker: worker.to_owned(),
            share_time,
            lease_ttl,
            accounts,
            epoch: 0,
            incarnation: String::new(),
            term: None,
            memory_checked: i64::MIN,
        })
    }

    /// Does rounds until it is dropped. `news` tells of members that say something, and `changes`
    /// of accounts.
    pub(super) async fn run(mut self, mut news: Subscription, mut changes: Subscription) {
        loop {
            let begun = tokio::time::Instant::now();
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(target: "jwt_refresh", %error, "the fleet's Redis failed its coordinator, which tries again");
                    self.term = None;
                    ROUND.mul_f64(1.0 + fastrand::f64())
                }
            };
            // In a large fleet a round takes long, and somebody always has news.
            tokio::time::sleep(SHORTEST_ROUND.max(begun.elapsed())).await;
            tokio::select! {
                () = news.notified(), if self.term.is_some() => {}
                () = changes.notified(), if self.term.is_some() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does what is to be done now. Returns the longest pause until the next round.
    async fn round(&mut self) -> Result<Duration, StoreError> {
        let begun = tokio::time::Instant::now();
        if !self.elect().await? {
            self.term = None;
            return Ok(ROUND);
        }
        self.check_memory().await?;
        self.accounts.sync(&self.link).await?;
        self.accounts.take_changed();
        let mut seen = self.look().await?;
        let times = (micros(self.share_time), micros(self.lease_ttl));
        let Some(Term { shares, .. }) = &mut self.term else { return Ok(ROUND) };
        shares.see(&seen, times.0);
        let dead = shares.dead(&seen, times.0);
        seen.reserved = self.reservations(dead).await?;
        let now = self.clock.moment().boot;
        let Some(Term { shares, learns, untrusted }) = &mut self.term else { return Ok(ROUND) };
        let mut plan = match &learns {
            Some((incarnation, _)) => shares.learn(incarnation, untrusted),
            None => shares.step(&self.accounts.rows, &seen, times),
        };
        let has_learnt = |(incarnation, until): &mut (String, Timestamp)| {
            now >= *until && (now >= *until + self.share_time || !shares.awaits_claims(incarnation, seen.now))
        };
        if let Some((incarnation, _)) = learns.take_if(has_learnt) {
            plan.learnt = Some(incarnation);
            shares.take_unclaimed(std::mem::take(untrusted));
        }
        let next_end = shares.next_end(&seen, times.0);
        if begun.elapsed() > LEASE / 3 && !self.goes_on().await? {
            self.term = None;
            return Ok(ROUND);
        }
        self.commit(&plan).await?;
        Ok(next_end.map_or(ROUND, |end| end.min(ROUND)))
    }

    /// Sees to it that this worker is the coordinator, or stays it. Returns whether it is.
    async fn elect(&mut self) -> Result<bool, StoreError> {
        let ttl = if self.term.is_some() { LEASE } else { TAKE_OVER };
        let Some((epoch, is_trusted)) = self.ask(ttl).await? else { return Ok(false) };
        if epoch == self.epoch && self.term.is_some() {
            return Ok(true);
        }
        self.epoch = epoch;
        // Redis may have begun to count its revisions anew under another coordinator.
        self.accounts.reset();
        self.accounts.sync(&self.link).await?;
        let (rows, is_whole) = self.read_rows().await?;
        self.term = Some(match (is_whole, is_trusted) {
            (true, true) => self.take_over(rows).await?,
            (false, true) => {
                self.begin_incarnation().await?;
                self.learn(rows)
            }
            (_, false) => self.learn(rows),
        });
        self.goes_on().await
    }

    /// Returns whether this worker is still the coordinator, after it was at work for long.
    async fn goes_on(&mut self) -> Result<bool, StoreError> {
        Ok(self.ask(LEASE).await?.is_some_and(|(epoch, _)| epoch == self.epoch))
    }

    /// Asks to be the coordinator for that time, or to stay it. If this worker is, returns the
    /// epoch, and whether what Redis holds of shares is to be trusted.
    async fn ask(&mut self, ttl: Duration) -> Result<Option<(u64, bool)>, StoreError> {
        let arguments = [
            self.worker.clone(),
            ttl.as_millis().to_string(),
            self.epoch.to_string(),
            micros(self.share_time).to_string(),
            if self.term.is_some() { "1" } else { "0" }.to_owned(),
        ];
        let keys = [&*self.place.keys.coordinator, &self.place.keys.state];
        let answer: Vec<String> = self.link.run(&ELECT, &keys, &arguments).await?;
        let [epoch, incarnation, is_trusted] = &answer[..] else { return Ok(None) };
        self.incarnation.clone_from(incarnation);
        Ok(Some((epoch.parse().map_err(|_| unexpected())?, is_trusted == "1")))
    }

    /// Begins an incarnation of what Redis knows, because some of it was lost. Members see by it
    /// that they have to say what they hold.
    async fn begin_incarnation(&mut self) -> Result<(), StoreError> {
        self.incarnation = format!("{}:{}", self.worker, self.epoch);
        let command = redis::cmd("HSET").arg(&self.place.keys.state).arg("incarnation").arg(&self.incarnation).clone();
        self.link.query::<i64>(&command).await.map(drop)
    }

    /// Returns the rows of members that Redis has, and whether it has lost none.
    async fn read_rows(&self) -> Result<(RowsByMember, bool), StoreError> {
        let state = self.link.all_of(&self.place.keys.state).await?;
        let members = state.keys().filter_map(|field| field.strip_prefix("shares:"));
        let keys = members.clone().map(|member| self.place.keys.shares_of(member).0).collect();
        let (mut all, mut is_whole) = (RowsByMember::new(), true);
        for (member, mut rows) in members.zip(self.link.all_of_each(keys).await?) {
            is_whole &= rows.remove(SENTINEL).is_some();
            let count = rows.len();
            let read = |(account, row): (String, String)| Some((account, serde_json::from_str(&row).ok()?));
            let rows: BTreeMap<String, ShareRow> = rows.into_iter().filter_map(read).collect();
            // The units of a row that cannot be read are held all the same: the members are to say.
            is_whole &= rows.len() == count;
            all.insert(member.to_owned(), rows);
        }
        Ok((all, is_whole))
    }

    /// Goes on with what Redis knows of shares.
    async fn take_over(&self, rows: RowsByMember) -> Result<Term, StoreError> {
        // Members that Redis does not know the time of are believed to live for a share time.
        let seen = self.look().await?;
        let shares = Shares::from_rows(rows, seen.now + micros(self.share_time), seen.boot);
        Ok(Term { shares, learns: None, untrusted: RowsByMember::new() })
    }

    /// Begins to learn what members hold. What Redis knows of it may be old.
    fn learn(&self, untrusted: RowsByMember) -> Term {
        let until = self.clock.moment().boot + self.share_time + self.share_time / 10;
        Term { shares: Shares::default(), learns: Some((self.incarnation.clone(), until)), untrusted }
    }

    /// Reads what members say. The time is from before that, and what is released from after it:
    /// so no member is taken for dead before its time, or for one that has released nothing.
    async fn look(&self) -> Result<Seen, StoreError> {
        let keys = &self.place.keys;
        let now = redis_now(&self.link, &keys.state).await?;
        let mut seen = Seen {
            boot: u64::try_from(self.clock.moment().boot.as_nanos() / 1000).unwrap_or(0),
            now,
            until: BTreeMap::new(),
            reports: BTreeMap::new(),
            reserved: BTreeMap::new(),
            released: BTreeMap::new(),
            late_costs: BTreeMap::new(),
        };
        for (member, said) in self.link.all_of(&keys.demand).await? {
            let Some((until, report)) = of_said(&said) else { continue };
            seen.reports.extend(report.map(|report| (member.clone(), report)));
            seen.until.insert(member, until);
        }
        seen.take_released(self.link.all_of(&keys.released).await?);
        Ok(seen)
    }

    /// Returns what members have reserved of quotas, of those of which Redis has lost none of it.
    async fn reservations(
        &self,
        members: Vec<String>,
    ) -> Result<BTreeMap<String, BTreeMap<String, Reservation>>, StoreError> {
        let keys = members.iter().map(|member| self.place.keys.reservations_of(member)).collect();
        let told = members.into_iter().zip(self.link.all_of_each(keys).await?);
        let reserved = told.filter_map(|(member, mut all)| {
            let word = all.remove(SENTINEL)?;
            let read = |(account, text): (String, String)| Some((account, serde_json::from_str(&text).ok()?));
            word.split_once(' ').filter(|(_, told)| *told == self.incarnation)?;
            Some((member, all.into_iter().map(read).collect::<Option<_>>()?))
        });
        Ok(reserved.collect())
    }

    /// Writes a plan, unless another worker is the coordinator by now.
    async fn commit(&mut self, plan: &SharePlan) -> Result<(), StoreError> {
        if plan.is_empty() {
            return Ok(());
        }
        let keys = &self.place.keys;
        let mut all = [&keys.coordinator, &keys.state, &keys.demand, &keys.released].map(String::clone).to_vec();
        for MemberPlan { name, .. } in &plan.members {
            let (rows, changes) = keys.shares_of(name);
            all.extend([rows, changes, keys.reservations_of(name)]);
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let epoch = self.epoch.to_string();
        let json = serde_json::to_string(plan).unwrap_or_default();
        let arguments = [&self.worker, &epoch, &keys.base, &json];
        let written: i64 = self.link.run(&COMMIT, &all, &arguments).await?;
        if written != 1 {
            // What is written has to be read again, by whichever worker is the coordinator next.
            self.term = None;
        }
        Ok(())
    }

    /// Warns of a Redis that may forget keys of the fleet when its memory is full.
    async fn check_memory(&mut self) -> Result<(), StoreError> {
        let now = self.clock.moment().boot;
        if now.as_nanos() < self.memory_checked {
            return Ok(());
        }
        let info: String = self.link.run(&MEMORY, &[&self.place.keys.state], &[""; 0]).await?;
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        self.memory_checked = (now + MEMORY_CHECK).as_nanos();
        let policy = info.get("maxmemory_policy").copied().unwrap_or("noeviction");
        let is_limited = info.get("maxmemory").is_some_and(|limit| *limit != "0");
        if is_limited && policy != "noeviction" {
            tracing::warn!(
                target: "jwt_refresh",
                policy,
                "the fleet's Redis may forget keys when its memory is full (set `maxmemory-policy noeviction`)"
            );
        }
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
