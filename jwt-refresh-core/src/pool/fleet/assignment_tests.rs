//! What the assignment promises. It is beside it, since the benchmark includes that as it is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::assignment::{AccountNeed, AccountSelector, CallersNeed, Holding, MemberNeed, Turns, assign};

const SLICE: u32 = 400;

#[derive(Clone, Debug)]
struct FleetCase {
    accounts: Vec<AccountNeed>,
    members: Vec<MemberNeed>,
}

type Assigned = Vec<Vec<(u32, u32)>>;

impl FleetCase {
    fn new(accounts: usize, units: u32, demand: &[u32]) -> Self {
        let account = AccountNeed { units, tags: Vec::new(), serves: true };
        let member = |&count: &u32| MemberNeed { demand: vec![(None, by(count))], ..MemberNeed::default() };
        Self { accounts: vec![account; accounts], members: demand.iter().map(member).collect() }
    }

    fn assigned(&self) -> Assigned {
        assign(&self.accounts, &self.members, SLICE).into_iter().map(|assigned| assigned.shares).collect()
    }

    /// Assigns, and lets each member hold what it was given.
    fn settle(&mut self) -> Assigned {
        let assigned = self.assigned();
        for (member, accounts) in self.members.iter_mut().zip(&assigned) {
            let before = std::mem::take(&mut member.holds);
            let new = |account, units| Holding { account, units, held: 0 };
            let holding = |&(account, units): &(u32, u32)| {
                let before = before.iter().find(|holding| holding.account == account);
                before.map_or(new(account, units), |before| Holding { units, ..*before })
            };
            member.holds = accounts.iter().map(holding).collect();
        }
        assigned
    }

    fn pass_time(&mut self, millis: u32) {
        for member in &mut self.members {
            member.holds.iter_mut().for_each(|holding| holding.held += millis);
        }
    }

    fn demand(&mut self, demand: &[u32]) {
        for (member, &count) in self.members.iter_mut().zip(demand) {
            member.demand = vec![(None, by(count))];
        }
    }

    /// Says for how long a member has not been served.
    fn starve(&mut self, member: usize, starved: u32) {
        let MemberNeed { demand, wanted, .. } = &mut self.members[member];
        let asked = demand.iter_mut().map(|(_, asked)| asked).chain(wanted.iter_mut().map(|(_, asked)| asked));
        asked.for_each(|asked| asked.starved = starved);
    }

    /// Says that all are served, and nobody for a turn only.
    fn feed(&mut self) {
        (0..self.members.len()).for_each(|member| self.starve(member, 0));
        self.members.iter_mut().for_each(|member| member.turns.clear());
    }

    fn can_use(&self, member: usize, account: usize) -> bool {
        let account = &self.accounts[account];
        let serves = |tag: Option<u32>| tag.is_none_or(|tag| account.tags.contains(&tag));
        account.serves
            && account.units > 0
            && self.members[member].demand.iter().any(|&(tag, asked)| asked.count > 0 && serves(tag))
    }

    /// How many members that ask for something can be served at the same time, each with one of
    /// `places` at an account: found by trying all.
    fn servable(&self, places: impl Fn(&AccountNeed) -> u32) -> usize {
        fn most(fleet: &FleetCase, member: usize, left: &mut [u32]) -> usize {
            if member == fleet.members.len() {
                return 0;
            }
            let mut best = most(fleet, member + 1, left);
            for account in 0..left.len() {
                if left[account] > 0 && fleet.can_use(member, account) {
                    left[account] -= 1;
                    best = best.max(1 + most(fleet, member + 1, left));
                    left[account] += 1;
                }
            }
            best
        }
        most(self, 0, &mut self.accounts.iter().map(places).collect::<Vec<_>>())
    }

    fn served(&self, assigned: &Assigned) -> usize {
        let uses = |member: usize| assigned[member].iter().any(|&(account, _)| self.can_use(member, account as usize));
        (0..self.members.len()).filter(|&member| uses(member)).count()
    }
}

fn counts(assigned: &Assigned) -> Vec<usize> {
    assigned.iter().map(Vec::len).collect()
}

fn units(assigned: &Assigned) -> Vec<u32> {
    assigned.iter().map(|held| held.iter().map(|&(_, units)| units).sum()).collect()
}

