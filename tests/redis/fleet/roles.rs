//! Roles: a process that only uses tokens can read no credential, and write nothing that is not its
//! own, whatever commands it sends.

use std::collections::BTreeSet;

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{AuthWorker, RedisPool};
use redis::Value;

use super::{POOL, World, active};
use crate::access_rule;
use crate::support::{SECOND, until};

/// The access rule in the documentation for processes that use tokens.
fn client_rule() -> String {
    access_rule(include_str!("../../../jwt-refresh-core/src/pool/fleet/mod.rs"))
}

/// The access rule in the documentation for auth workers.
fn auth_rule() -> String {
    access_rule(include_str!("../../../jwt-refresh-core/src/pool/fleet/worker.rs"))
}

fn url(world: &World, user: &str) -> String {
    format!("redis://{user}:password@127.0.0.1:{}", world.redis.port)
}

async fn with_rules(accounts: usize) -> World {
    let world = World::new(accounts).await;
    let () = world.redis.run_command(&client_rule()).await;
    let () = world.redis.run_command(&auth_rule()).await;
    world
}

#[tokio::test]
async fn the_documented_rules_allow_everything_that_is_needed() {
    let world = with_rules(3).await;
    let limited = world.account(1).rate(1000, SECOND).concurrency(1).tag("eu").usage_cap(2);
    let worker =
        AuthWorker::builder(&url(&world, "auth"), POOL).account(world.account(0)).account(limited).build().unwrap();
    let pool = RedisPool::builder(&url(&world, "worker"), POOL).build().unwrap();
    active(&pool, 2).await;
    for _ in 0..4 {
        drop(pool.lease().tag("eu").within(SECOND * 10).await.unwrap());
    }
    let keyed = pool.lease().key("k").await.unwrap();
    keyed.succeeded();
    keyed.rate_limited(Some(SECOND / 10));
    pool.lease().await.unwrap().quota_used_up(Some(SECOND));
    let lease = pool.lease().within(SECOND * 10).await.unwrap();
    lease.rejected();
    drop(pool.lease().within(SECOND * 10).await.unwrap());
    worker.add(world.account(2)).unwrap();
    until("the account is known", async || pool.status().await.is_ok_and(|status| status.accounts == 3)).await;
    assert!(worker.remove("a2").await.unwrap());
    assert_eq!(pool.status().await.unwrap().accounts, 2);
    drop((worker, pool, lease, keyed));
    until("the process has left the fleet", async || {
        let members: Vec<String> = world.redis.run_command("HVALS jwt-refresh:{catalog}:member:demand").await;
        members.iter().all(|said| said.starts_with("0 "))
    })
    .await;
    let denied: Vec<Value> = world.redis.run_command("ACL LOG").await;
    assert!(denied.is_empty(), "{denied:?}");
}

