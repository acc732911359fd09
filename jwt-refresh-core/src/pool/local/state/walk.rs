//! Random walks of a pool's state against a model of its servers: no limit is exceeded, all of what
//! limits allow is used while callers wait, and no caller waits for ever.
//!
//! Time passes from one event to the next: a lease that ends, a wake of the scheduler, which may be
//! a little late, or a caller that comes or goes. `scripts/torture walk` takes longer walks.

mod model;
mod world;

use proptest::prelude::*;

use self::model::Kind;
use self::world::{Plan, World};

const SECOND: i64 = 1_000_000_000;

/// How many walks are taken, of two and a half minutes each.
fn cases() -> u32 {
    let is_long = std::env::var("JWT_REFRESH_TORTURE").is_ok_and(|scale| scale == "long");
    if is_long { 400 } else { 12 }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (5..20_u64, 1..5_u64).prop_map(|(amount, burst)| Kind::Rate { amount: amount * 10, burst }),
        (20..60_u64, 1..50_u64).prop_map(|(amount, burst)| Kind::CostRate { amount: amount * 10, burst }),
        (50..150_u64).prop_map(|amount| Kind::Both { calls: amount, cost: amount * 8 }),
        (100..200_u64).prop_map(|amount| Kind::Strict { amount }),
        (1000..2000_u64).prop_map(|amount| Kind::StrictCost { amount }),
        (100..200_u64, 0..4_u8).prop_map(|(amount, dialect)| Kind::Learnt { amount, dialect }),
        (1000..2000_u64).prop_map(|amount| Kind::LearntCost { amount }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn limits_hold_and_are_used_while_callers_wait(
        kinds in prop::collection::vec((kind(), prop::option::of(0..3_u8), 1..5_u32), 1..6),
        shared in prop::option::of((any::<bool>(), 100..300_u64)),
        selection in 0..3_u8,
        seed in any::<u64>(),
    ) {
        let plan = Plan { kinds, shared, selection, highest_cost: 10, steps_wall_clock: false };
        let mut world = World::new(&plan, seed);
        world.run(30 * SECOND);
        world.begin_to_count();
        world.run(130 * SECOND);
        world.check_limits()?;
        world.check_utilisation()?;
    }

    #[test]
    fn every_caller_is_served_within_its_bound(
        kinds in prop::collection::vec((kind(), prop::option::of(0..3_u8), 1..5_u32), 1..5),
        shared in prop::option::of((any::<bool>(), 1000..3000_u64)),
        selection in 0..3_u8,
        seed in any::<u64>(),
    ) {
        let plan = Plan { kinds, shared, selection, highest_cost: 90, steps_wall_clock: true };
        let mut world = World::new(&plan, seed);
        world.run(30 * SECOND);
        world.begin_to_count();
        world.run(130 * SECOND);
        world.check_limits()?;
        world.check_waits()?;
    }
}
