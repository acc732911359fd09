//! What processes are given for what their callers ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::callers::{Callers, Seen};
use super::{World, active};
use crate::support::{Machine, SECOND, until};

const TAGS: [&str; 2] = ["one at a time", "free"];

/// The shares that processes have of an account: when each was given it, and how many units it has.
type Shares = BTreeMap<String, (u64, u64)>;

async fn shares(world: &World, account: &str) -> Shares {
    let of = |noun: &str| format!("jwt-refresh:{{catalog}}:{noun}");
    let members: Vec<String> = world.redis.run_command(&format!("HKEYS {}", of("member:demand"))).await;
    let mut shares = Shares::new();
    for member in members {
        let rows = of(&format!("fleet:shares:{member}"));
        let row: Option<String> = world.redis.run_command(&format!("HGET {rows} {account}")).await;
        if let Some(row) = row.map(|row| serde_json::from_str::<Value>(&row).unwrap()) {
            shares.insert(member, (row["grant"].as_u64().unwrap(), row["units"].as_u64().unwrap()));
        }
    }
    shares.retain(|_, (_, units)| *units > 0);
    shares
}

/// Waits until an account that one process has at a time has moved to and fro for a while.
async fn take_turns(world: &World, account: &str) {
    let (mut turns, mut had) = (0, Shares::new());
    until("the processes take turns", async || {
        let has = shares(world, account).await;
        turns += u32::from(!has.is_empty() && has != had);
        had = has;
        turns == 10
    })
    .await;
}

#[tokio::test]
async fn parts_stay_with_processes_whose_callers_ask_for_their_tag_and_are_served_at_once() {
    let world = World::new(2).await;
    let [single, free] = [0, 1].map(|number| world.account(number).tag(TAGS[number]));
    let worker = world.builder().share_time(SECOND * 5).account(single.concurrency(1)).account(free);
    let _worker = worker.build().unwrap();
    let pools = [world.pool(), world.pool()];
    active(&pools[0], 2).await;
    let seen = Arc::<Seen>::default();
    let _callers = pools.each_ref().map(|pool| TAGS.map(|tag| Callers::start(pool, 2, tag, &seen)));
    until("both have a part", async || shares(&world, "a1").await.len() == 2).await;
    let first = shares(&world, "a1").await;
    take_turns(&world, "a0").await;
    let (machine, settled) = (Machine::watch(), shares(&world, "a1").await);
    take_turns(&world, "a0").await;
    let (last, was_free) = (shares(&world, "a1").await, machine.was_free());
    let given = |shares: &Shares| shares.values().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(given(&last), given(&first), "a process was left without a part");
    // How many calls are made in the same time differs by more on a busy machine.
    assert!(last == settled || !was_free, "{settled:?}, {last:?}");
}
