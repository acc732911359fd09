use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::pool::limits::Tier;
use crate::pool::local::groups::tests::limits;

fn serving(next_call: i64, last_lease: u32, now: i64) -> Position {
    Position::Serving { next_call, waits: next_call > now, last_lease }
}

fn first(queue: &ReadyQueue, tag: TagIndex, now: i64) -> Option<Slot> {
    queue.first(tag, now).map(|(_, slot)| slot)
}

#[test]
fn the_account_that_could_serve_for_longest_is_first_and_of_equals_the_least_recently_used() {
    let (mut queue, limits) = (ReadyQueue::new(Selection::Soonest), limits(0, &[]));
    for (slot, next_call, last_lease) in [(1, 5, 1), (2, 3, 9), (3, 3, 2)] {
        queue.set_position(slot, &limits, serving(next_call, last_lease, 10));
    }
    assert_eq!(first(&queue, ALL, 10), Some(3));
    queue.set_position(3, &limits, Position::Idle);
    assert_eq!((first(&queue, ALL, 10), first(&queue, ALL, 2), queue.next_call_of(ALL)), (Some(2), None, Some(3)));
}

#[test]
fn an_account_is_found_by_its_tags_and_by_no_other() {
    for selection in [Selection::Soonest, Selection::RoundRobin, Selection::Weighted] {
        let (mut queue, tagged) = (ReadyQueue::new(selection), limits(0, &[1]));
        queue.set_position(7, &tagged, serving(1, 1, 5));
        assert_eq!((first(&queue, ALL, 5), first(&queue, 1, 5), first(&queue, 2, 5)), (Some(7), Some(7), None));
        queue.set_position(7, &tagged, serving(10, 2, 5));
        assert_eq!((first(&queue, ALL, 5), first(&queue, 1, 5), queue.next_call_of(1)), (None, None, Some(10)));
        assert_eq!((first(&queue, 1, 10), queue.next_call(7, &tagged)), (Some(7), Some(10)));
        queue.forget(7, &tagged);
        assert_eq!((first(&queue, 1, 10), queue.next_call_of(ALL)), (None, None));
    }
}

#[test]
fn shares_hold_within_a_tag_whatever_other_tags_do() {
    let mut queue = ReadyQueue::new(Selection::Weighted);
    let mut accounts: BTreeMap<Slot, Limits> = BTreeMap::new();
    for (slot, tag, weight) in [(0, 1, 9), (1, 1, 1), (2, 2, 1), (3, 2, 1)] {
        accounts.insert(slot, Limits { weight, ..limits(0, &[tag]) });
        queue.set_position(slot, &accounts[&slot], serving(0, 0, 0));
    }
    let mut uses = [0; 4];
    for lease in 0..4000 {
        let tag = [1, 2, ALL, 2][lease as usize % 4];
        let slot = first(&queue, tag, 0).unwrap();
        queue.charge(slot, &accounts[&slot], tag);
        queue.set_position(slot, &accounts[&slot], serving(0, lease + 1, 0));
        uses[slot as usize] += usize::from(tag == 1);
    }
    assert_eq!(uses, [900, 100, 0, 0]);
}

/// What the queue would say if it looked at all accounts.
#[derive(Default)]
struct Model {
    accounts: BTreeMap<Slot, (Tier, Vec<TagIndex>, Position)>,
}

impl Model {
    fn first(&self, selection: Selection, tag: TagIndex, now: i64) -> Option<Slot> {
        let ready = self.accounts.iter().filter_map(|(&slot, (tier, tags, position))| match *position {
            Position::Serving { next_call, last_lease, .. }
                if next_call <= now && (tag == ALL || tags.contains(&tag)) =>
            {
                let order = if selection == Selection::Soonest { next_call } else { 0 };
                Some((*tier, order, last_lease, slot))
            }
            _ => None,
        });
        ready.min().map(|(.., slot)| slot)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Place { slot: Slot, next_call: i64, last_lease: u32 },
    Idle(Slot),
    Forget(Slot),
    Pass(i64),
    Sort,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..40_u32, 0..200_i64, any::<u32>()).prop_map(|(slot, next_call, last_lease)| Step::Place { slot, next_call, last_lease }),
        2 => (0..40_u32).prop_map(Step::Idle),
        1 => (0..40_u32).prop_map(Step::Forget),
        2 => (0..10_i64).prop_map(Step::Pass),
        2 => Just(Step::Sort),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn the_queue_finds_what_a_look_at_all_accounts_finds(
        steps in steps(),
        groups in prop::collection::vec((0..3_u8, prop::collection::btree_set(1..4_u32, 0..3)), 40),
        selection in prop_oneof![Just(Selection::Soonest), Just(Selection::RoundRobin)],
    ) {
        let (mut queue, mut model, mut now) = (ReadyQueue::new(selection), Model::default(), 0);
        let of = |slot: Slot| {
            let (tier, tags) = &groups[slot as usize];
            limits(*tier, &tags.iter().copied().collect::<Vec<_>>())
        };
        for step in steps {
            let mut set = |queue: &mut ReadyQueue, slot: Slot, position| {
                queue.set_position(slot, &of(slot), position);
                let (tier, tags) = &groups[slot as usize];
                model.accounts.insert(slot, (*tier, tags.iter().copied().collect(), position));
            };
            match step {
                Step::Place { slot, next_call, last_lease } => set(&mut queue, slot, serving(next_call, last_lease, now)),
                Step::Idle(slot) => set(&mut queue, slot, Position::Idle),
                Step::Forget(slot) => {
                    queue.forget(slot, &of(slot));
                    model.accounts.remove(&slot);
                }
                Step::Pass(time) => now += time,
                Step::Sort => {
                    if let Some(slot) = queue.due(now)
                        && let Some(&(_, _, Position::Serving { next_call, last_lease, .. })) = model.accounts.get(&slot)
                    {
                        queue.set_position(slot, &of(slot), serving(next_call, last_lease, now));
                    }
                }
            }
            for tag in 0..4 {
                prop_assert_eq!(first(&queue, tag, now), model.first(selection, tag, now), "tag {} at {}", tag, now);
            }
        }
    }
}