/// By account: who holds it.
fn holders(assigned: &Assigned) -> BTreeMap<u32, Vec<usize>> {
    let mut holders = BTreeMap::<u32, Vec<usize>>::new();
    for (member, held) in assigned.iter().enumerate() {
        for &(account, _) in held {
            holders.entry(account).or_default().push(member);
        }
    }
    holders
}

/// The accounts that a member has and did not have before, as (account, member).
fn gained(before: &Assigned, after: &Assigned) -> Vec<(u32, usize)> {
    let mut gained = Vec::new();
    for (member, held) in after.iter().enumerate() {
        let had = |account| before.get(member).is_some_and(|before| before.iter().any(|&(had, _)| had == account));
        gained.extend(held.iter().filter(|&&(account, _)| !had(account)).map(|&(account, _)| (account, member)));
    }
    gained
}

fn tags() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..4_u32, 0..3)
}

fn account() -> impl Strategy<Value = AccountNeed> {
    let units = prop_oneof![Just(1_u32), 0..5_u32, Just(1000)];
    (units, tags(), prop::bool::weighted(0.85)).prop_map(|(units, tags, serves)| AccountNeed { units, tags, serves })
}

/// That is asked for by so many callers, who are served.
fn by(count: u32) -> CallersNeed {
    CallersNeed { count, starved: 0 }
}

fn asked(count: impl Strategy<Value = u32>) -> impl Strategy<Value = CallersNeed> {
    (count, prop_oneof![Just(0_u32), 0..2000_u32]).prop_map(|(count, starved)| CallersNeed { count, starved })
}

fn demand() -> impl Strategy<Value = (Option<u32>, CallersNeed)> {
    (prop::option::of(0..5_u32), asked(prop_oneof![0..4_u32, 0..200_u32]))
}

fn holding() -> impl Strategy<Value = Holding> {
    (0..9_u32, 0..4_u32, 0..1000_u32).prop_map(|(account, units, held)| Holding { account, units, held })
}

fn turns() -> impl Strategy<Value = Turns> {
    let selector = prop_oneof![
        (0..9_u32).prop_map(AccountSelector::Key),
        (0..5_u32).prop_map(AccountSelector::Tag),
        Just(AccountSelector::Any)
    ];
    prop::collection::btree_set((selector, 0..9_u32), 0..3)
}

fn member(demands: usize, keys: usize) -> impl Strategy<Value = MemberNeed> {
    let demand = prop::collection::vec(demand(), 0..=demands);
    let wanted = prop::collection::vec((0..9_u32, asked(0..5_u32)), 0..=keys);
    let holds = prop::collection::vec(holding(), 0..4);
    (demand, wanted, holds, turns()).prop_map(|(demand, wanted, holds, turns)| MemberNeed {
        demand,
        wanted,
        holds,
        turns,
    })
}

/// Any fleet, also one whose members hold more than there is, or accounts that there are not.
fn fleet(demands: usize, keys: usize) -> impl Strategy<Value = FleetCase> {
    (prop::collection::vec(account(), 0..8), prop::collection::vec(member(demands, keys), 0..7))
        .prop_map(|(accounts, members)| FleetCase { accounts, members })
}

/// Any fleet with many members, each of which asks for several tags.
fn large_fleet() -> impl Strategy<Value = FleetCase> {
    (prop::collection::vec(account(), 1..20), prop::collection::vec(member(5, 2), 1..24))
        .prop_map(|(accounts, members)| FleetCase { accounts, members })
}

/// A fleet whose accounts have at most one tag, and whose members ask for one: demands with
/// different tags share no account.
fn apart() -> impl Strategy<Value = FleetCase> {
    let account = (1..4_u32, 0..3_u32).prop_map(|(units, tag)| AccountNeed { units, tags: vec![tag], serves: true });
    let member = (0..3_u32, 0..30_u32)
        .prop_map(|(tag, count)| MemberNeed { demand: vec![(Some(tag), by(count))], ..MemberNeed::default() });
    (prop::collection::vec(account, 1..20), prop::collection::vec(member, 1..7))
        .prop_map(|(accounts, members)| FleetCase { accounts, members })
}