/// All that a user can read: every key, by each command that reads its type, alone and in a script.
async fn readable(world: &World, user: &str) -> Vec<u8> {
    let client = redis::Client::open(url(world, user)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = world.redis.run_command("KEYS *").await;
    assert!(keys.iter().any(|key| key.contains("/vault:")), "{keys:?}");
    let mut read = Vec::new();
    for key in keys {
        for script in [
            "return redis.call('HGETALL', KEYS[1])",
            "return redis.call('ZRANGE', KEYS[1], 0, -1)",
            "return redis.call('GET', KEYS[1])",
            "return redis.call('DUMP', KEYS[1])",
        ] {
            let answer: redis::RedisResult<Value> =
                redis::cmd("EVAL").arg(script).arg(1).arg(&key).query_async(&mut connection).await;
            gather(&answer.unwrap_or(Value::Nil), &mut read);
        }
        for command in ["HGETALL", "DUMP", "GET", "OBJECT"] {
            let answer: redis::RedisResult<Value> = redis::cmd(command).arg(&key).query_async(&mut connection).await;
            gather(&answer.unwrap_or(Value::Nil), &mut read);
        }
    }
    read
}

/// Appends all strings in `value` to `read`.
fn gather(value: &Value, read: &mut Vec<u8>) {
    match value {
        Value::BulkString(bytes) => read.extend_from_slice(bytes),
        Value::Array(values) => values.iter().for_each(|value| gather(value, read)),
        _ => {}
    }
}

fn holds(read: &[u8], text: &str) -> bool {
    read.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_client_can_read_the_access_tokens_and_neither_refresh_token_nor_password() {
    let world = with_rules(2).await;
    let accounts = (0..2).map(|number| world.account(number));
    let _worker = AuthWorker::builder(&url(&world, "auth"), POOL).accounts(accounts).build().unwrap();
    let pool = RedisPool::builder(&url(&world, "worker"), POOL).build().unwrap();
    active(&pool, 2).await;
    let mut kept: Vec<String> = Vec::new();
    for account in ["a0", "a1"] {
        let entry = format!("jwt-refresh/catalog/vault:{{{account}}}:entry");
        kept.push(world.redis.run_command(&format!("HGET {entry} data")).await);
    }
    let refresh_tokens: Vec<&str> =
        kept.iter().map(|kept| kept.split("\"refresh_token\":\"").nth(1).unwrap().split('"').next().unwrap()).collect();
    assert_eq!(refresh_tokens.len(), 2);

    let seen = readable(&world, "worker").await;
    assert!(holds(&seen, pool.lease().await.unwrap().token().expose()), "the search finds what it may read");
    for refresh_token in &refresh_tokens {
        assert!(!holds(&seen, refresh_token), "a refresh token is within reach of a client");
    }
    let by_auth = readable(&world, "auth").await;
    assert!(refresh_tokens.iter().all(|token| holds(&by_auth, token)), "the search would have found them");
    // Passwords are in no key at all.
    assert!(!holds(&by_auth, "secret"));
}

#[tokio::test]
async fn a_client_that_acts_as_an_auth_worker_is_denied() {
    let world = with_rules(1).await;
    let _worker = AuthWorker::builder(&url(&world, "auth"), POOL).account(world.account(0)).build().unwrap();
    let pool = RedisPool::builder(&url(&world, "worker"), POOL).build().unwrap();
    active(&pool, 1).await;
    let intruder = AuthWorker::builder(&url(&world, "worker"), POOL).build().unwrap();
    let error = intruder.remove("a0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("denied access"), "{cause}");
}

/// The string literals of a source file.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// The key table of fleets, as nouns such as `fleet:state`. That of a member's own keys ends with
/// `{member}`.
fn fleet_nouns() -> BTreeSet<&'static str> {
    let all = literals(include_str!("../../../jwt-refresh-core/src/pool/fleet/place.rs"));
    let all = all.map(|literal| literal.strip_prefix("{}:").unwrap_or(literal));
    all.filter(|noun| ["fleet:", "member:", "auth:"].iter().any(|group| noun.starts_with(group))).collect()
}

/// What the names of an account's keys and channels in the vault end with.
fn vault_nouns() -> BTreeSet<&'static str> {
    let all = literals(include_str!("../../../jwt-refresh-core/src/store/redis/keys.rs"));
    all.filter_map(|literal| literal.strip_prefix("{}:")).collect()
}

/// All keys that a fleet may have, by the tables: those that clients write, and all others.
fn keys_of(members: &[String], accounts: &[&str]) -> [BTreeSet<String>; 2] {
    let base = "jwt-refresh:{catalog}";
    let (own, others): (Vec<&str>, Vec<&str>) = fleet_nouns().into_iter().partition(|noun| noun.starts_with("member:"));
    let of_members = |noun: &str| -> Vec<String> {
        if !noun.contains("{member}") {
            return vec![format!("{base}:{noun}")];
        }
        members.iter().map(|member| format!("{base}:{}", noun.replace("{member}", member))).collect()
    };
    let own = own.into_iter().flat_map(of_members).collect();
    let mut others: BTreeSet<String> = others.into_iter().flat_map(of_members).collect();
    for noun in vault_nouns() {
        others.extend(accounts.iter().map(|account| format!("jwt-refresh/catalog/vault:{{{account}}}:{noun}")));
    }
    [own, others]
}

/// What a client may try to change a key with. `KEY` stands for the key, and `OWN` for one that it
/// may write.
const WRITES: [&str; 36] = [
    "HSET KEY forged 1",
    "HMSET KEY forged 1",
    "HSETNX KEY forged 1",
    "HINCRBY KEY forged 1",
    "HDEL KEY a0",
    "ZADD KEY 1 forged",
    "ZADD KEY INCR 1 forged",
    "ZINCRBY KEY 1 forged",
    "ZREM KEY a0",
    "ZPOPMAX KEY",
    "ZREMRANGEBYRANK KEY 0 -1",
    "ZREMRANGEBYSCORE KEY -inf +inf",
    "ZRANGESTORE KEY OWN 0 -1",
    "ZUNIONSTORE KEY 1 OWN",
    "SORT OWN STORE KEY",
    "SET KEY forged",
    "SETNX KEY forged",
    "SETEX KEY 100 forged",
    "GETSET KEY forged",
    "GETDEL KEY",
    "GETEX KEY EX 1",
    "APPEND KEY forged",
    "SETRANGE KEY 0 forged",
    "LPUSH KEY forged",
    "SADD KEY forged",
    "XADD KEY * forged 1",
    "DEL KEY",
    "UNLINK KEY",
    "EXPIRE KEY 1",
    "PEXPIREAT KEY 1",
    "PERSIST KEY",
    "RENAME KEY OWN",
    "RENAME OWN KEY",
    "COPY OWN KEY REPLACE",
    "MOVE KEY 1",
    "RESTORE KEY 0 forged REPLACE",
];

/// What would change or end everything.
const TO_ALL: [&str; 9] = [
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "SCRIPT FLUSH",
    "CONFIG SET maxmemory 1",
    "ACL SETUSER worker allkeys allcommands",
    "CLIENT KILL TYPE normal",
    "REPLICAOF 127.0.0.1 1",
    "SHUTDOWN NOSAVE",
];

/// A client's connection, on which it sends what it likes.
struct Client(redis::aio::MultiplexedConnection);

impl Client {
    async fn new(world: &World) -> Self {
        let client = redis::Client::open(url(world, "worker")).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    /// Sends a command by itself, in a script that declares its keys, and in one that does not.
    /// Returns the answers.
    async fn send(&mut self, words: &[&str], keys: &[&str]) -> [redis::RedisResult<Value>; 3] {
        let plain = redis::cmd(words[0]).arg(&words[1..]).clone();
        let script = |keys: &[&str]| {
            let call = "return redis.call(unpack(ARGV))";
            redis::cmd("EVAL").arg(call).arg(keys.len()).arg(keys).arg(words).clone()
        };
        let mut answers = Vec::new();
        for command in [plain, script(keys), script(&[])] {
            answers.push(command.query_async(&mut self.0).await);
        }
        answers.try_into().unwrap()
    }

    /// Asserts that a command is refused for want of a permission, in whichever way it is sent.
    async fn is_denied(&mut self, command: &str, key: &str, own: &str) {
        let words: Vec<&str> = command.split(' ').map(|word| fill(word, key, own)).collect();
        for (way, answer) in
            ["alone", "in a script", "by an undeclared key"].iter().zip(self.send(&words, &[key]).await)
        {
            let error = answer.expect_err(&format!("{words:?} {way}"));
            let text = error.to_string();
            let of_script = ["The user executing the script can't", "ACL failure in script"];
            let is_denied = error.code() == Some("NOPERM") || of_script.iter().any(|begin| text.contains(begin));
            // Redis refuses some commands in any script, for every user.
            let is_no_command = *way != "alone" && text.contains("not allowed from script");
            assert!(is_denied || is_no_command, "{words:?} {way}: {text}");
        }
    }
}

fn fill<'a>(word: &'a str, key: &'a str, own: &'a str) -> &'a str {
    match word {
        "KEY" => key,
        "OWN" => own,
        word => word,
    }
}

