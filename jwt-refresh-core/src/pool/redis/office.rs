//! What an auth worker knows: the accounts that it has the credentials of, and which exchanges it is at. And its round: to see what
//! is due, claim it, and keep what it has claimed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::fleet::place_of;
use super::place::{Cloak, Place, failed, tag};
use super::record::whole;
use super::scripts::{CLAIM, EXTEND, REGISTER, REMOVE, TICK};
use super::{vault, wire};
use crate::authenticator::DynAuthenticator;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::pool::account::Account;
use crate::pool::failure;
use crate::pool::policy::{PoolPolicy, Selection};
use crate::redis::{Connection, random_name};
use crate::renewal::RefreshCredential;
use crate::store::StoreError;

/// So many accounts are registered at once.
const BATCH: usize = 200;
/// So many that are due are looked at at once.
const PAGE: usize = 256;

/// An account, as the worker that has its credentials knows it.
#[derive(Clone)]
pub(super) struct Charge {
    pub(super) authenticator: Arc<dyn DynAuthenticator>,
    /// Its limits and tags, as Redis is told them.
    terms: String,
}

/// How long what a process holds stays its own without a word from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holds {
    /// A claim: after that, another worker may take over.
    pub(super) claim: Duration,
    /// A lease that counts against its account's concurrency.
    pub(super) lease: Duration,
}

impl Default for Holds {
    fn default() -> Self {
        Self { claim: Duration::from_secs(10), lease: Duration::from_secs(30) }
    }
}

/// An exchange that was claimed.
pub(super) struct Claim {
    pub(super) owner: String,
    pub(super) account: String,
    pub(super) charge: Charge,
    pub(super) grant: RefreshCredential,
    /// Failures in a row before.
    pub(super) failures: u32,
    /// How far Redis's clock is ahead of this machine's time since boot, in µs; rather too little than too much.
    pub(super) ahead: f64,
}

pub(super) struct Office {
    pub(super) id: u64,
    pub(super) place: Place,
    pub(super) vault: Cloak,
    pub(super) policy: PoolPolicy,
    pub(super) holds: Holds,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) link: Arc<Connection>,
    /// Wakes the worker: there is something to do, or it has ended.
    pub(super) bell: Arc<Notify>,
    worker: String,
    /// Held during a round.
    rounds: tokio::sync::Mutex<()>,
    /// Told when an exchange has ended.
    idle: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    charges: HashMap<String, Charge>,
    /// Those that Redis has not been told of.
    unregistered: Vec<String>,
    /// The exchanges under way, by account, each with the owner of its claim.
    claims: HashMap<String, String>,
    owners: u64,
    /// Whether nothing more is to be claimed.
    is_closed: bool,
    /// Which Redis this is: one that was emptied is another.
    epoch: Option<String>,
}

/// What a round found.
pub(super) struct Round {
    pub(super) claims: Vec<Claim>,
    /// How soon there is more to do, if Redis knows.
    pub(super) next: Option<Duration>,
}

impl Office {
    pub(super) fn new(
        place: Place,
        vault: Cloak,
        policy: PoolPolicy,
        holds: Holds,
        clock: Clock,
        runtime: Handle,
    ) -> Result<Self, Error> {
        Ok(Self {
            id: place.id(),
            link: place.link()?,
            place,
            vault,
            policy,
            holds,
            clock,
            runtime,
            bell: Arc::default(),
            worker: random_name().map_err(failed)?,
            rounds: tokio::sync::Mutex::default(),
            idle: Notify::new(),
            state: Mutex::default(),
        })
    }