fn any_demand(count: std::ops::Range<u32>) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(count, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_account_is_given_out_beyond_its_units_and_none_is_left_over(fleet in fleet(3, 3)) {
        let assigned = fleet.assigned();
        let mut sums = vec![0; fleet.accounts.len()];
        for held in &assigned {
            prop_assert!(held.windows(2).all(|pair| pair[0].0 < pair[1].0), "{held:?}");
            for &(account, units) in held {
                prop_assert!(units > 0);
                sums[account as usize] += units;
            }
        }
        for (account, sum) in fleet.accounts.iter().zip(sums) {
            prop_assert!(sum <= account.units);
            prop_assert!(sum == account.units || fleet.members.is_empty() || !account.serves);
        }
    }

    #[test]
    fn what_members_that_ask_for_one_tag_were_assigned_stays_while_nothing_changes(fleet in fleet(1, 0)) {
        let mut fleet = fleet;
        let first = fleet.settle();
        // Those that starve take turns.
        fleet.feed();
        prop_assert_eq!(first, fleet.settle());
    }

    #[test]
    fn what_was_assigned_stays_while_nothing_changes(fleet in large_fleet()) {
        let mut fleet = fleet;
        fleet.feed();
        let first = fleet.settle();
        prop_assert_eq!(first, fleet.settle());
    }

    #[test]
    fn as_many_members_are_served_as_can_be(fleet in fleet(1, 0)) {
        let mut fleet = fleet;
        fleet.feed();
        prop_assert_eq!(fleet.served(&fleet.assigned()), fleet.servable(|account| account.units));
    }

    #[test]
    fn accounts_stay_whole_where_there_is_one_for_each_member(fleet in fleet(1, 0)) {
        let asking = |fleet: &FleetCase| {
            (0..fleet.members.len()).filter(|&m| (0..fleet.accounts.len()).any(|a| fleet.can_use(m, a))).count()
        };
        if fleet.servable(|account| account.units.min(1)) == asking(&fleet) {
            for (account, holders) in holders(&fleet.assigned()) {
                prop_assert!(holders.len() == 1 || !fleet.accounts[account as usize].serves, "{account}: {holders:?}");
            }
        }
    }

    #[test]
    fn what_nobody_uses_is_spread_evenly_and_moves_no_more_than_it_must(fleet in fleet(0, 0)) {
        let mut fleet = fleet;
        if fleet.members.is_empty() {
            return Ok(());
        }
        for account in &mut fleet.accounts {
            account.units = 1;
            account.serves = true;
            account.tags.truncate(1);
        }
        let mut owner = BTreeMap::new();
        for (member, need) in fleet.members.iter().enumerate() {
            for holding in need.holds.iter().filter(|h| h.units > 0 && (h.account as usize) < fleet.accounts.len()) {
                owner.entry(holding.account).or_insert(member);
            }
        }
        let assigned = fleet.assigned();
        let holders = holders(&assigned);
        let mut alike = BTreeMap::<&[u32], Vec<u32>>::new();
        for (index, account) in (0..).zip(&fleet.accounts) {
            alike.entry(&account.tags).or_default().push(index);
        }
        for accounts in alike.values() {
            let count = |member: usize| accounts.iter().filter(|account| holders[account] == [member]).count();
            let after: Vec<_> = (0..fleet.members.len()).map(count).collect();
            prop_assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{after:?}");
            let had = |member: usize| accounts.iter().filter(|account| owner.get(account) == Some(&member)).count();
            let before: Vec<_> = (0..fleet.members.len()).map(had).collect();
            let (each, mut more) = (accounts.len() / before.len(), accounts.len() % before.len());
            let mut must_move = 0;
            for had in before {
                let extra = usize::from(had > each && more > 0);
                more -= extra;
                must_move += had.saturating_sub(each + extra);
            }
            let moved = accounts.iter().filter(|a| owner.get(a).is_some_and(|&owner| holders[a] != [owner])).count();
            prop_assert_eq!(moved, must_move);
        }
    }

    #[test]
    fn accounts_are_divided_by_demand(demand in any_demand(1..100), spare in 0..20_usize) {
        let counts = counts(&FleetCase::new(demand.len() + spare, 1, &demand).assigned());
        for (rich, &much) in counts.iter().enumerate().filter(|&(_, &count)| count > 1) {
            for (poor, &little) in counts.iter().enumerate() {
                // Webster's criterion: no account would do more for another member.
                let (much, little) = (u64::try_from(2 * much - 1).unwrap(), u64::try_from(2 * little + 1).unwrap());
                let fair = much * u64::from(demand[poor]) <= little * u64::from(demand[rich]);
                prop_assert!(poor == rich || fair, "{demand:?} {counts:?}");
            }
        }
        prop_assert!(counts.iter().all(|&count| count > 0));
    }

    #[test]
    fn units_are_divided_by_demand_where_members_outnumber_accounts(
        demand in prop::collection::vec(1..50_u32, 3..12),
        accounts in 1..3_usize,
    ) {
        let mut fleet = FleetCase::new(accounts, 1000, &demand);
        let units = units(&fleet.settle());
        let worth = |member: usize| f64::from(units[member]) / f64::from(demand[member]);
        let all: Vec<_> = (0..demand.len()).map(worth).collect();
        let most = all.iter().copied().fold(0.0, f64::max);
        let least = all.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(most <= 3.0 * least, "{demand:?} {units:?}");
    }

    #[test]
    fn the_loss_of_a_member_moves_only_what_it_had(fleet in apart(), lost in 0..7_usize) {
        let mut fleet = fleet;
        let before = fleet.settle();
        // Where members outnumber accounts, those that are left may divide them better.
        let crowded = |tag: u32| {
            let asks = |member: &&MemberNeed| matches!(member.demand[..], [(asked, CallersNeed { count: 1.., .. })] if asked == Some(tag));
            let accounts = fleet.accounts.iter().filter(|account| account.tags == [tag]);
            fleet.members.iter().filter(asks).count() > accounts.count()
        };
        if (0..3).any(crowded) {
            return Ok(());
        }
        let lost = lost % fleet.members.len();
        fleet.members[lost].holds.clear();
        fleet.members[lost].demand.clear();
        let mut left = fleet.clone();
        left.members.remove(lost);
        let mut after = left.assigned();
        after.insert(lost.min(after.len()), Vec::new());
        for (account, member) in gained(&before, &after) {
            let had = before[lost].iter().any(|&(had, _)| had == account);
            prop_assert!(had, "{account} moved to {member}: {before:?} {after:?}");
        }
    }

    #[test]
    fn a_member_that_joins_takes_its_part_and_nothing_else_moves(
        demand in any_demand(1..30), joins in 1..30_u32, accounts in 1..20_usize, units in 1..3_u32,
    ) {
        // Where members outnumber accounts, one that brings much demand makes others move together.
        if demand.len() >= accounts {
            return Ok(());
        }
        let mut fleet = FleetCase::new(accounts, units, &demand);
        let before = fleet.settle();
        fleet.members.push(MemberNeed { demand: vec![(None, by(joins))], ..MemberNeed::default() });
        let after = fleet.assigned();
        let gained = gained(&before, &after);
        prop_assert!(gained.iter().all(|&(_, member)| member == demand.len()), "{before:?} {after:?}");
        let all = u64::from(demand.iter().sum::<u32>() + joins);
        let fair = (accounts as u64 * u64::from(joins)).div_ceil(all) + 1;
        prop_assert!(gained.len() as u64 <= fair, "{before:?} {after:?}");
    }

    #[test]
    fn small_changes_of_demand_move_nothing(
        demand in any_demand(10..1000),
        changes in prop::collection::vec(80..=120_u32, 7),
        accounts in 1..30_usize,
        units in prop_oneof![Just(1_u32), Just(3), Just(100)],
    ) {
        if accounts > 1 && accounts < demand.len() {
            return Ok(());
        }
        let mut fleet = FleetCase::new(accounts, units, &demand);
        let before = fleet.settle();
        let changed: Vec<_> = demand.iter().zip(&changes).map(|(count, percent)| count * percent / 100).collect();
        fleet.demand(&changed);
        prop_assert_eq!(before, fleet.assigned(), "{:?} {:?}", demand, changed);
    }

    #[test]
    fn demand_that_wavers_moves_hardly_anything_where_members_share_accounts(
        demand in prop::collection::vec(10..1000_u32, 3..30),
        accounts in 2..12_usize,
        units in prop_oneof![Just(20_u32), Just(1000)],
        changes in prop::collection::vec(prop::collection::vec(90..=110_u32, 30), 20),
    ) {
        let mut fleet = FleetCase::new(accounts.min(demand.len() - 1), units, &demand);
        let (mut before, mut moved) = (fleet.settle(), 0);
        for changes in changes {
            let changed: Vec<_> = demand.iter().zip(&changes).map(|(count, percent)| count * percent / 100).collect();
            fleet.demand(&changed);
            let after = fleet.settle();
            moved += gained(&before, &after).len();
            before = after;
        }
        prop_assert!(moved <= 2 * fleet.accounts.len(), "{moved}: {demand:?} {before:?}");
    }

    #[test]
    fn demand_that_moves_to_another_member_is_followed_at_once(
        demand in any_demand(1..50), accounts in 1..20_usize, units in 1..4_u32, to in 0..7_usize,
    ) {
        let mut fleet = FleetCase::new(accounts, units, &demand);
        fleet.settle();
        let mut moved = vec![0; demand.len()];
        let to = to % demand.len();
        moved[to] = 10;
        fleet.demand(&moved);
        prop_assert_eq!(counts(&fleet.assigned())[to], accounts);
    }

    #[test]
    fn each_member_has_its_turn(
        members in 2..12_usize, accounts in 1..4_usize, units in 1..3_u32, delay in 0..3_usize,
    ) {
        let longest = longest_wait(FleetCase::new(accounts, units, &vec![5; members]), delay);
        let at_once = accounts * units as usize;
        // A turn is seen at the next step, and begins when the former holder has released.
        let turn = SLICE + SLICE / 4 * u32::try_from(delay + 1).unwrap();
        let bound = u32::try_from(members.div_ceil(at_once)).unwrap() * turn;
        prop_assert!(longest <= bound, "{longest} > {bound}");
    }

    #[test]
    fn an_account_wanted_by_key_is_given_to_its_members_by_turns_or_at_once(
        wanting in 1..6_usize, units in 1..4_u32, idle in 0..2_usize,
    ) {
        let mut fleet = FleetCase::new(3, units, &vec![0; wanting + idle]);
        for member in fleet.members.iter_mut().take(wanting) {
            member.wanted = vec![(1, by(1))];
        }
        let longest = longest_wait(fleet, 0);
        let bound = u32::try_from(wanting.div_ceil(units as usize)).unwrap() * (SLICE + SLICE / 4);
        prop_assert!(longest <= bound, "{longest} > {bound}");
    }
}

