//! What all pools promise alike: the same scenarios against a pool on one machine, a fleet of one
//! process, and a fleet of three. Where a fleet differs, the documentation of `RedisPool` says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::pool::{Account, AuthWorker, Lease, LeaseRequest, Limit, Pool, PoolPolicy, RedisPool, Selection};
use jwt_refresh::{Authenticator, Error, ErrorKind, Tokens};

use crate::support::{HOUR, MINUTE, Machine, RedisServer, SECOND, until};

/// Which pool a scenario runs against.
#[derive(Clone, Copy, Debug)]
enum Kind {
    OneMachine,
    Fleet(usize),
}

enum Handle {
    Local(Pool),
    Fleet(RedisPool),
}

/// The handles of all processes, which are asked in turn.
struct Subject {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _worker: Option<AuthWorker>,
    _redis: Option<RedisServer>,
}

/// Issues a new token at each login.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Authenticator for Counted {
    async fn login(&self) -> Result<Tokens, Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Tokens::new(format!("token-{number}"))?.expires_in(HOUR))
    }
}

fn account(name: &str) -> Account {
    Account::new(name, Counted::default())
}

impl Subject {
    async fn new(kind: Kind, accounts: Vec<Account>) -> Self {
        Self::with_policy(kind, accounts, PoolPolicy::default()).await
    }

    async fn with_policy(kind: Kind, accounts: Vec<Account>, policy: PoolPolicy) -> Self {
        let count = accounts.len();
        let next = AtomicUsize::new(0);
        let Kind::Fleet(processes) = kind else {
            let pool = Pool::builder().accounts(accounts).policy(policy).build().unwrap();
            pool.wait_ready(count, MINUTE).await.unwrap();
            return Self { handles: vec![Handle::Local(pool)], next, _worker: None, _redis: None };
        };
        let redis = RedisServer::start().await;
        let worker =
            AuthWorker::builder(&redis.url(), "contract").share_time(SECOND).lease_ttl(SECOND * 2).accounts(accounts);
        let worker = worker.build().unwrap();
        let pool = || RedisPool::builder(&redis.url(), "contract").policy(policy.clone()).build().unwrap();
        let pools: Vec<RedisPool> = (0..processes).map(|_| pool()).collect();
        let held = || pools.iter().map(|pool| pool.local_status().active).sum::<usize>();
        until("every account serves in some process", async || held() >= count).await;
        let handles = pools.into_iter().map(Handle::Fleet).collect();
        Self { handles, next, _worker: Some(worker), _redis: Some(redis) }
    }

    /// Returns a request of the process whose turn it is.
    fn lease(&self) -> LeaseRequest {
        self.of(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn of(&self, process: usize) -> LeaseRequest {
        match &self.handles[process % self.handles.len()] {
            Handle::Local(pool) => pool.lease(),
            Handle::Fleet(pool) => pool.lease(),
        }
    }

    async fn get(&self) -> Lease {
        self.lease().within(SECOND * 20).await.unwrap()
    }
}

/// Takes leases in all processes at once for a time. Returns how many each account gave.
async fn take_for(subject: &Arc<Subject>, time: Duration, cost: u64) -> HashMap<String, u64> {
    let begun = Instant::now();
    let callers = (0..12).map(|caller| {
        let subject = Arc::clone(subject);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while begun.elapsed() < time {
                if let Ok(lease) = subject.of(caller).cost(cost).within(SECOND / 2).await {
                    taken.push(lease.account().to_owned());
                }
            }
            taken
        })
    });
    let mut counts = HashMap::new();
    for caller in callers.collect::<Vec<_>>() {
        for account in caller.await.unwrap() {
            *counts.entry(account).or_default() += 1;
        }
    }
    counts
}

async fn rates_hold_and_are_used(kind: Kind) {
    let accounts = (0..6).map(|number| account(&format!("a{number}")).rate(20, SECOND)).collect();
    let subject = Arc::new(Subject::new(kind, accounts).await);
    let machine = Machine::watch();
    let counts = take_for(&subject, SECOND * 3, 1).await;
    // Those who come at the end wait for half a second more.
    assert!(counts.values().all(|count| *count <= 71), "{counts:?}");
    let all: u64 = counts.values().sum();
    assert!(all >= 6 * 60 * 8 / 10 || !machine.was_free(), "{counts:?}");
}

async fn costs_count(kind: Kind) {
    let limited = |name| account(name).limit(Limit::cost(100, SECOND));
    let subject = Arc::new(Subject::new(kind, vec![limited("a0"), limited("a1"), limited("a2")]).await);
    let machine = Machine::watch();
    let counts = take_for(&subject, SECOND * 3, 10).await;
    assert!(counts.values().all(|count| *count <= 36), "{counts:?}");
    let all: u64 = counts.values().sum();
    assert!(all >= 3 * 30 * 7 / 10 || !machine.was_free(), "{counts:?}");
    let error = subject.lease().cost(101).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
}

