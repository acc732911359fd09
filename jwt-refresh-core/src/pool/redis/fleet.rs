//! What the handles of a pool in Redis share in one process, and how a caller comes to a lease.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;

use super::Pins;
use super::lease::{Known, RedisLeaseBackend};
use super::outbox::{Message, Outbox};
use super::place::{Place, failed, tag};
use super::queue::{Aim, Queue};
use super::record::{self, Record};
use super::scripts::CONFIRM;
use super::teller::Teller;
use super::wire::{self, Answer, Bytes, Grant, Nobody, Returning, strange};
use crate::clock::Clock;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::pool::counters::PoolCounters;
use crate::pool::failure::{self, FirstToReturn};
use crate::pool::lease::Lease;
use crate::pool::request::{LeaseSource, LeaseTerms};
use crate::provider::Renewal;
use crate::redis::{Connection, Subscription, Subscriptions, random_name};
use crate::renewal;
use crate::token::AccessToken;

/// How often a caller looks for what it was not told.
const POLL: Duration = Duration::from_secs(2);
/// A process remembers so many accounts' tokens.
const REMEMBERED: usize = 100_000;
/// A call of an account is said to have succeeded so often at most.
const SUCCEEDED_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Fleet {
    /// Tells the pool from others in this process.
    pub(super) id: u64,
    pub(super) place: Place,
    /// The random name by which Redis knows this process.
    pub(super) worker: String,
    pub(super) runtime: Handle,
    pub(super) queue: Queue,
    pub(super) teller: Teller,
    pub(super) outbox: Arc<Outbox>,
    pub(super) link: Arc<Connection>,
    clock: Clock,
    pins: Option<Pins>,
    /// Tells of accounts that may serve, and of those that do so no longer.
    free: Subscription,
    void: Subscription,
    _hub: Subscriptions,
    state: Mutex<State>,
}

struct State {
    tally: PoolCounters,
    /// Accounts by their names, with the record that was read last.
    known: HashMap<Arc<str>, (Bytes, Known)>,
    /// Leases that count against their accounts' concurrency.
    held: HashMap<i64, Arc<str>>,
    /// When a call of an account was last said to have succeeded.
    succeeded: HashMap<Arc<str>, Moment>,
}

/// What a caller wants, in the scripts' words.
struct Want {
    aim: Aim,
    until: Moment,
}

impl Want {
    fn of(wanted: &LeaseTerms) -> Self {
        let suffix = wanted.tag.as_deref().map(|name| format!(":{}", tag(name))).unwrap_or_default();
        let place = wanted.key.as_deref().map(|key| place_of(key).to_string()).unwrap_or_default();
        Self { aim: (suffix, place), until: wanted.until }
    }
}

/// A name's or a key's place on the ring: the same on every machine, and small enough for a double.
pub(super) fn place_of(text: &str) -> u64 {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(text.as_bytes());
    digest.iter().take(6).fold(0, |place, byte| place << 8 | u64::from(*byte))
}

impl Fleet {
    pub(super) fn new(place: Place, longest: usize, pins: Option<Pins>, runtime: Handle) -> Result<Arc<Self>, Error> {
        let clock = Clock::system();
        let hub = Subscriptions::new(place.link()?);
        let (free, void) = {
            let _on = runtime.enter();
            (hub.subscribe(place.keys.channel("free")), hub.subscribe(place.keys.channel("void")))
        };
        Ok(Arc::new(Self {
            id: place.id(),
            worker: random_name().map_err(failed)?,
            link: place.link()?,
            place,
            runtime,
            queue: Queue::new(longest),
            teller: Teller::default(),
            outbox: Arc::default(),
            pins,
            free,
            void,
            _hub: hub,
            state: Mutex::new(State {
                tally: PoolCounters::new(clock.moment().boot.as_nanos()),
                known: HashMap::new(),
                held: HashMap::new(),
                succeeded: HashMap::new(),
            }),
            clock,
        }))
    }

    async fn get(self: Arc<Self>, wanted: LeaseTerms) -> Result<Lease, Error> {
        if wanted.cost > 1 {
            return Err(failure::not_in_redis("the call", "a cost"));
        }
        let want = Want::of(&wanted);
        // What this process knows already, such as that a token was rejected, goes before its question.
        if self.outbox.is_urgent() {
            self.tell().await?;
        }
        loop {
            let void = self.void.resubscribe();
            let grant = self.granted(&want).await?;
            if let Some(lease) = self.use_in_time(grant, &void).await? {
                return Ok(lease);
            }
        }
    }