/// Runs a fleet in steps of a quarter slice, in which what a member is given comes `delay` steps
/// later (its former holder finishes its calls), and tells how long a member was without, at most.
fn longest_wait(mut fleet: FleetCase, delay: usize) -> u32 {
    let step = SLICE / 4;
    let mut longest = 0;
    let mut pending: Vec<(usize, usize, (u32, u32))> = Vec::new();
    let mut now = 0;
    while now < 100 {
        now += 1;
        fleet.pass_time(step);
        // What is on its way counts as held: it is promised.
        let assigned = fleet.settle();
        for (account, member) in
            holders(&assigned).into_iter().flat_map(|(account, of)| of.into_iter().map(move |m| (account, m)))
        {
            let new = fleet.members[member].holds.iter().any(|holding| holding.account == account && holding.held == 0);
            if new && now > 1 && !pending.iter().any(|&(_, m, (a, _))| m == member && a == account) {
                pending.push((now + delay, member, (account, 0)));
            }
        }
        pending.retain(|&(until, ..)| until > now);
        for member in 0..fleet.members.len() {
            let arriving = |account: u32| pending.iter().any(|&(_, m, (a, _))| m == member && a == account);
            for holding in &mut fleet.members[member].holds {
                if arriving(holding.account) {
                    holding.held = 0;
                }
            }
            let need = &fleet.members[member];
            let wants = |account: u32| {
                fleet.can_use(member, account as usize) || need.wanted.iter().any(|&(wanted, _)| wanted == account)
            };
            let served = need.holds.iter().any(|holding| wants(holding.account) && !arriving(holding.account));
            let asks = need.demand.iter().any(|(_, asked)| asked.count > 0) || !need.wanted.is_empty();
            let all = need.demand.iter().map(|(_, asked)| asked).chain(need.wanted.iter().map(|(_, asked)| asked));
            let before = all.map(|asked| asked.starved).max().unwrap_or(0);
            let starved = if served || !asks { 0 } else { before + step };
            fleet.starve(member, starved);
            longest = longest.max(starved);
        }
    }
    longest
}