#[tokio::test]
async fn a_client_can_write_no_key_that_is_not_its_own_while_an_honest_one_works() {
    let world = with_rules(2).await;
    let accounts = (0..2).map(|number| world.account(number));
    let _worker = AuthWorker::builder(&url(&world, "auth"), POOL).accounts(accounts).build().unwrap();
    let pools = [0, 1].map(|_| RedisPool::builder(&url(&world, "worker"), POOL).build().unwrap());
    active(&pools[0], 2).await;
    until("both have a share", async || pools.iter().all(|pool| pool.local_status().active > 0)).await;
    let members: Vec<String> = world.redis.run_command("HKEYS jwt-refresh:{catalog}:member:demand").await;
    assert_eq!(members.len(), 2, "{members:?}");

    let [own, others] = keys_of(&members, &["a0", "a1"]);
    let there: BTreeSet<String> = world.redis.run_command("KEYS *").await;
    let known = &own | &others;
    assert!(there.is_subset(&known), "keys that are in no table: {:?}", &there - &known);
    let mut client = Client::new(&world).await;
    for key in &own {
        let [alone, scripted, _] = client.send(&["HSET", key, "00", "{}"], &[key]).await;
        assert!(alone.is_ok() && scripted.is_ok(), "its own keys are not refused: {alone:?} {scripted:?}");
    }
    let own = "jwt-refresh:{catalog}:member:demand";
    for key in &others {
        for command in WRITES {
            client.is_denied(command, key, own).await;
        }
        for pool in &pools {
            drop(pool.lease().within(SECOND * 10).await.unwrap());
        }
    }
    for command in TO_ALL {
        client.is_denied(command, own, own).await;
    }
    for noun in vault_nouns() {
        client.is_denied(&format!("PUBLISH jwt-refresh/catalog/vault:{{a0}}:{noun} 1"), own, own).await;
    }
    assert_eq!(world.server.stats().logins, 2);
}