    /// Tells Redis all that is to be said: in a task of its own, so that a caller who goes away takes nothing with it.
    pub(super) async fn tell(self: &Arc<Self>) -> Result<(), Error> {
        let fleet = Arc::clone(self);
        let told = self.runtime.spawn(async move { fleet.outbox.flush(&fleet.link, &fleet.place.keys).await });
        told.await.map_err(|_| ended())?.map_err(failed)
    }

    /// Waits until an account is granted: at once or, if nobody serves, in turn.
    async fn granted(self: &Arc<Self>, want: &Want) -> Result<Grant, Error> {
        if !self.queue.has(&want.aim)
            && let Ok(grant) = self.ask(want).await?
        {
            return Ok(grant);
        }
        if renewal::is_within(self.id) {
            return Err(failure::reentrant());
        }
        let _waiting = self.queue.join()?;
        let turn = self.queue.turn(&want.aim);
        let _turn = tokio::select! {
            turn = turn.lock() => turn,
            () = self.clock.sleep_until(want.until) => return Err(failure::deadline_passed()),
        };
        let mut free = self.free.resubscribe();
        loop {
            let again = match self.ask(want).await? {
                Ok(grant) => return Ok(grant),
                Err(again) => again.map_or(POLL, micros).min(POLL),
            };
            tokio::select! {
                () = free.notified() => {}
                () = tokio::time::sleep(again) => {}
                () = self.clock.sleep_until(want.until) => return Err(failure::deadline_passed()),
            }
        }
    }

    /// Asks Redis for a lease. Where there is none, how soon to ask again, if that is known.
    async fn ask(self: &Arc<Self>, want: &Want) -> Result<Result<Grant, Option<f64>>, Error> {
        // Nobody more may wait, not even for a place that is sure.
        let is_full = self.queue.is_full();
        let longest = if is_full { Duration::ZERO } else { self.clock.moment().until(want.until) };
        match Teller::ask(self, &want.aim, longest).await? {
            Answer::Granted(grant) => Ok(Ok(grant)),
            Answer::Wait(again) => Ok(Err(again)),
            Answer::Nobody(nobody) => Err(none_open(&want.aim, nobody)),
            Answer::Late(_) if is_full => Err(self.queue.full()),
            Answer::Late(opens) => Err(too_late(micros(opens))),
        }
    }

    /// Waits until the grant may be used. `None` if by then the account does not serve any more.
    async fn use_in_time(self: &Arc<Self>, grant: Grant, void: &Subscription) -> Result<Option<Lease>, Error> {
        let wait = grant.from - grant.now;
        if wait <= 0.0 {
            return self.lease_of(&grant).map(Some);
        }
        let unused = Unused { fleet: self, grant: Some(grant) };
        let _waiting = self.queue.join()?;
        tokio::time::sleep(micros(wait)).await;
        let Some(grant) = unused.used() else { return Ok(None) };
        let is_usable = Record::read(&grant.record).is_some_and(|record| record.is_usable(grant.from));
        if is_usable && !void.is_notified() {
            return self.lease_of(&grant).map(Some);
        }
        self.confirmed(grant).await?.map(|grant| self.lease_of(&grant)).transpose()
    }

    /// The account's present grant, if it still serves.
    async fn confirmed(&self, grant: Grant) -> Result<Option<Grant>, Error> {
        let keys = &self.place.keys;
        let arguments = [keys.base.as_bytes(), &grant.name];
        let answer: Value =
            self.link.run(&CONFIRM, &[&keys.grants, &keys.confined], &arguments).await.map_err(failed)?;
        let Value::Array(fields) = answer else { return Ok(None) };
        let [record, now] = <[Value; 2]>::try_from(fields).map_err(|_| strange())?;
        let record = Arc::new(wire::bytes(record).ok_or_else(strange)?.into());
        Ok(Some(Grant { record, now: wire::number(&now).ok_or_else(strange)?, ..grant }))
    }

    fn lease_of(self: &Arc<Self>, grant: &Grant) -> Result<Lease, Error> {
        let known = self.known(grant)?;
        if let Some(held) = grant.held {
            self.state().held.insert(held, Arc::clone(&known.name));
        }
        let fleet = Arc::clone(self);
        Ok(Lease::new(RedisLeaseBackend { fleet, known, held: grant.held, released: AtomicBool::new(false) }))
    }

