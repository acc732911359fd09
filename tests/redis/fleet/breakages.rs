//! What broke pools that ask Redis for each lease: impatient callers, crowds, snapshots, lost keys
//! and full memories.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{Account, AuthWorker, LeaseRequest, Pool, QuarantineCause, RedisPool};
use jwt_refresh_testkit::TestServer;
use tokio::task::JoinSet;

use super::callers::{Callers, Seen, more};
use super::{World, active, policy};
use crate::support::{Machine, RedisServer, SECOND, log, until, with_accounts};

/// Asks a pool for a lease.
type Ask = Box<dyn Fn() -> LeaseRequest>;

/// A pool on one machine with the same limits, which is asked beside the fleet: what it does not
/// give, the machine was too busy for.
async fn witness(account: Account) -> Ask {
    let pool = Pool::builder().account(account).build().unwrap();
    pool.wait_ready(1, SECOND * 60).await.unwrap();
    Box::new(move || pool.lease())
}

fn asks(pool: &RedisPool) -> Ask {
    let pool = pool.clone();
    Box::new(move || pool.lease())
}

/// Callers come every 20 ms for `time`, and wait for 200 ms each. Returns how many were served.
async fn impatient(pools: &[Ask], time: Duration) -> u64 {
    let served = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    let mut next = 0;
    while begun.elapsed() < time {
        let (lease, served) = (pools[next % pools.len()]().within(SECOND / 5), Arc::clone(&served));
        next += 1;
        callers.spawn(async move {
            if lease.await.is_ok() {
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        tokio::time::sleep(SECOND / 50).await;
    }
    callers.join_all().await;
    served.load(Ordering::Relaxed)
}

/// Takes leases one after the other for two seconds, a second after impatient callers have gone,
/// and returns how many.
async fn after_a_second(ask: &Ask) -> u64 {
    let begun = Instant::now();
    let mut leases = 0;
    while begun.elapsed() < SECOND * 3 {
        let served = ask().within(SECOND).await.is_ok();
        leases += u64::from(served && begun.elapsed() >= SECOND);
    }
    leases
}

/// Has impatient callers ask `processes` of a fleet, and a pool on one machine, and compares how
/// many are served then and afterwards.
async fn impatient_callers_cost_nothing(processes: usize, time: Duration) {
    let world = World::new(1).await;
    let account = || world.account(0).rate(10, SECOND);
    let _worker = world.builder().account(account()).build().unwrap();
    let pools: Vec<RedisPool> = (0..processes).map(|_| world.pool()).collect();
    let alone = [witness(account()).await];
    let holds = || pools.iter().map(|pool| pool.local_status().active).sum::<usize>();
    until("the account serves in some process", async || holds() > 0).await;
    let fleet: Vec<Ask> = pools.iter().map(asks).collect();
    let machine = Machine::watch();
    let (served, of) = tokio::join!(impatient(&fleet, time), impatient(&alone, time));
    let (after, of_after) = tokio::join!(after_a_second(&fleet[0]), after_a_second(&alone[0]));
    println!("{served} served, {of} by a pool on one machine; then {after} in two seconds, and {of_after}");
    // What one process of a fleet tells another comes late on a busy machine.
    let least = if machine.was_free() { 75 } else { 40 };
    assert!(served * 100 >= of * least, "{served} of {of}");
    assert!(after * 100 >= of_after * least, "{after} of {of_after} in two seconds");
    let most = 10 * time.as_secs() + 4;
    assert!(served <= most && after <= 22, "{served} in {time:?}, {after} in two seconds");
}

#[tokio::test]
async fn callers_who_give_up_cost_an_account_nothing_of_its_rate() {
    impatient_callers_cost_nothing(1, SECOND * 6).await;
}

#[tokio::test]
async fn callers_who_give_up_in_two_processes_cost_an_account_nothing_of_its_rate() {
    impatient_callers_cost_nothing(2, SECOND * 8).await;
}

/// Has 32 callers of each pool take leases at the same time, and returns how many each pool gave.
async fn race(pools: [&RedisPool; 2]) -> [u64; 2] {
    let counts = [const { AtomicU64::new(0) }; 2].map(Arc::new);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for (pool, count) in (0..32).flat_map(|_| pools.into_iter().zip(&counts)) {
        let (pool, count) = (pool.clone(), Arc::clone(count));
        callers.spawn(async move {
            while begun.elapsed() < SECOND {
                drop(pool.lease().within(SECOND).await.unwrap());
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    }
    callers.join_all().await;
    counts.map(|count| count.load(Ordering::Relaxed))
}

#[tokio::test]
async fn callers_who_have_waited_once_slow_no_later_ones() {
    let world = World::with_latency(2, SECOND).await;
    let waited = world.pool();
    let _worker = world.worker(2);
    active(&waited, 0).await;
    until("the accounts are known", async || waited.status().await.is_ok_and(|status| status.accounts == 2)).await;
    let callers = (0..64).map(|_| tokio::spawn(waited.lease().within(SECOND * 20).into_future()));
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap().unwrap();
    }
    let fresh = world.pool();
    until("both have a share", async || [&waited, &fresh].iter().all(|pool| pool.local_status().active > 0)).await;
    let commands = async || {
        let info: String = world.redis.run_command("INFO stats").await;
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let (before, begun) = (commands().await, Instant::now());
    let [of_waited, of_fresh] = race([&waited, &fresh]).await;
    let (commands, time) = (commands().await - before, begun.elapsed());
    println!("{of_waited} leases after a wait, {of_fresh} without, {commands} commands in {time:?}");
    assert!(of_waited > of_fresh / 4, "{of_waited} leases after a wait, {of_fresh} without");
    assert!(commands < (of_waited + of_fresh) / 10, "{commands} for {} leases", of_waited + of_fresh);
}

#[tokio::test]
async fn after_a_restart_from_an_older_snapshot_no_spent_refresh_token_is_sent() {
    let mut world = World::with_lifetime(4, SECOND * 2).await;
    let _workers = [world.worker(4), world.worker(4)];
    let pool = world.pool();
    active(&pool, 4).await;
    world.redis.save().await;
    until("each was refreshed", async || world.server.stats().refreshes >= 8).await;
    world.redis.stop();
    let before = world.server.stats();
    world.redis.run().await;
    let begun = Instant::now();
    until("it serves", async || {
        let lease = pool.lease().within(SECOND).await;
        match lease {
            Ok(lease) => world.call(&lease).await == 200,
            Err(_) => false,
        }
    })
    .await;
    println!("serves {:?} after Redis was back", begun.elapsed());
    until("each was refreshed again", async || world.server.stats().since(&before).refreshes >= 12).await;
    for _ in 0..4 {
        world.serves(&pool.lease().within(SECOND * 5).await.unwrap()).await;
    }
    let counted = world.server.stats();
    println!("{counted:?}");
    // What is revoked is a login that came while another worker had mended the store already.
    assert_eq!(counted.reuses, 0, "{counted:?}");
    // Each account's refresh token is in doubt once.
    assert!(counted.since(&before).logins <= 8, "{counted:?}");
}

/// The keys of the fleet's accounts, of its access tokens, and of the rows of its auth workers.
const ACCOUNTS: &str = "jwt-refresh:{catalog}:fleet:accounts";
const TOKENS: &str = "jwt-refresh:{catalog}:fleet:tokens";
const WORKERS: &str = "jwt-refresh:{catalog}:fleet:workers";

/// The sequence of an account's token in Redis, and the rest of its row.
async fn token_row(world: &World, account: &str) -> (u64, String) {
    let row: String = world.redis.run_command(&format!("HGET {TOKENS} {account}")).await;
    let (sequence, token) = row.split_once(':').unwrap();
    (sequence.parse().unwrap(), token.to_owned())
}

#[tokio::test]
async fn after_the_vault_is_lost_new_workers_go_on_after_the_tokens_that_the_fleet_has() {
    const LONG_AGO: u64 = 100_000;
    let world = World::with_lifetime(2, SECOND * 3).await;
    let workers = [world.worker(2), world.worker(2)];
    let pool = world.pool();
    active(&pool, 2).await;
    let old = pool.lease().within(SECOND * 10).await.unwrap();
    drop(workers);
    // As after months of renewals.
    for account in ["a0", "a1"] {
        let (_, token) = token_row(&world, account).await;
        let row = format!("{LONG_AGO}:{token}");
        world.redis.query::<i64>(redis::cmd("HSET").arg(TOKENS).arg(account).arg(row)).await;
    }
    let vault: Vec<String> = world.redis.run_command("KEYS jwt-refresh/catalog/vault:*").await;
    world.redis.query::<i64>(redis::cmd("DEL").arg(&vault)).await;

    let _workers = [world.worker(2), world.worker(2)];
    for account in ["a0", "a1"] {
        until("a later token is there", async || token_row(&world, account).await.0 > LONG_AGO).await;
    }
    until("the old token has expired", async || world.call(&old).await == 401).await;
    for pool in [pool, world.pool()] {
        for _ in 0..2 {
            world.serves(&pool.lease().within(SECOND * 10).await.unwrap()).await;
        }
    }
    let counted = world.server.stats();
    println!("{counted:?}");
    assert_eq!(counted.reuses, 0, "{counted:?}");
    // Each account logs in again, which both workers may begin at once.
    assert!(counted.logins <= 2 + 4, "{counted:?}");
}

#[tokio::test]
async fn after_the_vault_is_lost_under_living_workers_each_account_logs_in_once_at_most() {
    const ACCOUNTS: usize = 6;
    let world = World::with_lifetime(ACCOUNTS, SECOND * 2).await;
    let _workers = [world.worker(ACCOUNTS), world.worker(ACCOUNTS)];
    let pool = world.pool();
    active(&pool, ACCOUNTS).await;
    for round in 0..3 {
        // One worker has renewed a token, of which the other hears when it is about to.
        let begun = world.server.stats();
        until("a token was refreshed", async || world.server.stats().since(&begun).refreshes > round).await;
        let before = world.server.stats();
        let vault: Vec<String> = world.redis.run_command("KEYS jwt-refresh/catalog/vault:*").await;
        let under_way = vault.iter().filter(|key| key.ends_with(":lease")).count();
        world.redis.query::<i64>(redis::cmd("DEL").arg(&vault)).await;
        until("each was renewed three times", async || {
            let since = world.server.stats().since(&before);
            since.logins + since.refreshes >= 3 * ACCOUNTS as u64
        })
        .await;
        let since = world.server.stats().since(&before);
        println!("round {round}: {since:?}");
        // A renewal whose lease is lost excludes no other one.
        let at_most = (ACCOUNTS + under_way) as u64;
        assert!(since.logins <= at_most && since.reuses == 0, "{under_way} under way: {since:?}");
    }
}

#[tokio::test]
async fn a_vault_that_is_behind_the_fleets_tokens_has_new_workers_send_no_spent_refresh_token() {
    const ENTRY: &str = "jwt-refresh/catalog/vault:{a0}:entry";
    let world = World::new(1).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let (first, _) = token_row(&world, "a0").await;
    world.redis.run_command::<u32>(&format!("COPY {ENTRY} backup")).await;
    pool.lease().await.unwrap().rejected();
    until("the token was refreshed", async || token_row(&world, "a0").await.0 > first).await;
    let (fleet, _) = token_row(&world, "a0").await;
    drop(worker);
    let before = world.server.stats();
    assert_eq!(before.refreshes, 1, "{before:?}");
    // As if the vault's master had died with its last writes, and the fleet's had not.
    world.redis.run_command::<u32>(&format!("COPY backup {ENTRY} REPLACE")).await;

    let _workers = [world.worker(1), world.worker(1)];
    until("a later token is there", async || token_row(&world, "a0").await.0 > fleet).await;
    world.serves(&pool.lease().within(SECOND * 10).await.unwrap()).await;
    let counted = world.server.stats();
    let since = counted.since(&before);
    assert_eq!((since.logins, since.refreshes, counted.reuses), (1, 0, 0), "{counted:?}");
}

/// Waits until the fleet says that the account's login is denied, and serves no caller.
async fn is_denied(pool: &RedisPool) {
    until("it is said why the account does not serve", async || {
        let status = pool.status().await.unwrap();
        status
            .quarantined
            .iter()
            .any(|one| one.error.as_ref().is_some_and(|error| error.to_string().contains("denied")))
    })
    .await;
    let error = pool.lease().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAccount, "{error}");
}

/// Has workers find no tokens any more, and no way to get some.
async fn lose_login(world: &World) {
    let vault: Vec<String> = world.redis.run_command("KEYS jwt-refresh/catalog/vault:*").await;
    world.redis.query::<i64>(redis::cmd("DEL").arg(&vault)).await;
    world.server.set_password("a0", "changed");
}

#[tokio::test]
async fn a_login_that_fails_after_the_vault_was_lost_is_told_to_the_fleet() {
    let world = World::with_lifetime(1, SECOND * 3).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    drop(worker);
    lose_login(&world).await;
    let _worker = world.worker(1);
    is_denied(&pool).await;
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn a_worker_that_cannot_open_the_fleets_tokens_tells_when_they_have_expired() {
    use jwt_refresh::store::SealKey;

    let world = World::with_lifetime(1, SECOND * 3).await;
    let key = SealKey::generate().unwrap();
    let worker = world.builder().account(world.account(0)).key(key.clone()).build().unwrap();
    let pool = RedisPool::builder(&world.redis.url(), super::POOL).key(key).build().unwrap();
    active(&pool, 1).await;
    drop(worker);
    lose_login(&world).await;
    let _worker = world.worker(1);
    is_denied(&pool).await;
}

/// Waits until the only auth worker that still speaks has told all that it knows by now.
async fn has_told(world: &World) {
    let figures = async || world.redis.run_command::<Vec<String>>(&format!("HVALS {WORKERS}")).await;
    for _ in 0..2 {
        let before = figures().await;
        until("the worker has done a round", async || figures().await != before).await;
    }
}

#[tokio::test]
async fn a_worker_without_a_token_takes_no_account_out_of_use_whose_token_lives() {
    let world = World::new(1).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    drop(worker);
    lose_login(&world).await;
    let row: String = world.redis.run_command(&format!("HGET {ACCOUNTS} a0")).await;
    let mut of_earlier_version: serde_json::Value = serde_json::from_str(&row).unwrap();
    of_earlier_version.as_object_mut().unwrap().remove("expires");
    for row in [row, of_earlier_version.to_string()] {
        world.redis.query::<i64>(redis::cmd("HSET").arg(ACCOUNTS).arg("a0").arg(row)).await;
        let worker = world.worker(1);
        until("its login was denied", async || pool.status().await.is_ok_and(|status| status.failing == 1)).await;
        has_told(&world).await;
        assert_eq!(pool.status().await.unwrap().active, 1, "{}", pool.status().await.unwrap());
        world.serves(&world.pool().lease().within(SECOND * 10).await.unwrap()).await;
        drop(worker);
        until("its figures are old", async || pool.status().await.is_ok_and(|status| status.failing == 0)).await;
    }
}

#[tokio::test]
async fn a_worker_without_a_token_is_silent_again_when_another_says_that_the_fleets_token_lives() {
    let world = World::new(1).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    drop(worker);
    lose_login(&world).await;
    let write = async |row: &str| world.redis.query::<u32>(redis::cmd("HSET").arg(ACCOUNTS).arg("a0").arg(row)).await;
    let row: String = world.redis.run_command(&format!("HGET {ACCOUNTS} a0")).await;
    let mut expired: serde_json::Value = serde_json::from_str(&row).unwrap();
    expired["expires"] = 1.into();
    write(&expired.to_string()).await;
    let short = policy().quarantine(SECOND, SECOND);
    let _worker = world.builder().account(world.account(0)).policy(short).build().unwrap();
    until("it says that the login is denied", async || {
        pool.status().await.is_ok_and(|status| status.quarantined_for(QuarantineCause::Denied) == 1)
    })
    .await;
    // The worker may be in the middle of saying so once more, and then replaces the row.
    until("it is silent although it is denied again", async || {
        write(&row).await;
        let before = world.server.stats().failed_logins;
        until("it was denied again", async || world.server.stats().failed_logins > before + 1).await;
        has_told(&world).await;
        pool.status().await.is_ok_and(|status| status.active == 1)
    })
    .await;
}

#[tokio::test]
async fn a_row_with_a_sequence_that_no_token_has_is_replaced() {
    for sequence in ["18446744073709551615:", "9007199254740994:", ""] {
        let world = World::new(1).await;
        let _worker = world.worker(1);
        let pool = world.pool();
        active(&pool, 1).await;
        let lease = pool.lease().within(SECOND * 10).await.unwrap();
        let row = format!("{sequence}of-nobody");
        world.redis.query::<i64>(redis::cmd("HSET").arg(TOKENS).arg("a0").arg(row)).await;
        lease.rejected();
        until("a later token is there", async || {
            let row: String = world.redis.run_command(&format!("HGET {TOKENS} a0")).await;
            row.split_once(':').is_some_and(|(sequence, _)| sequence.parse::<u64>().is_ok_and(|number| number < 100))
        })
        .await;
        let counted = world.server.stats();
        assert_eq!((counted.refreshes, counted.logins), (1, 1), "{sequence:?}: {counted:?}");
    }
}

#[tokio::test]
async fn rows_of_workers_that_ended_long_ago_are_deleted() {
    let world = World::new(1).await;
    let worker = world.worker(1);
    let pool = world.pool();
    active(&pool, 1).await;
    let rows = async || world.redis.run_command::<Vec<String>>(&format!("HKEYS {WORKERS}")).await;
    until("the worker has a row", async || rows().await.len() == 1).await;
    let (living, row): (String, String) = {
        let mut all: Vec<String> = world.redis.run_command(&format!("HGETALL {WORKERS}")).await;
        (all.remove(0), all.remove(0))
    };
    let ended = row.split_once(',').unwrap().1;
    for (name, row) in [("ended", format!("{{\"until\":1,{ended}")), ("of-a-later-version", "{}".to_owned())] {
        world.redis.query::<i64>(redis::cmd("HSET").arg(WORKERS).arg(name).arg(row)).await;
    }
    // It looks when it starts, and from then on once a minute.
    let later = world.worker(1);
    until("it is gone", async || !rows().await.contains(&"ended".to_owned())).await;
    let left = rows().await;
    assert!(left.contains(&living) && left.contains(&"of-a-later-version".to_owned()), "{left:?}");
    drop((worker, later));
}

/// Two workers, one of which has an account more, and the tags by which each account is asked for.
const TAGS: [&str; 4] = ["one at a time", "fast", "free", "other"];

fn workers(world: &World) -> [AuthWorker; 2] {
    let account = |number: usize| -> Account {
        let account = world.account(number).tag(TAGS[number]);
        match number {
            0 => account.concurrency(1),
            1 => account.rate(100, SECOND).burst(10).concurrency(4),
            _ => account,
        }
    };
    let worker = |numbers: &[usize]| {
        let accounts = numbers.iter().map(|number| account(*number));
        world.builder().accounts(accounts).lease_ttl(SECOND).build().unwrap()
    };
    [worker(&[0, 1, 2]), worker(&[0, 3])]
}

/// Waits until a process that knows nothing yet can use each account.
async fn all_serve_a_new_process(world: &World) {
    let pool = world.pool();
    for tag in TAGS {
        until(&format!("{tag:?} serves a new process"), async || pool.lease().tag(tag).within(SECOND).await.is_ok())
            .await;
    }
    pool.close(SECOND).await;
}

#[tokio::test]
async fn every_key_can_be_lost_while_the_fleet_serves() {
    let world = World::new(4).await;
    let _workers = workers(&world);
    let pools = [world.pool(), world.pool()];
    active(&pools[0], 4).await;
    let seen = Arc::new(Seen::default());
    let start = |tag| [0, 1].map(|at: usize| Callers::start(&pools[at], 2, tag, &seen));
    let (single, free) = (start(TAGS[0]), start(TAGS[2]));
    for callers in single.iter().chain(&free) {
        more(callers, 10).await;
    }
    let mut keys: Vec<String> = world.redis.run_command("KEYS *").await;
    keys.sort();
    assert!(keys.len() >= 15, "{keys:?}");
    for key in keys {
        let lost: u32 = world.redis.run_command(&format!("DEL {key}")).await;
        let begun = Instant::now();
        for callers in single.iter().chain(&free) {
            more(callers, 10).await;
        }
        all_serve_a_new_process(&world).await;
        println!("{lost} {key}: all is well after {:?}", begun.elapsed());
    }
    for callers in single.iter().chain(&free) {
        assert_eq!(callers.take_errors(), [], "callers wait, and get no error");
    }
    let counted = world.server.stats();
    println!("{counted:?}, at most {} at once", seen.most("a0"));
    assert_eq!(seen.most("a0"), 1, "leases of an account that allows one at a time");
    assert_eq!((counted.reuses, counted.revocations), (0, 0), "{counted:?}");
    assert!(counted.logins <= 8, "{counted:?}");
}

#[tokio::test]
async fn a_redis_that_evicts_keys_causes_no_storm_of_logins_and_is_warned_of() {
    const ACCOUNTS: usize = 20;
    log();
    let options = ["--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru"];
    let server = with_accounts(TestServer::builder(), ACCOUNTS).start();
    let world = World { redis: RedisServer::with_options(&options).await, server };
    let _workers = [world.worker(ACCOUNTS), world.worker(ACCOUNTS)];
    let pool = world.pool();
    active(&pool, ACCOUNTS).await;
    let begun = Instant::now();
    let (mut written, mut leased) = (0, 0);
    while begun.elapsed() < SECOND * 8 {
        for _ in 0..20 {
            let command = redis::cmd("SET").arg(format!("greedy:{written}")).arg("x".repeat(20_000)).clone();
            world.redis.query::<()>(&command).await;
            written += 1;
        }
        leased += u32::from(pool.lease().within(SECOND / 10).await.is_ok());
    }
    let counted = world.server.stats();
    let info: String = world.redis.run_command("INFO stats").await;
    let evicted = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
    println!("{written} written, {evicted} evicted, {leased} leases, {counted:?}");
    assert!(evicted.parse::<u32>().unwrap() > 100, "{evicted} evicted");
    assert!(counted.logins <= 3 * ACCOUNTS as u64, "{counted:?}");
    assert_eq!((counted.reuses, counted.revocations), (0, 0), "{counted:?}");
    assert!(log().contains("policy=\"allkeys-lru\"") && log().contains("`maxmemory-policy noeviction`"));
    until("it serves", async || pool.lease().within(SECOND).await.is_ok()).await;
}