#[test]
fn one_member_holds_everything() {
    assert_eq!(FleetCase::new(3, 5, &[1]).assigned(), [[(0, 5), (1, 5), (2, 5)]]);
}

#[test]
fn of_three_members_with_two_accounts_of_one_unit_the_third_takes_the_first_turn_that_ends() {
    let mut fleet = FleetCase::new(2, 1, &[1, 1, 1]);
    assert_eq!(fleet.settle(), [vec![(0, 1)], vec![(1, 1)], vec![]]);
    fleet.starve(2, SLICE - 1);
    fleet.pass_time(SLICE - 1);
    fleet.members[1].holds[0].held -= 1;
    assert_eq!(fleet.settle(), [vec![(0, 1)], vec![(1, 1)], vec![]], "before a slice has passed nobody is disturbed");
    fleet.pass_time(1);
    assert_eq!(fleet.settle(), [vec![], vec![(1, 1)], vec![(0, 1)]]);
}

#[test]
fn a_holding_of_any_age_stays_where_nobody_waits() {
    let mut fleet = FleetCase::new(2, 1, &[1, 1]);
    let first = fleet.settle();
    fleet.pass_time(100 * SLICE);
    assert_eq!(fleet.settle(), first);
}

#[test]
fn twenty_members_on_four_accounts_of_one_unit_are_served_by_turns() {
    let longest = longest_wait(FleetCase::new(4, 1, &[3; 20]), 0);
    assert!(longest <= 5 * (SLICE + SLICE / 4), "{longest}");
}