async fn callers_of_a_process_are_served_in_order(kind: Kind) {
    let subject = Arc::new(Subject::new(kind, vec![account("a0").rate(20, SECOND)]).await);
    drop(subject.of(0).await.unwrap());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for number in 0..10 {
        let (subject, order) = (Arc::clone(&subject), Arc::clone(&order));
        let mut request = subject.of(0).into_future();
        // The caller is in the queue once it was polled.
        let waits = futures_util::poll!(&mut request);
        if waits.is_ready() {
            order.lock().unwrap().push(number);
            continue;
        }
        callers.push(tokio::spawn(async move {
            request.await.unwrap();
            order.lock().unwrap().push(number);
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

async fn tags_are_kept_apart(kind: Kind) {
    let accounts = vec![account("a0").tag("eu"), account("a1").tag("us"), account("a2").tag("us")];
    let subject = Subject::new(kind, accounts).await;
    for _ in 0..6 {
        assert_eq!(subject.lease().tag("eu").within(SECOND * 20).await.unwrap().account(), "a0");
        assert_ne!(subject.lease().tag("us").within(SECOND * 20).await.unwrap().account(), "a0");
    }
    let error = subject.lease().tag("mars").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"mars\""), "{error}");
}

async fn weights_hold_within_a_process(kind: Kind) {
    let accounts = vec![account("a0").weight(9), account("a1").weight(1)];
    let subject = Subject::with_policy(kind, accounts, PoolPolicy::default().selection(Selection::Weighted)).await;
    let mut counts = HashMap::<String, u32>::new();
    for _ in 0..100 {
        let lease = subject.of(0).within(SECOND * 20).await.unwrap();
        *counts.entry(lease.account().to_owned()).or_default() += 1;
    }
    // Of several processes, each may have one of the two.
    let is_whole = subject.handles.len() == 1;
    assert!(!is_whole || counts["a0"].abs_diff(90) <= 1, "{counts:?}");
}

async fn equal_keys_have_one_account_in_all_processes(kind: Kind) {
    let subject = Subject::new(kind, (0..5).map(|number| account(&format!("a{number}"))).collect()).await;
    for key in 0..10 {
        let mut accounts = HashSet::new();
        for process in 0..subject.handles.len() {
            let lease = subject.of(process).key(key.to_string()).within(SECOND * 20).await.unwrap();
            accounts.insert(lease.account().to_owned());
        }
        assert_eq!(accounts.len(), 1, "key {key}: {accounts:?}");
    }
}

async fn a_rejected_token_is_replaced(kind: Kind) {
    let subject = Subject::new(kind, vec![account("a0")]).await;
    let lease = subject.of(0).within(SECOND * 20).await.unwrap();
    lease.rejected();
    let next = subject.of(0).within(SECOND * 20).await.unwrap();
    assert!(next.generation() > lease.generation() && next.token().expose() != lease.token().expose());
}

async fn an_account_rests_after_a_429(kind: Kind) {
    let subject = Subject::new(kind, vec![account("a0"), account("a1")]).await;
    let lease = subject.of(0).within(SECOND * 20).await.unwrap();
    let resting = lease.account().to_owned();
    lease.rate_limited(Some(SECOND * 30));
    // Those that have a part of the account, too, hear of it a moment later. One that has not heard
    // of it gives the accounts in turn.
    let others = async || {
        for process in (0..3).flat_map(|process| [process; 4]) {
            if subject.of(process).within(SECOND * 20).await.unwrap().account() == resting {
                return false;
            }
        }
        true
    };
    until("all processes know of the rest", others).await;
    for process in 0..6 {
        assert_ne!(subject.of(process).within(SECOND * 20).await.unwrap().account(), resting);
    }
}

async fn a_usage_cap_renews_the_token(kind: Kind) {
    let subject = Subject::new(kind, vec![account("a0").usage_cap(3)]).await;
    let mut served = HashMap::<u64, u32>::new();
    for _ in 0..9 {
        let lease = subject.of(0).within(SECOND * 20).await.unwrap();
        *served.entry(lease.generation()).or_default() += 1;
    }
    assert!(served.values().all(|calls| *calls == 3), "{served:?}");
}

async fn concurrency_and_deadlines_hold(kind: Kind) {
    let subject = Subject::new(kind, vec![account("a0").concurrency(1)]).await;
    let held = subject.get().await;
    for process in 0..3 {
        let error = subject.of(process).within(SECOND / 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    }
    drop(held);
    for process in 0..3 {
        drop(subject.of(process).within(SECOND * 20).await.unwrap());
    }
}

async fn a_caller_that_is_cancelled_costs_nothing(kind: Kind) {
    let subject = Arc::new(Subject::new(kind, vec![account("a0").concurrency(1)]).await);
    let held = subject.get().await;
    for process in 0..20 {
        let mut request = subject.of(process).into_future();
        assert!(futures_util::poll!(&mut request).is_pending());
        drop(request);
    }
    drop(held);
    drop(subject.get().await);
}

/// Makes each scenario a test for each pool.
macro_rules! contract {
    ($($scenario:ident)+) => {
        mod one_machine { $(#[tokio::test] async fn $scenario() { super::$scenario(super::Kind::OneMachine).await; })+ }
        mod fleet_of_one { $(#[tokio::test] async fn $scenario() { super::$scenario(super::Kind::Fleet(1)).await; })+ }
        mod fleet_of_three { $(#[tokio::test] async fn $scenario() { super::$scenario(super::Kind::Fleet(3)).await; })+ }
    };
}

contract! {
    rates_hold_and_are_used
    costs_count
    callers_of_a_process_are_served_in_order
    tags_are_kept_apart
    weights_hold_within_a_process
    equal_keys_have_one_account_in_all_processes
    a_rejected_token_is_replaced
    an_account_rests_after_a_429
    a_usage_cap_renews_the_token
    concurrency_and_deadlines_hold
    a_caller_that_is_cancelled_costs_nothing
}
