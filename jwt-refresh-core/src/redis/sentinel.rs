//! Sentinels, and the master that they name.
//!
//! A fail-over does not end the connections to the former master, which may go on as a master for a
//! while (`SENTINEL FAILOVER`, or a network that was cut in two), and not all sentinels hear of the
//! new one at once. What is written to the former one is lost. So all sentinels are asked, the one
//! that knows of the latest fail-over is believed (its `config-epoch` is the highest), and they are
//! asked again while a connection is used.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::RedisFailure;
use super::node::{node_like, open_node};
use super::transport::RedisTransport;
use crate::sync::{Mutex, MutexGuard};

/// How long the rest is waited for once most sentinels have answered.
const GRACE: Duration = Duration::from_millis(100);
/// For how long a master counts as the one that the sentinels name.
const CONFIRMED: Duration = Duration::from_secs(1);
/// The same if none of them says anything.
const UNCONFIRMED: Duration = Duration::from_secs(5);

pub(crate) struct Sentinels {
    /// At least one.
    addresses: Vec<ConnectionInfo>,
    /// The name that they have for the master.
    service: String,
    /// User, password, database and TLS of the master. The address is that of a sentinel.
    master: ConnectionInfo,
}

/// A connection to the master.
pub(super) struct OpenMaster {
    pub(super) connection: MultiplexedConnection,
    pub(super) node: ConnectionInfo,
    epoch: u64,
    watch: Mutex<Watch>,
}

/// The sentinels that are asked again whether the master is still the one.
struct Watch {
    sentinels: Vec<MultiplexedConnection>,
    due: Instant,
}

/// What a sentinel says, and the connection over which it did.
struct SentinelAnswer {
    master: MasterAddress,
    sentinel: MultiplexedConnection,
}

/// What sentinels say, and of those that say nothing the failure that tells most.
type SentinelAnswers = (Vec<SentinelAnswer>, Option<RedisFailure>);

/// The master that a sentinel names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MasterAddress {
    host: String,
    port: u16,
    /// Grows with each fail-over.
    epoch: u64,
}

impl Sentinels {
    /// Returns the sentinels at `nodes`, whose settings are those of the master; their own user is
    /// `user`. `None` if they cannot be used.
    pub(super) fn new(nodes: Vec<ConnectionInfo>, service: String, user: &RedisConnectionInfo) -> Option<Self> {
        let master = nodes.first()?.clone();
        let addresses: Vec<_> = nodes.into_iter().map(|node| node.set_redis_settings(user.clone())).collect();
        let is_usable = |node: &ConnectionInfo| Client::open(node.clone()).is_ok();
        let are_usable = addresses.iter().chain([&master]).all(is_usable);
        are_usable.then_some(Self { addresses, service, master })
    }

    pub(super) fn name(&self) -> String {
        let mut addresses: Vec<_> = self.addresses.iter().map(|sentinel| sentinel.addr().to_string()).collect();
        addresses.sort();
        format!("{} ({} of sentinels)", addresses.join(", "), self.service)
    }

    pub(super) fn transport(&self) -> RedisTransport {
        self.master.addr().into()
    }

    /// Connects to the master. `connect_timeout` bounds what is done with each node.
    pub(super) async fn open(&self, connect_timeout: Duration) -> Result<OpenMaster, RedisFailure> {
        let (answers, mut cause) = self.ask(connect_timeout).await;
        for address in latest(&answers) {
            let node = node_like(&self.master, address.host.clone(), address.port);
            match open_master(&node, connect_timeout).await {
                Ok(connection) => {
                    let sentinels = answers.into_iter().map(|answer| answer.sentinel).collect();
                    let watch = Mutex::new(Watch { sentinels, due: Instant::now() + CONFIRMED });
                    return Ok(OpenMaster { connection, node, epoch: address.epoch, watch });
                }
                Err(failure) => keep_more_telling(&mut cause, failure),
            }
        }
        Err(cause.unwrap_or(RedisFailure::NoMaster))
    }

    /// Returns whether the sentinels name another master by now. If they do not tell within `time`,
    /// they do not.
    pub(super) async fn name_another(&self, open: &OpenMaster, time: Duration) -> bool {
        let kept = open.watch().sentinels.clone();
        let asked = timeout(time, self.ask_again(kept, time)).await;
        let (answers, cause) = asked.unwrap_or((Vec::new(), Some(RedisFailure::Unopened)));
        let is_another = open.is_replaced(&latest(&answers));
        // While they take the master for dead, they are about to name another.
        let is_heard = !answers.is_empty() || matches!(cause, Some(RedisFailure::NoMaster));
        let next = if is_heard { CONFIRMED } else { UNCONFIRMED };
        open.ask_again_in(next, answers.into_iter().map(|answer| answer.sentinel).collect());
        is_another
    }

    /// Asks sentinels over the connections that were kept, or all over new ones if not most of all
    /// have answered.
    async fn ask_again(&self, kept: Vec<MultiplexedConnection>, time: Duration) -> SentinelAnswers {
        let lookups = kept.into_iter().map(|sentinel| self.look(sentinel, time));
        let (answers, cause) = gather(lookups.collect(), time).await;
        if answers.len() * 2 > self.addresses.len() {
            return (answers, cause);
        }
        self.ask(time).await
    }

    /// Asks all sentinels over new connections.
    async fn ask(&self, time: Duration) -> SentinelAnswers {
        let lookup = async |address: &ConnectionInfo| {
            let sentinel = open_node(address.clone(), time).await?;
            self.look(sentinel, time).await
        };
        gather(self.addresses.iter().map(lookup).collect(), time).await
    }