    /// The account that was granted. Its token is made ready once, and not for each lease.
    fn known(&self, grant: &Grant) -> Result<Known, Error> {
        let name = str::from_utf8(&grant.name).map_err(|_| strange())?;
        let now = self.clock.moment();
        let seen = {
            let mut state = self.state();
            state.tally.leased(now.boot.as_nanos());
            match state.known.get(name) {
                Some((record, known)) if record::is_same(record, &grant.record) => return Ok(known.clone()),
                seen => seen.map(|(_, known)| known.clone()),
            }
        };
        let record = Record::read(&grant.record).ok_or_else(strange)?;
        let token = self.place.cloak.unwrap(&binding(name), record.token).map_err(|why| {
            let what = format!("the access token of account {name:?} in the pool's Redis {why}");
            Error::new(ErrorKind::Configuration, what)
        })?;
        let token = str::from_utf8(&token).map_err(|_| strange()).and_then(AccessToken::new)?;
        let token = token.issued(record.expires(grant.now, now), record.generation);
        let known = match seen {
            Some(seen) => Known { token, ..seen },
            // The user's code runs here: not under the lock.
            None => Known { name: name.into(), token, pin: self.pins.as_ref().and_then(|pins| pins(name)) },
        };
        let mut state = self.state();
        if state.known.len() >= REMEMBERED {
            state.known.clear();
        }
        state.known.insert(Arc::clone(&known.name), (Arc::clone(&grant.record), known.clone()));
        Ok(known)
    }

    /// A grant that nobody uses.
    pub(super) fn give_back(&self, grant: &Grant) {
        let Ok(name) = str::from_utf8(&grant.name) else { return };
        let name: Arc<str> = name.into();
        if let Some(held) = grant.held {
            self.outbox.push(Message::release(&name, held));
        }
        self.outbox.push(Message::unused(&name, grant.from));
    }

    /// A lease that counted against its account's concurrency is held no longer.
    pub(super) fn let_go(&self, held: i64) {
        self.state().held.remove(&held);
    }

    /// Says of all leases that count against their accounts' concurrency that they are held.
    pub(super) fn extend_held(&self) {
        let held: Vec<_> = self.state().held.iter().map(|(held, name)| (*held, Arc::clone(name))).collect();
        for (held, name) in held {
            self.outbox.push(Message::extend(&name, held));
        }
    }

    /// Whether it was not lately that a call of the account was said to have succeeded.
    pub(super) fn is_news(&self, account: &Arc<str>) -> bool {
        let now = self.clock.moment();
        let mut state = self.state();
        let is_news = state.succeeded.get(account).is_none_or(|then| now.boot >= then.boot + SUCCEEDED_AGAIN);
        if is_news {
            if state.succeeded.len() >= REMEMBERED {
                state.succeeded.clear();
            }
            state.succeeded.insert(Arc::clone(account), now);
        }
        is_news
    }

    /// Leases so far, and leases a minute.
    pub(super) fn counts(&self) -> (u64, f64) {
        let now = self.clock.moment().boot.as_nanos();
        let mut state = self.state();
        (state.tally.leases, state.tally.per_minute(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseSource for Fleet {
    fn id(&self) -> u64 {
        self.id
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn lease(self: Arc<Self>, wanted: LeaseTerms) -> Renewal<Lease> {
        Box::pin(self.get(wanted))
    }
}

/// A place in time that a caller waits for. Dropped while it waits, the place is given back.
struct Unused<'a> {
    fleet: &'a Arc<Fleet>,
    grant: Option<Grant>,
}

impl Unused<'_> {
    fn used(mut self) -> Option<Grant> {
        self.grant.take()
    }
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        if let Some(grant) = &self.grant {
            self.fleet.give_back(grant);
        }
    }
}

/// What an access token is sealed as.
pub(super) fn binding(account: &str) -> String {
    format!("jwt-refresh pool access token of {account}")
}

fn none_open((suffix, _): &Aim, nobody: Nobody) -> Error {
    let tag = suffix.strip_prefix(':');
    let Nobody { members, first } = nobody;
    match (members, tag) {
        (None, Some(tag)) => return failure::unknown_tag(tag),
        (None | Some(0), _) => return failure::no_account(tag),
        _ => {}
    }
    let Some(Returning { name, wait, cause, why }) = first else { return failure::all_quarantined(tag, None) };
    let error = failure::all_quarantined(tag, Some(&FirstToReturn { account: &name, wait: Some(micros(wait)), cause }));
    if why.is_empty() { error } else { error.caused_by(why) }
}

/// There is nothing to talk to Redis on.
pub(super) fn ended() -> Error {
    Error::new(ErrorKind::Aborted, "the runtime that the pool was built on has ended")
}

fn too_late(opens_in: Duration) -> Error {
    let what = format!(
        "no account of the pool comes free before the lease's deadline: the first does in {:.3} s",
        opens_in.as_secs_f64()
    );
    Error::new(ErrorKind::Busy, what).retry_in(opens_in)
}

fn micros(micros: f64) -> Duration {
    Duration::try_from_secs_f64(micros.max(0.0) / 1e6).unwrap_or(Duration::MAX)
}