    pub(super) fn add(&self, account: Account) -> Result<(), Error> {
        let terms = terms(&account)?;
        let name = account.identity.name().to_owned();
        if !account.begins_with_login() {
            return Err(failure::not_in_redis(&named(&name), "tokens or an API key to begin with"));
        }
        let mut state = self.state();
        if state.charges.contains_key(&name) {
            let what = format!("the auth worker has an account {name:?} already (remove that first, or rename one)");
            return Err(Error::new(ErrorKind::Configuration, what));
        }
        state.charges.insert(name.clone(), Charge { authenticator: account.identity, terms });
        state.unregistered.push(name);
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Removes an account from the fleet. Its refresh token is answered with its authenticator, to be revoked.
    pub(super) async fn remove(&self, name: &str) -> Result<Option<(Option<Charge>, RefreshCredential)>, Error> {
        let charge = {
            let mut state = self.state();
            state.unregistered.retain(|other| other != name);
            state.charges.remove(name)
        };
        let keys = &self.place.keys;
        let arguments = [keys.base.as_bytes(), name.as_bytes()];
        let kept: Option<Vec<u8>> =
            self.link.run(&REMOVE, &[&keys.stats, &keys.vault], &arguments).await.map_err(failed)?;
        Ok(kept.map(|kept| (charge, vault::read(&self.vault, name, &kept))))
    }

    /// One round: registers what is new, keeps what is claimed, claims what is due.
    pub(super) async fn round(&self) -> Result<Round, StoreError> {
        let _round = self.rounds.lock().await;
        self.register().await?;
        self.keep_claims().await?;
        let mut from = 0;
        loop {
            let free = self.free();
            let most = if free == 0 { 0 } else { PAGE };
            let (epoch, next, due) = self.tick(from, most).await?;
            if self.is_another(epoch) {
                self.register().await?;
            }
            let mine: Vec<String> = {
                let state = self.state();
                let mine =
                    due.iter().filter(|name| state.charges.contains_key(*name) && !state.claims.contains_key(*name));
                mine.take(free).cloned().collect()
            };
            // A page of what is due that others have the credentials of: theirs may be in the way of ours.
            if mine.is_empty() && due.len() == PAGE {
                from += PAGE;
                continue;
            }
            let claims = if mine.is_empty() { Vec::new() } else { self.claim(&mine).await? };
            return Ok(Round { claims, next });
        }
    }

    /// How many exchanges may be begun.
    fn free(&self) -> usize {
        let state = self.state();
        if state.is_closed { 0 } else { self.policy.exchanges.saturating_sub(state.claims.len()) }
    }

    /// Claims nothing more, and waits until what was claimed is done.
    pub(super) async fn close(&self) {
        self.state().is_closed = true;
        // What a round has claimed is among the claims when it has ended.
        drop(self.rounds.lock().await);
        loop {
            let idle = self.idle.notified();
            if self.state().claims.is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Notes which Redis this is; whether it is another than before, which knows of no account.
    fn is_another(&self, epoch: String) -> bool {
        let mut state = self.state();
        let is_another = state.epoch.as_ref().is_some_and(|known| *known != epoch);
        if is_another {
            state.unregistered = state.charges.keys().cloned().collect();
        }
        state.epoch = Some(epoch);
        is_another
    }

    async fn register(&self) -> Result<(), StoreError> {
        loop {
            let batch: Vec<(String, String)> = {
                let state = self.state();
                let names = state.unregistered.iter().take(BATCH);
                names.filter_map(|name| Some((name.clone(), state.charges.get(name)?.terms.clone()))).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            self.tell_policy().await?;
            let keys = &self.place.keys;
            let mut arguments: Vec<&[u8]> = vec![keys.base.as_bytes()];
            for (name, terms) in &batch {
                arguments.extend([name.as_bytes(), terms.as_bytes()]);
            }
            self.link.run::<i64>(&REGISTER, &[&keys.stats], &arguments).await?;
            self.state().unregistered.retain(|name| !batch.iter().any(|(registered, _)| registered == name));
        }
    }

    /// The numbers that scripts go by, in µs. The last worker to start has its way.
    async fn tell_policy(&self) -> Result<(), StoreError> {
        let policy = &self.policy;
        let mut command = redis::cmd("HSET");
        command.arg(format!("{}:pool:policy", self.place.keys.base));
        command.arg("selection").arg(match policy.selection {
            Selection::Soonest => "soonest",
            Selection::RoundRobin => "round_robin",
            Selection::Weighted => "weighted",
        });
        for (noun, time) in [
            ("probation", policy.renewed_again_window),
            ("quarantine_first", policy.quarantine.0),
            ("quarantine_longest", policy.quarantine.1),
            ("cool_down_first", policy.cool_down.0),
            ("cool_down_longest", policy.cool_down.1),
            ("patience", policy.max_inline_wait),
            ("quota_pause", policy.quota_pause),
            ("longest_retry_after", policy.tokens.longest_retry_after),
            ("held", self.holds.lease),
        ] {
            command.arg(noun).arg(time.as_micros().min(1 << 52).to_string());
        }
        self.link.query::<i64>(&command).await.map(drop)
    }

    async fn keep_claims(&self) -> Result<(), StoreError> {
        let claims: Vec<(String, String)> = self.state().claims.clone().into_iter().collect();
        if claims.is_empty() {
            return Ok(());
        }
        let keys = &self.place.keys;
        let holds = self.holds.claim.as_micros().to_string();
        let mut arguments: Vec<&[u8]> = vec![keys.base.as_bytes(), holds.as_bytes()];
        for (name, owner) in &claims {
            arguments.extend([name.as_bytes(), owner.as_bytes()]);
        }
        self.link.run::<i64>(&EXTEND, &[&keys.stats], &arguments).await.map(drop)
    }

    async fn tick(&self, from: usize, most: usize) -> Result<(String, Option<Duration>, Vec<String>), StoreError> {
        let keys = &self.place.keys;
        let epoch = random_name()?;
        let [from, most] = [from, most].map(|number| number.to_string());
        let arguments = [&keys.base, &self.worker, &epoch, &from, &most].map(String::as_bytes);
        let (_, epoch, next, due): (f64, String, f64, Vec<String>) =
            self.link.run(&TICK, &[&keys.stats], &arguments).await?;
        let next = (next >= 0.0).then(|| Duration::from_micros(whole(next)));
        Ok((epoch, next, due))
    }

    async fn claim(&self, names: &[String]) -> Result<Vec<Claim>, StoreError> {
        let keys = &self.place.keys;
        let owner = {
            let mut state = self.state();
            state.owners += 1;
            format!("{}:{}", self.worker, state.owners)
        };
        let holds = self.holds.claim.as_micros().to_string();
        let mut arguments: Vec<&[u8]> = vec![keys.base.as_bytes(), owner.as_bytes(), holds.as_bytes()];
        arguments.extend(names.iter().map(String::as_bytes));
        let answer: Vec<Value> = self.link.run(&CLAIM, &[&keys.stats, &keys.vault], &arguments).await?;
        let boot = self.clock.moment().boot;
        let mut answer = answer.into_iter();
        let redis = answer.next().and_then(|now| wire::number(&now)).unwrap_or_default();
        let ahead = redis - to_micros(boot);
        let claims: Vec<Claim> = answer.filter_map(|claim| self.claimed(claim, &owner, ahead)).collect();
        let mut state = self.state();
        state.claims.extend(claims.iter().map(|claim| (claim.account.clone(), owner.clone())));
        Ok(claims)
    }

    fn claimed(&self, claim: Value, owner: &str, ahead: f64) -> Option<Claim> {
        let Value::Array(fields) = claim else { return None };
        let [account, kept, died, failures, afresh] = <[Value; 5]>::try_from(fields).ok()?;
        let account = wire::text(account)?;
        let charge = self.state().charges.get(&account)?.clone();
        let grant = vault::read(&self.vault, &account, &wire::bytes(kept)?);
        let died = wire::integer(&died)?;
        if died == 1 {
            let what = "took over an exchange that was cut off: whether its refresh token is spent is unknown";
            tracing::warn!(target: "jwt_refresh", account, "{what}");
        }
        let grant = match (wire::integer(&afresh)?, died) {
            (1, _) => RefreshCredential::None,
            // Whoever had claimed it may have sent the refresh token, or not.
            (_, 1) => grant.unanswered(),
            _ => grant,
        };
        let failures = u32::try_from(wire::integer(&failures)?).ok()?;
        Some(Claim { owner: owner.to_owned(), account, charge, grant, failures, ahead })
    }

    /// An exchange has ended.
    pub(super) fn done(&self, account: &str) {
        self.state().claims.remove(account);
        self.idle.notify_waiters();
        self.bell.notify_one();
    }

    /// Says that this worker is no more.
    pub(super) async fn sign_off(link: &Connection, place: &Place, worker: &str) {
        let workers = format!("{}:pool:workers", place.keys.base);
        let _ = link.query::<i64>(redis::cmd("HDEL").arg(workers).arg(worker)).await;
    }

    pub(super) fn worker(&self) -> &str {
        &self.worker
    }

    pub(super) fn accounts(&self) -> usize {
        self.state().charges.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a machine is up for less than 2⁵³ µs")]
pub(super) fn to_micros(time: Timestamp) -> f64 {
    time.as_nanos() as f64 / 1e3
}

fn named(account: &str) -> String {
    format!("the account {account:?}")
}

/// An account's limits and tags, as the scripts read them.
fn terms(account: &Account) -> Result<String, Error> {
    let terms = account.limits(Box::default(), None, 0)?;
    if !terms.further.is_empty() || account.shared_limits().next().is_some() {
        return Err(failure::not_in_redis(&named(account.identity.name()), "a limit other than a rate of calls"));
    }
    if terms.tier != 0 {
        return Err(failure::not_in_redis(&named(account.identity.name()), "a tier"));
    }
    let limited = |number: u32| (number < u32::MAX).then_some(number);
    let mut tags: Vec<String> = account.tags.iter().map(|name| tag(name)).collect();
    tags.sort_unstable();
    tags.dedup();
    let (interval, tolerance) = terms.rate.micros();
    let terms = serde_json::json!({
        "interval": interval,
        "tolerance": tolerance,
        "concurrency": limited(terms.concurrency),
        "usage_cap": limited(terms.usage_cap),
        "weight": terms.weight,
        "place": place_of(account.identity.name()),
        "tags": tags,
    });
    Ok(without_nulls(terms).to_string())
}

/// A script takes `null` for something.
fn without_nulls(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    json
}