#[test]
fn six_members_with_ten_accounts_have_one_each_and_the_rest_by_demand() {
    let assigned = FleetCase::new(10, 4, &[100, 10, 10, 10, 1, 1]).assigned();
    assert_eq!(counts(&assigned), [5, 1, 1, 1, 1, 1]);
    let assigned = FleetCase::new(11, 4, &[10, 1]).assigned();
    assert_eq!(counts(&assigned), [10, 1]);
}

#[test]
fn much_demand_has_most_of_the_accounts_that_little_demand_divides() {
    let assigned = FleetCase::new(4, 1000, &[100, 1, 1, 1, 1]).assigned();
    let units = units(&assigned);
    assert!(units[0] > 3000, "{units:?}");
    assert!(units[1..].iter().all(|&units| units > 0), "{units:?}");
}

#[test]
fn an_account_that_alone_has_a_tag_goes_to_the_member_that_asks_for_it() {
    let mut fleet = FleetCase::new(3, 1, &[50, 1]);
    fleet.accounts[1].tags = vec![7];
    fleet.members[0].holds = (0..3).map(|account| Holding { account, units: 1, held: 0 }).collect();
    fleet.members[1].demand = vec![(Some(7), by(1))];
    assert_eq!(fleet.settle(), [vec![(0, 1), (2, 1)], vec![(1, 1)]]);
    fleet.members[0].demand.push((Some(7), by(1)));
    assert_eq!(fleet.settle(), [vec![(0, 1), (2, 1)], vec![(1, 1)]]);
    fleet.accounts[1].units = 2;
    assert_eq!(fleet.settle(), [vec![(0, 1), (1, 1), (2, 1)], vec![(1, 1)]]);
}

#[test]
fn a_tag_that_no_account_has_changes_nothing() {
    let mut fleet = FleetCase::new(4, 1, &[1, 1]);
    let before = fleet.settle();
    fleet.members[0].demand.push((Some(9), by(1000)));
    assert_eq!(fleet.settle(), before);
}

#[test]
fn a_chain_of_members_makes_room_for_one_that_has_a_single_choice() {
    let mut fleet = FleetCase::new(3, 1, &[0, 0, 0]);
    for (account, tags) in [vec![1], vec![1, 2], vec![2, 3]].into_iter().enumerate() {
        fleet.accounts[account].tags = tags;
    }
    for (member, (tag, held)) in [(1, Some(1)), (2, Some(2)), (3, None)].into_iter().enumerate() {
        fleet.members[member].demand = vec![(Some(tag), by(1))];
        fleet.members[member].holds = held.map(|account| Holding { account, units: 1, held: 0 }).into_iter().collect();
    }
    assert_eq!(fleet.settle(), [[(0, 1)], [(1, 1)], [(2, 1)]]);
}

