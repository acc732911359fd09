//! Roles: a process that only uses tokens can read no credential, whatever commands it sends.

use jwt_refresh::ErrorKind;
use jwt_refresh::pool::{AuthWorker, RedisPool};
use redis::Value;

use super::{POOL, World, active};
use crate::access_rule;
use crate::support::{SECOND, until};

/// The access rule in the documentation for processes that use tokens.
fn client_rule() -> String {
    access_rule(include_str!("../../../jwt-refresh-core/src/pool/redis/mod.rs"))
}

/// The access rule for auth workers: the one above, and what the documentation adds to it.
fn auth_rule() -> String {
    client_rule().replace("SETUSER worker", "SETUSER auth") + "~jwt-refresh:{catalog}:auth:* +hsetnx"
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
    until("the account is known", async || pool.status().await.unwrap().accounts == 3).await;
    assert!(worker.remove("a2").await.unwrap());
    assert_eq!(pool.status().await.unwrap().accounts, 2);
    drop((worker, pool, lease, keyed));
    until("both processes are deregistered", async || {
        world.redis.run_command::<usize>("HLEN jwt-refresh:{catalog}:pool:workers").await == 0
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
    assert!(keys.iter().any(|key| key.ends_with(":auth:vault")), "{keys:?}");
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
    let kept: Vec<String> = world.redis.run_command("HVALS jwt-refresh:{catalog}:auth:vault").await;
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