    /// Asks a sentinel for the master.
    async fn look(&self, mut sentinel: MultiplexedConnection, time: Duration) -> Result<SentinelAnswer, RedisFailure> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTERS");
        let asked = timeout(time, command.query_async::<Vec<HashMap<String, String>>>(&mut sentinel)).await;
        let masters = asked.map_err(|_| RedisFailure::Unopened)?.map_err(of_sentinel)?;
        let named = masters.iter().find(|master| master.get("name") == Some(&self.service));
        let master = named.and_then(address_of).ok_or(RedisFailure::NoMaster)?;
        Ok(SentinelAnswer { master, sentinel })
    }
}

impl OpenMaster {
    /// Whether the sentinels are to be asked again.
    pub(super) fn is_due(&self) -> bool {
        self.watch().due <= Instant::now()
    }

    pub(super) fn is_at(&self, address: &ConnectionAddr) -> bool {
        self.node.addr() == address
    }

    /// Whether those that know of the latest fail-over, and of no earlier one than this is of, name
    /// other nodes alone.
    fn is_replaced(&self, latest: &[MasterAddress]) -> bool {
        let is_other = |found: &MasterAddress| {
            let node = node_like(&self.node, found.host.clone(), found.port);
            found.epoch >= self.epoch && !self.is_at(node.addr())
        };
        !latest.is_empty() && latest.iter().all(is_other)
    }

    fn ask_again_in(&self, time: Duration, sentinels: Vec<MultiplexedConnection>) {
        *self.watch() = Watch { sentinels, due: Instant::now() + time };
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock()
    }
}

/// Waits for answers, and only a little for the rest of them once most sentinels have answered or
/// failed, so that one that stands still keeps nobody from the master. Where one alone answers, the
/// others have half of `time`.
async fn gather(
    mut lookups: FuturesUnordered<impl Future<Output = Result<SentinelAnswer, RedisFailure>>>,
    time: Duration,
) -> SentinelAnswers {
    let (all, mut settled) = (lookups.len(), 0);
    let (mut answers, mut cause, mut end) = (Vec::new(), None, None);
    loop {
        let next = match end {
            Some(end) => timeout_at(end, lookups.next()).await.unwrap_or_default(),
            None => lookups.next().await,
        };
        match next {
            Some(Ok(answer)) => answers.push(answer),
            Some(Err(failure)) => keep_more_telling(&mut cause, failure),
            None => return (answers, cause),
        }
        settled += 1;
        if !answers.is_empty() {
            let rest = if settled * 2 > all { GRACE.min(time / 2) } else { time / 2 };
            let sooner = Instant::now() + rest;
            end = Some(end.map_or(sooner, |end: Instant| end.min(sooner)));
        }
    }
}

/// Returns the masters of the latest fail-over. They are several only if it has no sentinel that
/// was there.
fn latest(answers: &[SentinelAnswer]) -> Vec<MasterAddress> {
    let epoch = answers.iter().map(|answer| answer.master.epoch).max();
    let mut found: Vec<MasterAddress> = Vec::new();
    for answer in answers.iter().filter(|answer| Some(answer.master.epoch) == epoch) {
        if !found.contains(&answer.master) {
            found.push(answer.master.clone());
        }
    }
    found
}

/// Returns where a sentinel says that the master is, unless it takes it for dead.
fn address_of(master: &HashMap<String, String>) -> Option<MasterAddress> {
    let flags = master.get("flags")?;
    if !flags.contains("master") || flags.contains("s_down") || flags.contains("o_down") {
        return None;
    }
    let epoch = master.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Some(MasterAddress { host: master.get("ip")?.clone(), port: master.get("port")?.parse().ok()?, epoch })
}

/// Connects to a node that a sentinel has named, if it says that it is a master.
async fn open_master(node: &ConnectionInfo, time: Duration) -> Result<MultiplexedConnection, RedisFailure> {
    let opened = async {
        let mut connection = open_node(node.clone(), time).await?;
        let role: Value = redis::cmd("ROLE").query_async(&mut connection).await?;
        Ok((connection, role))
    };
    let opened: Result<_, RedisFailure> = timeout(time, opened).await.unwrap_or(Err(RedisFailure::Unopened));
    let (connection, role) = opened.map_err(|cause| cause.of_node("its master", node))?;
    let Value::Array(role) = role else { return Err(RedisFailure::NoMaster) };
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
        _ => Err(RedisFailure::NoMaster),
    }
}

/// Returns the failure of a sentinel that was asked.
fn of_sentinel(error: RedisError) -> RedisFailure {
    let is_unknown = error.detail().is_some_and(|detail| detail.starts_with("unknown command"));
    if is_unknown { RedisFailure::NoSentinel } else { error.into() }
}

/// Has `cause` be the one of both that tells more.
fn keep_more_telling(cause: &mut Option<RedisFailure>, other: RedisFailure) {
    if cause.as_ref().is_none_or(|known| telling(&other) > telling(known)) {
        *cause = Some(other);
    }
}

/// Returns how much a failure tells of why there is no master: what a node has said tells more than
/// that a sentinel knows of none, that more than a connection that is of no use, and that more than
/// one that was refused.
fn telling(failure: &RedisFailure) -> u8 {
    match failure {
        RedisFailure::Reported(error) if !error.is_io_error() => 4,
        RedisFailure::OfNode { .. } | RedisFailure::NoSentinel => 3,
        RedisFailure::NoMaster => 2,
        RedisFailure::Reported(error) if error.is_connection_refusal() => 0,
        _ => 1,
    }
}