#[test]
fn an_account_that_does_not_serve_stays_and_one_that_nobody_holds_is_spread() {
    let mut fleet = FleetCase::new(4, 2, &[9, 0]);
    fleet.accounts[2].serves = false;
    fleet.accounts[3].serves = false;
    fleet.members[1].holds = vec![Holding { account: 2, units: 2, held: 0 }];
    let assigned = fleet.settle();
    assert_eq!(holders(&assigned), BTreeMap::from([(0, vec![0]), (1, vec![0]), (2, vec![1]), (3, vec![1])]));
    fleet.demand(&[0, 9]);
    assert_eq!(holders(&fleet.settle()), BTreeMap::from([(0, vec![1]), (1, vec![1]), (2, vec![1]), (3, vec![1])]));
}

#[test]
fn an_account_of_several_units_is_divided_with_the_member_whose_keys_belong_to_it() {
    let mut fleet = FleetCase::new(2, 4, &[1, 1]);
    fleet.settle();
    fleet.members[1].wanted = vec![(0, by(1))];
    assert_eq!(fleet.settle(), [vec![(0, 2)], vec![(0, 2), (1, 4)]]);
    fleet.members[1].wanted.clear();
    assert_eq!(fleet.settle(), [[(0, 4)], [(1, 4)]]);
}

#[test]
fn an_account_that_nobody_uses_goes_to_the_member_most_of_whose_keys_belong_to_it() {
    let mut fleet = FleetCase::new(1, 1, &[0, 0, 0]);
    fleet.members[0].holds = vec![Holding { account: 0, units: 1, held: 0 }];
    fleet.members[1].wanted = vec![(0, by(2))];
    fleet.members[2].wanted = vec![(0, by(3))];
    assert_eq!(fleet.settle(), [vec![], vec![], vec![(0, 1)]]);
    fleet.members[1].wanted = vec![(0, by(9))];
    fleet.starve(1, 1);
    assert_eq!(fleet.settle(), [vec![], vec![], vec![(0, 1)]], "its slice has not passed");
    fleet.pass_time(SLICE);
    assert_eq!(fleet.settle(), [vec![], vec![(0, 1)], vec![]]);
}

#[test]
fn an_account_of_one_unit_in_use_is_lent_to_callers_keys_by_turns() {
    let mut fleet = FleetCase::new(1, 1, &[3, 0]);
    fleet.settle();
    fleet.members[1].wanted = vec![(0, by(1))];
    fleet.starve(1, SLICE);
    assert_eq!(fleet.settle(), [vec![(0, 1)], vec![]]);
    fleet.pass_time(SLICE);
    assert_eq!(fleet.settle(), [vec![], vec![(0, 1)]]);
    fleet.starve(0, SLICE - 1);
    fleet.starve(1, 0);
    fleet.pass_time(SLICE - 1);
    assert_eq!(fleet.settle(), [vec![], vec![(0, 1)]], "a turn by key lasts a slice too");
    fleet.pass_time(1);
    assert_eq!(fleet.settle(), [vec![(0, 1)], vec![]]);
}

#[test]
fn members_that_come_and_go_where_accounts_are_divided_move_nothing_but_their_part() {
    let mut fleet = FleetCase::new(4, 1000, &[5; 20]);
    let before = fleet.settle();
    assert!(units(&before).iter().all(|&units| units == 200), "{before:?}");
    let lost = fleet.members.pop().unwrap();
    let after = fleet.settle();
    assert_eq!(gained(&before, &after), []);
    assert_eq!(units(&after).iter().sum::<u32>(), 4000);
    fleet.members.push(MemberNeed { holds: Vec::new(), ..lost });
    let joined = fleet.settle();
    assert!(matches!(gained(&after, &joined)[..], [(_, 19)]), "{joined:?}");
}

#[test]
fn an_account_that_comes_back_makes_divided_ones_whole() {
    let mut fleet = FleetCase::new(3, 10, &[100, 1, 1]);
    fleet.accounts[0].serves = false;
    fleet.accounts[1].serves = false;
    fleet.settle();
    fleet.accounts[0].serves = true;
    fleet.accounts[1].serves = true;
    assert_eq!(counts(&fleet.settle()), [1, 1, 1]);
}
