//! What the coordinator writes, against members that obey, delay, die, and say wrong things.

use std::collections::BTreeMap;
use std::iter;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::pool::fleet::messages::{MemberReport, Unavailable, late_cost_field};
use crate::pool::quarantine::QuarantineCause;

const SHARE_TIME: u64 = 3_000_000;
const LEASE_TTL: u64 = 10_000_000;
const ACCOUNTS: usize = 4;
/// What counts as spent of an account of which nobody knows.
const ALL_OWED: i64 = 1 << 40;

/// A member as its own process sees it.
#[derive(Default)]
struct Process {
    /// The rows that the coordinator has written.
    rows: BTreeMap<String, ShareRow>,
    /// What the member uses.
    uses: BTreeMap<String, ShareRow>,
    until: u64,
    demand: u32,
    /// What more callers ask for, and how many: a tag, or the account of a key.
    asks: &'static [(Ask, u32)],
    is_alive: bool,
    /// What it has reserved of quotas.
    reserved: Option<BTreeMap<String, Reservation>>,
    /// The rests that it was told of.
    rests: BTreeMap<String, Rest>,
    /// What it counts as spent of each account that it uses.
    spent: BTreeMap<String, i64>,
    /// What it says that it has used, once it has left.
    left: Option<BTreeMap<String, ShareRow>>,
}

#[derive(Debug)]
enum Ask {
    Any,
    Tag(&'static str),
    Key(&'static str),
}

impl Ask {
    fn tag((ask, count): &(Self, u32)) -> Option<(Option<String>, u32)> {
        match ask {
            Self::Any => Some((None, *count)),
            Self::Tag(tag) => Some((Some((*tag).to_owned()), *count)),
            Self::Key(_) => None,
        }
    }

    fn key((ask, count): &(Self, u32)) -> Option<(String, u32)> {
        matches!(ask, Self::Key(_)).then(|| (ask.name().to_owned(), *count))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Tag(name) | Self::Key(name) => name,
        }
    }

    fn is_served_by(&self, account: &str, row: &AccountRow) -> bool {
        match self {
            Self::Any => true,
            Self::Tag(tag) => row.definition.tags().iter().any(|has| has == tag),
            Self::Key(name) => account == *name,
        }
    }
}

/// Redis, its members, and the coordinator.
struct World {
    now: u64,
    /// How far Redis' clock was set back.
    set_back: u64,
    shares: Shares,
    accounts: BTreeMap<String, AccountRow>,
    processes: BTreeMap<String, Process>,
    released: BTreeMap<String, String>,
    /// How much was told late of each account, and how often.
    late: BTreeMap<String, i64>,
    late_told: u64,
}

impl Process {
    /// Begins or goes on to use a share.
    fn uses(&mut self, account: &str, row: ShareRow) {
        let counted = self.uses.get(account).map(|uses| uses.late_cost);
        let before = match &row.known {
            KnownState::Exactly(state) | KnownState::AtLeast(Some(state)) => state.arrival,
            KnownState::Unused => 0,
            KnownState::AtLeast(None) => ALL_OWED,
        };
        let spent = self.spent.entry(account.to_owned()).or_default();
        *spent = counted.map_or(before, |_| *spent) + i64::try_from(row.late_cost - counted.unwrap_or(0)).unwrap();
        self.uses.insert(account.to_owned(), row);
    }

    /// Returns what it knows of an account of which it has the whole.
    fn state_of(&self, account: &str) -> Option<AccountState> {
        let row = self.uses.get(account).filter(|row| row.units == row.of)?;
        Some(AccountState { late_cost: row.late_cost, ..state(self.spent[account]) })
    }

    /// Tells what counts as spent if nothing more is heard.
    fn reserve(&mut self) {
        let exact = |state| AccountState { reserved: Some(Totals::default()), ..state };
        let told = self.uses.iter().filter_map(|(account, row)| {
            let state = exact(self.state_of(account)?);
            Some((account.clone(), Reservation { grant: row.grant, state }))
        });
        self.reserved = Some(told.collect());
    }
}

fn account(definition: &Json) -> AccountRow {
    let mut row = json!({ "rate": null, "concurrency": null, "usage_cap": null, "weight": 1, "tier": 0, "tags": [], "limits": [] });
    for (field, value) in definition.as_object().unwrap() {
        row[field] = value.clone();
    }
    serde_json::from_value(json!({ "definition": row })).unwrap()
}

impl World {
    fn new(definition: &Json, members: usize) -> Self {
        let accounts = (0..ACCOUNTS).map(|number| (format!("a{number}"), account(definition))).collect();
        let mut world = Self {
            now: 1_000_000_000_000,
            set_back: 0,
            shares: Shares::default(),
            accounts,
            processes: BTreeMap::new(),
            released: BTreeMap::new(),
            late: BTreeMap::new(),
            late_told: 0,
        };
        (0..members).for_each(|number| world.join(number));
        world
    }

    fn join(&mut self, number: usize) {
        let process = Process { until: self.now + SHARE_TIME, demand: 1, is_alive: true, ..Process::default() };
        self.processes.insert(format!("m{number}"), process);
    }

    fn units(&self) -> u32 {
        self.accounts.values().next().unwrap().definition.units()
    }

    fn seen(&self) -> Seen {
        let report = |process: &Process| MemberReport {
            demand: iter::once((None, process.demand)).chain(process.asks.iter().filter_map(Ask::tag)).collect(),
            wanted: process.asks.iter().filter_map(Ask::key).collect(),
            claims: process.left.clone().unwrap_or_default(),
            rests: process.rests.clone(),
            ..MemberReport::default()
        };
        let mut seen = Seen {
            now: self.now,
            boot: self.now + self.set_back,
            until: self.processes.iter().map(|(name, process)| (name.clone(), process.until)).collect(),
            reports: self.processes.iter().map(|(name, process)| (name.clone(), report(process))).collect(),
            reserved: (self.processes.iter())
                .filter_map(|(name, process)| Some((name.clone(), process.reserved.clone()?)))
                .collect(),
            released: BTreeMap::new(),
            late_costs: BTreeMap::new(),
        };
        seen.take_released(self.released.clone());
        seen
    }

    /// Lets the coordinator do one round.
    fn round(&mut self) {
        self.now += 1;
        let seen = self.seen();
        self.shares.see(&seen, SHARE_TIME);
        let plan = self.shares.step(&self.accounts, &seen, (SHARE_TIME, LEASE_TTL));
        // A plan that goes by what was not seen is refused.
        for (field, _, seen) in &plan.left {
            assert_eq!(self.released.get(field).map_or("", String::as_str), seen);
        }
        for member in plan.members {
            if member.dead {
                self.processes.remove(&member.name);
                continue;
            }
            let process = self.processes.get_mut(&member.name).unwrap();
            for (account, row) in member.rows {
                match serde_json::from_str(&row) {
                    Ok(row) => drop(process.rows.insert(account, row)),
                    Err(_) => drop(process.rows.remove(&account)),
                }
            }
        }
        self.released.extend(plan.left.into_iter().map(|(field, text, _)| (field, text)));
        for (field, text, seen) in plan.changed {
            if self.released.get(&field) == Some(&seen) {
                self.released.insert(field, text);
            }
        }
        self.released.retain(|_, text| !text.is_empty());
    }

    /// Lets a member do what the coordinator has written.
    fn obey(&mut self, name: &str) {
        let Some(process) = self.processes.get_mut(name).filter(|process| process.is_alive) else { return };
        for (account, row) in process.rows.clone() {
            let uses = process.uses.get(&account).map_or(0, |uses| uses.units);
            if row.leaving > 0 || row.units < uses {
                let state = process.state_of(&account).filter(|_| row.units == 0);
                let release =
                    Release { grant: row.grant, step: row.step, units: row.units, held: 0, until: None, state };
                let text = serde_json::to_string(&release).unwrap();
                self.released.insert(release_field(&account, name), text);
            }
            match row.units {
                0 => drop(process.uses.remove(&account)),
                _ => process.uses(&account, row),
            }
        }
        let rows = &process.rows;
        process.uses.retain(|account, _| rows.contains_key(account));
    }

    /// Lets a member end, which gives back what it has heard of.
    fn leave(&mut self, name: &str, state: Option<&AccountState>) {
        let process = self.processes.get_mut(name).unwrap();
        for (account, row) in &process.uses {
            let state = state.cloned().or_else(|| process.state_of(account));
            let (grant, step) = (row.grant, row.step);
            let release = Release { grant, step, units: 0, held: 0, until: None, state };
            self.released.insert(release_field(account, name), serde_json::to_string(&release).unwrap());
        }
        (process.until, process.is_alive) = (0, false);
        process.left = Some(std::mem::take(&mut process.uses));
    }

    /// Kills a member, and lets its time pass. `reserved` is what it has told of quotas.
    fn kill(&mut self, name: &str, reserved: Option<BTreeMap<String, Reservation>>) {
        let process = self.processes.get_mut(name).unwrap();
        (process.is_alive, process.reserved) = (false, reserved);
        self.now += SHARE_TIME + 1;
    }

    /// What a member knows of the account that it was given, and how many leases count against it.
    fn known(&self, name: &str, account: &str) -> (KnownState, u32) {
        let row = &self.processes[name].uses[account];
        (row.known.clone(), row.held_elsewhere)
    }

    /// Extends the shares of all that live.
    fn beat(&mut self) {
        for process in self.processes.values_mut().filter(|process| process.is_alive) {
            process.until = self.now + SHARE_TIME;
        }
    }

    /// Returns how many units of an account are used by members that may use them.
    fn used(&self, account: &str) -> u32 {
        let may = |process: &&Process| process.until >= self.now;
        let units = |process: &Process| process.uses.get(account).map_or(0, |row| row.units);
        self.processes.values().filter(may).map(units).sum()
    }

    /// Returns how much of an account is used, in sixtieths.
    fn used_parts(&self, account: &str) -> u32 {
        let may = |process: &&Process| process.until >= self.now;
        let part = |process: &Process| process.uses.get(account).map_or(0, |row| row.units * 60 / row.of);
        self.processes.values().filter(may).map(part).sum()
    }

    /// Gives all accounts another burst.
    fn divide(&mut self, burst: u32) {
        let definition = json!({ "rate": [10, { "secs": 1, "nanos": 0 }, burst] });
        self.accounts.values_mut().for_each(|row| *row = account(&definition));
    }

    fn names(&self) -> Vec<String> {
        self.processes.keys().cloned().collect()
    }

    fn apply(&mut self, event: Event) {
        let name = |number: usize| format!("m{number}");
        let alive = |process: &&mut Process| process.is_alive;
        match event {
            Event::Pass(time) => self.now += time,
            Event::Beat => self.beat(),
            Event::Round => self.round(),
            Event::Obey(number) => self.obey(&name(number)),
            Event::Die(number) => {
                if let Some(process) = self.processes.get_mut(&name(number)) {
                    process.is_alive = false;
                }
            }
            Event::Join(number) => {
                if !self.processes.contains_key(&name(number)) {
                    self.join(number);
                }
            }
            Event::Leave(number) => {
                if self.processes.get(&name(number)).is_some_and(|process| process.is_alive) {
                    self.leave(&name(number), None);
                }
            }
            Event::Demand(number, demand) => {
                if let Some(process) = self.processes.get_mut(&name(number)) {
                    process.demand = demand;
                }
            }
            Event::Reserve(number) => {
                if let Some(process) = self.processes.get_mut(&name(number)).filter(alive) {
                    process.reserve();
                }
            }
            Event::Late(number, cost) => {
                let account = format!("a{number}");
                self.late_told += 1;
                self.released.insert(late_cost_field(&account, "m9", self.late_told), cost.to_string());
                *self.late.entry(account).or_default() += i64::from(cost);
            }
            Event::Divide(burst) => self.divide(burst),
            Event::TakeOver => {
                let rows = self.processes.iter().map(|(name, process)| (name.clone(), process.rows.clone()));
                self.shares = Shares::from_rows(rows.collect(), self.now + SHARE_TIME, self.now);
            }
        }
    }

    /// Lets a further process join, and all that is not settled be so.
    fn come_to_rest(&mut self) {
        self.join(7);
        for _ in 0..8 {
            self.now += SHARE_TIME / 2;
            self.beat();
            self.settle();
        }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.round();
            self.names().iter().for_each(|name| self.obey(name));
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u64),
    Beat,
    Round,
    Obey(usize),
    Die(usize),
    Join(usize),
    Leave(usize),
    Demand(usize, u32),
    /// A member tells what counts as spent of its quotas.
    Reserve(usize),
    /// A member that had the account before tells what a call has cost beside.
    Late(usize, u32),
    /// Another coordinator takes over, and reads what Redis holds.
    TakeOver,
    /// The accounts are given another burst, by which they are divided.
    Divide(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1..2_000_000_u64).prop_map(Event::Pass),
        4 => Just(Event::Beat),
        6 => Just(Event::Round),
        8 => (0..6_usize).prop_map(Event::Obey),
        1 => (0..6_usize).prop_map(Event::Die),
        2 => (0..6_usize).prop_map(Event::Join),
        1 => (0..6_usize).prop_map(Event::Leave),
        3 => ((0..6_usize), (0..50_u32)).prop_map(|(member, demand)| Event::Demand(member, demand)),
        2 => (0..6_usize).prop_map(Event::Reserve),
        4 => ((0..ACCOUNTS), (1..1000_u32)).prop_map(|(account, cost)| Event::Late(account, cost)),
        1 => Just(Event::TakeOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens in whatever order, what members may use of an account is never more than it
    /// has; and once nothing happens any more, every unit is used.
    #[test]
    fn the_shares_of_an_account_never_add_up_to_more_than_it_has(
        burst in 1..5_u32,
        events in prop::collection::vec(prop_oneof![30 => event(), 1 => (1..5_u32).prop_map(Event::Divide)], 1..120),
    ) {
        let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, burst] }), 2);
        for event in events {
            world.apply(event);
            for account in ["a0", "a1", "a2", "a3"] {
                prop_assert!(world.used_parts(account) <= 60, "{account}: {} of 60", world.used_parts(account));
            }
        }
        world.come_to_rest();
        for account in ["a0", "a1", "a2", "a3"] {
            prop_assert_eq!(world.used(account), world.units());
        }
        prop_assert!(world.released.is_empty(), "{:?}", world.released);
    }

    /// The account may move and its holders may die. A call is not told of if all counts as spent
    /// anyway.
    #[test]
    fn what_calls_have_cost_beside_is_charged_once_to_an_account_that_moves(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let mut world = World::new(&json!({ "usage_cap": 9 }), 2);
        world.processes.values_mut().for_each(Process::reserve);
        for event in events {
            let is_join = matches!(event, Event::Join(_));
            world.apply(event);
            if is_join {
                let new = world.processes.values_mut().filter(|process| process.reserved.is_none());
                new.for_each(Process::reserve);
            }
        }
        world.come_to_rest();
        for account in ["a0", "a1", "a2", "a3"] {
            let late = world.late.get(account).copied().unwrap_or(0);
            let mut holders = world.processes.values().filter(|process| process.uses.contains_key(account));
            let spent = holders.next().unwrap().spent[account];
            prop_assert!(spent == late || spent >= ALL_OWED, "{account}: {spent} of {late}");
        }
        prop_assert!(world.released.is_empty(), "{:?}", world.released);
    }
}

#[test]
fn a_dead_members_leases_count_for_a_while_and_the_worst_is_assumed_of_its_state() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    world.settle();
    assert_eq!(world.used("a0"), 1);
    world.processes.get_mut("m0").unwrap().is_alive = false;
    world.now += SHARE_TIME + 1;
    world.join(1);
    world.settle();
    let row = world.processes["m1"].uses["a0"].clone();
    assert_eq!((row.units, row.held_elsewhere, row.known), (1, 1, KnownState::AtLeast(None)));
    world.now += LEASE_TTL;
    world.beat();
    world.settle();
    assert_eq!(world.processes["m1"].uses["a0"].held_elsewhere, 0);
    assert!(world.released.is_empty());
}

/// Something that is known of an account, and tells it from others.
fn state(arrival: i64) -> AccountState {
    serde_json::from_value(json!({
        "units": 1, "arrival": arrival, "limits": [], "served": null, "spent": null,
        "strikes": serde_json::to_value(crate::pool::strikes::Strikes::NONE).unwrap(), "rest": null, "held": 0,
    }))
    .unwrap()
}

#[test]
fn of_a_share_that_its_member_had_not_heard_of_when_it_left_nothing_is_assumed() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    world.round();
    world.leave("m0", None);
    world.join(1);
    world.settle();
    assert_eq!(world.known("m1", "a0"), (KnownState::Unused, 0), "nobody has used it");
    world.leave("m1", Some(&state(7)));
    world.join(2);
    // What the second has left goes to the third, which does not hear of it either.
    world.round();
    world.leave("m2", None);
    world.join(3);
    world.settle();
    assert_eq!(world.known("m3", "a0"), (KnownState::Exactly(state(7)), 0));
    assert!(world.released.is_empty(), "{:?}", world.released);
}

#[test]
fn what_a_dead_member_told_of_an_account_counts_for_the_share_that_it_was_told_of() {
    let nothing = |state: AccountState| AccountState { reserved: Some(Totals::default()), ..state };
    for (is_of_share, known) in [(false, nothing(state(7))), (true, state(5))] {
        let mut world = World::new(&json!({ "usage_cap": 9 }), 1);
        world.settle();
        let first = world.processes["m0"].uses["a0"].grant;
        world.leave("m0", Some(&state(7)));
        world.now += 1;
        world.join(1);
        world.settle();
        let grant = if is_of_share { world.processes["m1"].uses["a0"].grant } else { first };
        let told = Reservation { grant, state: state(5) };
        world.kill("m1", Some(BTreeMap::from([("a0".to_owned(), told)])));
        world.join(2);
        world.settle();
        assert_eq!(world.known("m2", "a0").0, KnownState::AtLeast(Some(known)));
    }
}

#[test]
fn a_member_that_dies_before_it_has_told_of_quotas_has_used_none_unless_redis_has_lost_what_it_told() {
    let unspent = || Some(AccountState::unspent(1));
    for (reserved, known) in [(Some(BTreeMap::new()), unspent()), (None, None)] {
        let mut world = World::new(&json!({ "usage_cap": 9 }), 1);
        world.settle();
        // Each is given the account when the one before is dead, and dies before it hears of that.
        for dying in ["m0", "m1"] {
            world.kill(dying, reserved.clone());
            world.join(dying[1..].parse::<usize>().unwrap() + 1);
            world.settle();
        }
        assert_eq!(world.known("m2", "a0").0, KnownState::AtLeast(known));
    }
}

#[test]
fn what_a_member_tells_of_quotas_when_it_ends_is_exact_though_it_holds_a_lease() {
    let mut world = World::new(&json!({ "usage_cap": 9 }), 1);
    world.settle();
    world.leave("m0", Some(&state(7)));
    for told in world.released.values_mut() {
        let release: Release = serde_json::from_str(told).unwrap();
        *told = serde_json::to_string(&Release { held: 1, ..release }).unwrap();
    }
    world.now += 1;
    world.join(1);
    world.settle();
    let exact = AccountState { reserved: Some(Totals::default()), ..state(7) };
    assert_eq!(world.known("m1", "a0").0, KnownState::AtLeast(Some(exact)));
}

#[test]
fn of_shares_that_nobody_claims_after_redis_was_another_the_worst_is_assumed_unless_they_were_given_back_later() {
    let mut world = World::new(&json!({ "concurrency": 2 }), 1);
    let row = |units| ShareRow { units, of: 2, grant: 5, ..ShareRow::default() };
    let of = |shares: &[(&str, u32)]| shares.iter().map(|(name, units)| ((*name).to_owned(), row(*units))).collect();
    let mut seen = world.seen();
    let report = seen.reports.get_mut("m0").unwrap();
    (report.incarnation, report.asks, report.claims) = ("second".to_owned(), Some(1), of(&[("a2", 2)]));
    world.shares.see(&seen, SHARE_TIME);
    let dead = of(&[("a0", 2), ("a1", 2), ("a2", 1)]);
    let mut untrusted = BTreeMap::from([("dead".to_owned(), dead), ("m0".to_owned(), of(&[("a3", 2)]))]);
    world.shares.learn("second", &mut untrusted);
    // It has been answered, and asks no more.
    world.shares.see(&world.seen(), SHARE_TIME);
    world.shares.take_unclaimed(untrusted);
    for (account, grant) in [("a0", 4), ("a1", 6)] {
        let release = Release { grant, step: 0, units: 0, held: 0, until: None, state: Some(state(7)) };
        world.released.insert(release_field(account, "m1"), serde_json::to_string(&release).unwrap());
    }
    let plan = world.shares.step(&world.accounts, &world.seen(), (SHARE_TIME, LEASE_TTL));
    assert_eq!(plan.members[1].name, "m0");
    assert!(plan.members[0].dead, "the rows of the other are deleted");
    let known = ["a0", "a1", "a3"].map(|account| world.shares.members["m0"].rows[account].known.clone());
    let given_back = KnownState::Exactly(state(7));
    assert_eq!(known, [KnownState::AtLeast(None), given_back, KnownState::Unused], "m0 had not heard of a3");
}

#[test]
fn of_a_member_that_has_not_said_yet_what_it_holds_nothing_is_given_away_while_it_lives() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    let rows = ["m0", "m1"].map(|name| (name.to_owned(), BTreeMap::new()));
    let of_m0 = BTreeMap::from([("a0".to_owned(), ShareRow { units: 1, of: 1, grant: 5, ..ShareRow::default() })]);
    world.shares.see(&world.seen(), SHARE_TIME);
    world.shares.take_unclaimed(rows.into_iter().chain([("m0".to_owned(), of_m0)]).collect());
    world.shares.step(&world.accounts, &world.seen(), (SHARE_TIME, LEASE_TTL));
    assert_eq!(world.shares.members["m0"].rows["a0"].grant, 5);
    assert!(!world.shares.members["m1"].rows.contains_key("a0"));
}

#[test]
fn what_a_member_leaves_counts_though_its_share_was_changed_since_it_heard_of_it() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    world.settle();
    world.join(1);
    world.processes.get_mut("m0").unwrap().demand = 0;
    world.round();
    assert!(world.processes["m0"].rows.values().any(|row| row.leaving == 1), "a share is to move");
    world.leave("m0", Some(&state(7)));
    world.settle();
    for account in world.accounts.keys() {
        assert_eq!(world.known("m1", account), (KnownState::Exactly(state(7)), 0), "{account}");
    }
}

#[test]
fn leases_that_a_member_told_of_before_count_when_it_dies_with_a_smaller_share() {
    let mut world = World::new(&json!({ "concurrency": 4 }), 8);
    world.settle();
    let (account, row) = world.processes["m0"].uses.first_key_value().unwrap();
    let (account, row) = (account.clone(), row.clone());
    assert!(row.units < 4, "others have parts");
    // It had all of the account, and gave that back while it held all leases that there may be.
    let release = Release { grant: row.grant - 1, step: 0, units: 0, held: 4, until: None, state: None };
    world.released.insert(release_field(&account, "m0"), serde_json::to_string(&release).unwrap());
    world.settle();
    world.processes.get_mut("m0").unwrap().is_alive = false;
    world.now += SHARE_TIME + 1;
    world.beat();
    world.settle();
    let held = world.processes.values().filter_map(|process| process.uses.get(&account)).map(|row| row.held_elsewhere);
    assert_eq!(held.max(), Some(4));
}

#[test]
fn what_others_may_have_spent_of_units_is_owed_by_a_member_that_hears_of_its_share_only_then() {
    let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, 4] }), 8);
    world.round();
    world.obey("m0");
    let account = world.processes["m0"].uses.keys().next().unwrap().clone();
    let has = |world: &World, name: &str| world.processes[name].rows.get(&account).map_or(0, |row| row.units);
    let other = world.names().into_iter().find(|name| name != "m0" && has(&world, name) > 0).unwrap();
    let before = has(&world, &other);
    world.leave("m0", None);
    for _ in 0..5 {
        world.round();
    }
    assert!(has(&world, &other) > before, "it is given what the first has left");
    world.obey(&other);
    assert_eq!(world.known(&other, &account).0, KnownState::AtLeast(None));
}

#[test]
fn what_members_claim_is_believed_once_and_no_more_than_an_account_has() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    let claim = ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() };
    let mut seen = world.seen();
    for report in seen.reports.values_mut() {
        (report.incarnation, report.asks) = ("second".to_owned(), Some(3));
        report.claims = BTreeMap::from([("a0".to_owned(), claim.clone())]);
    }
    world.shares.see(&seen, SHARE_TIME);
    assert!(world.shares.learn("first", &mut RowsByMember::new()).is_empty(), "they speak of another loss");
    let plan = world.shares.learn("second", &mut RowsByMember::new());
    let rows = |plan: &SharePlan| -> Vec<(Option<String>, usize)> {
        plan.members.iter().map(|member| (member.fresh.clone(), member.rows.len())).collect()
    };
    assert_eq!(rows(&plan), [(Some("3".to_owned()), 1), (Some("3".to_owned()), 0)]);
    assert!(world.shares.learn("second", &mut RowsByMember::new()).is_empty(), "each is asked once");
    seen.reports.values_mut().for_each(|report| report.asks = Some(4));
    world.shares.see(&seen, SHARE_TIME);
    let plan = world.shares.learn("second", &mut RowsByMember::new());
    let answers = [(Some("4".to_owned()), 1), (Some("4".to_owned()), 0)];
    assert_eq!(rows(&plan), answers, "another question is answered, and what was confirmed is not taken for another's");
}

#[test]
fn what_a_member_has_not_heard_that_it_has_given_back_voids_no_claim_of_who_has_it_now() {
    let mut world = World::new(&json!({ "concurrency": 4 }), 2);
    let mut seen = world.seen();
    let claims = [
        ShareRow { units: 1, leaving: 3, of: 4, grant: 7, ..ShareRow::default() },
        ShareRow { units: 3, of: 4, grant: 8, ..ShareRow::default() },
    ];
    for (report, claim) in seen.reports.values_mut().zip(claims) {
        (report.incarnation, report.asks) = ("second".to_owned(), Some(3));
        report.claims = BTreeMap::from([("a0".to_owned(), claim)]);
    }
    world.shares.see(&seen, SHARE_TIME);
    let plan = world.shares.learn("second", &mut RowsByMember::new());
    assert_eq!(plan.members.iter().map(|member| member.rows.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn units_that_come_from_others_owe_what_those_may_have_spent() {
    let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, 4] }), 1);
    world.settle();
    (1..8).for_each(|number| world.join(number));
    world.settle();
    let parts = (1..8).flat_map(|number| &world.processes[&format!("m{number}")].uses);
    let known: Vec<&KnownState> = parts.map(|(_, row)| &row.known).collect();
    assert!(known.len() >= 7, "{known:?}");
    assert!(known.iter().all(|known| matches!(known, KnownState::AtLeast(_))), "{known:?}");
}

#[test]
fn what_one_gives_back_and_two_are_given_is_unused_for_neither() {
    let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, 4] }), 1);
    world.settle();
    world.leave("m0", Some(&state(7)));
    (1..9).for_each(|number| world.join(number));
    world.settle();
    let parts: Vec<KnownState> = (1..9)
        .flat_map(|number| world.processes[&format!("m{number}")].uses.values())
        .map(|row| row.known.clone())
        .collect();
    assert_eq!(parts.iter().filter(|known| **known == KnownState::AtLeast(Some(state(7)))).count(), ACCOUNTS);
    assert!(parts.len() > ACCOUNTS && !parts.contains(&KnownState::Unused), "{parts:?}");
}

#[test]
fn calls_that_a_former_holder_still_makes_count_for_strict_limits_as_for_concurrency() {
    let strict = json!({ "unit": "Requests", "amount": 10, "period": { "Strict": { "secs": 1, "nanos": 0 } }, "burst": null, "shared": null });
    let mut world = World::new(&json!({ "limits": [strict] }), 1);
    world.settle();
    let grant = world.processes["m0"].uses["a0"].grant;
    world.leave("m0", Some(&state(7)));
    let release = Release { grant, step: 0, units: 0, held: 3, until: None, state: Some(state(7)) };
    world.released.insert(release_field("a0", "m0"), serde_json::to_string(&release).unwrap());
    world.join(1);
    world.settle();
    assert_eq!(world.known("m1", "a0").1, 3);
}

#[test]
fn an_account_that_is_not_registered_again_yet_voids_no_claim_of_another() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    let claim = ShareRow { units: 1, of: 1, grant: 7, ..ShareRow::default() };
    let mut seen = world.seen();
    let report = seen.reports.get_mut("m0").unwrap();
    (report.incarnation, report.asks) = ("second".to_owned(), Some(3));
    report.claims = ["a0", "gone"].map(|account| (account.to_owned(), claim.clone())).into();
    world.shares.see(&seen, SHARE_TIME);
    let plan = world.shares.learn("second", &mut RowsByMember::new());
    assert_eq!(plan.members.len(), 1, "it is answered");
    let plan = world.shares.step(&world.accounts, &seen, (SHARE_TIME, LEASE_TTL));
    assert_eq!(world.shares.members["m0"].rows["a0"].grant, 7);
    let gone: Vec<&String> =
        plan.members[0].rows.iter().filter(|(account, _)| account == "gone").map(|(_, row)| row).collect();
    let row: ShareRow = serde_json::from_str(gone[0]).unwrap();
    assert_eq!((row.units, row.leaving), (0, 1), "what nobody has registered is given back");
}

#[test]
fn no_caller_is_sent_to_an_account_that_is_full_of_the_leases_of_a_dead_member() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    world.settle();
    let of_the_dead: Vec<String> = world.processes["m0"].uses.keys().cloned().collect();
    assert_eq!((of_the_dead.len(), world.processes["m1"].uses.len()), (2, 2));
    world.processes.get_mut("m0").unwrap().is_alive = false;
    world.now += SHARE_TIME + 1;
    world.join(2);
    for _ in 0..3 {
        world.now += 1_000_000;
        world.beat();
        world.settle();
    }
    let serve = |name: &str| world.processes[name].uses.keys().filter(|account| !of_the_dead.contains(account)).count();
    assert_eq!([serve("m1"), serve("m2")], [1, 1]);
}

#[test]
fn what_is_told_with_a_reserve_is_the_least_that_was_spent() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    world.settle();
    let reserved = AccountState { reserved: Some(Totals::default()), ..state(7) };
    world.leave("m0", Some(&reserved));
    world.join(1);
    world.settle();
    assert_eq!(world.known("m1", "a0").0, KnownState::AtLeast(Some(reserved)));
}

#[test]
fn a_member_that_has_only_what_a_dead_one_fills_takes_turns_on_the_rest() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    world.accounts.retain(|name, _| matches!(name.as_str(), "a0" | "a1"));
    world.settle();
    let of_the_dead = world.processes["m0"].uses.keys().next().unwrap().clone();
    world.processes.get_mut("m0").unwrap().is_alive = false;
    world.now += SHARE_TIME + 1;
    world.join(2);
    let mut served = BTreeSet::new();
    for _ in 0..20 {
        world.now += 250_000;
        world.beat();
        world.settle();
        let can_call = |process: &Process| process.uses.keys().any(|account| *account != of_the_dead);
        served.extend(world.processes.iter().filter(|(_, process)| can_call(process)).map(|(name, _)| name.clone()));
    }
    assert_eq!(served, BTreeSet::from(["m1".to_owned(), "m2".to_owned()]));
}

#[test]
fn an_account_that_is_divided_anew_is_given_to_nobody_while_another_has_it_as_it_was() {
    let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, 1] }), 6);
    world.settle();
    let holder = world.names().into_iter().find(|name| !world.processes[name].uses.is_empty()).unwrap();
    let account = world.processes[&holder].uses.keys().next().unwrap().clone();
    world.divide(4);
    for _ in 0..5 {
        world.round();
        world.names().iter().filter(|name| **name != holder).for_each(|name| world.obey(name));
        assert!(world.used_parts(&account) <= 60, "{} of 60", world.used_parts(&account));
    }
    world.settle();
    assert_eq!(world.used_parts(&account), 60);
}

#[test]
fn leases_beyond_a_part_count_beside_those_of_the_part_when_their_member_dies() {
    let mut world = World::new(&json!({ "concurrency": 4 }), 8);
    world.settle();
    let (account, row) = world.processes["m0"].uses.first_key_value().unwrap();
    let (account, row) = (account.clone(), row.clone());
    assert_eq!(row.units, 2, "another has a part");
    let release = Release { grant: row.grant - 1, step: 0, units: 0, held: 2, until: None, state: None };
    world.released.insert(release_field(&account, "m0"), serde_json::to_string(&release).unwrap());
    world.settle();
    world.kill("m0", None);
    world.beat();
    world.settle();
    let held = world.processes.values().filter_map(|process| process.uses.get(&account)).map(|row| row.held_elsewhere);
    assert_eq!(held.max(), Some(4), "two of its part, and two that it had before");
}

#[test]
fn members_take_turns_while_redis_goes_by_a_clock_that_was_set_back() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    world.accounts.retain(|name, _| name == "a0");
    world.settle();
    let hour = 3_600_000_000;
    (world.now, world.set_back) = (world.now - hour, hour);
    let mut turns = Vec::new();
    for _ in 0..100 {
        world.now += 50_000;
        world.beat();
        world.settle();
        let has = |process: &Process| process.uses.contains_key("a0");
        turns.extend(world.processes.iter().filter(|(_, process)| has(process)).map(|(name, _)| name.clone()));
    }
    let lengths: Vec<usize> = turns.chunk_by(|one, next| one == next).map(<[String]>::len).collect();
    let shortest = lengths[1..lengths.len() - 1].iter().min();
    assert!(lengths.len() > 10 && shortest.is_some_and(|rounds| *rounds >= 5), "{lengths:?}");
}

/// Asserts that members whose callers ask for this, and which do what they are told before the next
/// round, can serve all of them for that part of the time, though they take turns.
fn assert_all_are_served(accounts: &[AccountRow], members: &[&'static [(Ask, u32)]], least: f64) {
    const ROUNDS: u32 = 400;
    let mut world = World::new(&json!({}), members.len());
    world.accounts = accounts.iter().zip(0..).map(|(row, number)| (format!("a{number}"), row.clone())).collect();
    for (process, asks) in world.processes.values_mut().zip(members) {
        (process.demand, process.asks) = (0, asks);
    }
    let mut served: Vec<Vec<u32>> = members.iter().map(|asks| vec![0; asks.len()]).collect();
    for _ in 0..ROUNDS {
        world.now += 50_000;
        world.beat();
        world.round();
        world.names().iter().for_each(|name| world.obey(name));
        for (served, process) in served.iter_mut().zip(world.processes.values()) {
            for (served, (ask, _)) in served.iter_mut().zip(process.asks) {
                let can_call = |account: &&String| ask.is_served_by(account, &world.accounts[*account]);
                *served += u32::from(process.uses.keys().any(|account| can_call(&account)));
            }
        }
    }
    let parts: Vec<Vec<f64>> = served
        .iter()
        .map(|served| served.iter().map(|rounds| f64::from(*rounds) / f64::from(ROUNDS)).collect())
        .collect();
    let servable = |ask: &Ask| {
        let can_ever = |(name, row): (&String, &AccountRow)| row.unavailable.is_none() && ask.is_served_by(name, row);
        world.accounts.iter().any(can_ever)
    };
    for (asks, parts) in members.iter().zip(&parts) {
        for ((ask, _), part) in asks.iter().zip(parts).filter(|((ask, _), _)| servable(ask)) {
            assert!(*part >= least, "{ask:?} has {part} of the time: {members:?}");
        }
    }
}

/// An account that `units` callers can use at once.
fn account_of(units: u32, tags: &[&str]) -> AccountRow {
    account(&json!({ "concurrency": units, "tags": tags }))
}

#[test]
fn members_whose_callers_wait_for_an_account_that_rests_have_no_longer_turns_at_others() {
    let resting = Unavailable::new(QuarantineCause::RateLimited, None, None);
    let resting = AccountRow { unavailable: Some(resting), ..account_of(1, &["resting"]) };
    let accounts = [account_of(1, &["single"]), resting];
    for members in 2..5_u32 {
        let mut asks: Vec<&'static [(Ask, u32)]> = vec![&[(Ask::Tag("single"), 1)]; members as usize];
        asks[0] = &[(Ask::Tag("single"), 1), (Ask::Tag("resting"), 1)];
        assert_all_are_served(&accounts, &asks, 0.7 / f64::from(members));
    }
}

#[test]
fn members_whose_callers_ask_for_another_account_too_have_no_shorter_turns() {
    let accounts = [account_of(1, &["single"]), account_of(1024, &["own"])];
    for members in 2..5_u32 {
        let mut asks: Vec<&'static [(Ask, u32)]> = vec![&[(Ask::Tag("single"), 1)]; members as usize];
        asks[members as usize / 2] = &[(Ask::Tag("own"), 1), (Ask::Tag("single"), 1)];
        assert_all_are_served(&accounts, &asks, 0.7 / f64::from(members));
        asks[members as usize - 1] = &[(Ask::Tag("single"), 1), (Ask::Tag("own"), 1)];
        assert_all_are_served(&accounts, &asks, 0.7 / f64::from(members));
    }
}

#[test]
fn callers_with_keys_have_their_turns_beside_members_that_ask_for_the_account_twice() {
    let both: &[_] = &[(Ask::Any, 1), (Ask::Key("a0"), 1)];
    assert_all_are_served(&[account_of(2, &[])], &[both, both, &[(Ask::Key("a0"), 1)]], 0.4);
}

#[test]
fn members_that_ask_for_less_have_their_turns_beside_those_that_ask_for_the_account_twice() {
    let both: &[_] = &[(Ask::Any, 1), (Ask::Tag("t"), 1)];
    assert_all_are_served(&[account_of(3, &["t"])], &[both, both, both, &[(Ask::Any, 1)]], 0.4);
}

#[test]
fn a_turn_is_not_cut_short_because_the_account_serves_other_callers_of_the_member_too() {
    let accounts = [account_of(1, &["x", "y"]), account_of(2, &["y"])];
    let members: [&[_]; 3] = [&[(Ask::Tag("x"), 1)], &[(Ask::Tag("x"), 1), (Ask::Tag("y"), 9)], &[(Ask::Tag("y"), 9)]];
    assert_all_are_served(&accounts, &members, 0.4);
}

#[test]
fn turns_of_several_accounts_leave_no_member_out() {
    let accounts = [account_of(3, &["y"]), account_of(2, &["x"])];
    let members: [&[_]; 4] = [
        &[(Ask::Tag("x"), 1), (Ask::Tag("y"), 2)],
        &[(Ask::Tag("x"), 2), (Ask::Tag("y"), 9)],
        &[(Ask::Tag("x"), 1), (Ask::Tag("y"), 1)],
        &[(Ask::Any, 1), (Ask::Tag("y"), 9)],
    ];
    assert_all_are_served(&accounts, &members, 0.4);
}

#[test]
fn units_go_to_the_member_that_they_were_given_back_for() {
    let mut world = World::new(&json!({ "concurrency": 2 }), 4);
    world.accounts.retain(|name, _| name == "a0");
    let ask = |world: &mut World, name: &str, demand| world.processes.get_mut(name).unwrap().demand = demand;
    for name in ["m0", "m2"] {
        ask(&mut world, name, 0);
    }
    world.settle();
    world.now += 300_000;
    world.beat();
    ask(&mut world, "m2", 1);
    world.round();
    let gives =
        |(name, process): (&String, &Process)| process.rows.values().any(|row| row.leaving > 0).then(|| name.clone());
    let former: Vec<String> = world.processes.iter().filter_map(gives).collect();
    assert_eq!(former.len(), 1);
    world.obey(&former[0]);
    ask(&mut world, "m0", 1);
    world.round();
    let has = ["m0", "m2"].map(|name| world.processes[name].rows.contains_key("a0"));
    assert_eq!(has, [false, true], "m0 waits for what the other gives back");
}

#[test]
fn a_rest_that_a_member_was_told_of_which_is_gone_holds_under_the_next_coordinator() {
    let mut world = World::new(&json!({ "rate": [10, { "secs": 1, "nanos": 0 }, 8] }), 2);
    world.accounts.retain(|name, _| name == "a0");
    world.settle();
    let rest = ("rate_limited".to_owned(), world.now + 300_000_000);
    world.processes.get_mut("m0").unwrap().rests.insert("a0".to_owned(), rest.clone());
    world.settle();
    assert_eq!(world.processes["m1"].rows["a0"].rest.as_ref(), Some(&rest));
    world.processes.get_mut("m0").unwrap().rests.clear();
    world.leave("m0", None);
    world.settle();
    world.apply(Event::TakeOver);
    world.join(2);
    world.settle();
    assert_eq!(world.processes["m2"].rows["a0"].rest.as_ref(), Some(&rest));
}

#[test]
fn what_was_released_of_an_account_that_is_removed_is_forgotten_after_a_day_and_not_at_once() {
    let mut world = World::new(&json!({ "usage_cap": 9 }), 1);
    world.settle();
    let removed = world.accounts.remove("a0").unwrap();
    world.settle();
    assert!(world.released.keys().any(|field| field.ends_with("a0")), "{:?}", world.released);
    let hour = 3_600_000_000;
    for _ in 0..26 {
        world.now += hour;
        world.beat();
        world.settle();
    }
    assert_eq!(world.released, BTreeMap::new());
    assert!(!world.shares.accounts.contains_key("a0"));
    world.accounts.insert("a0".to_owned(), removed);
    world.settle();
    assert_eq!(world.used("a0"), 1);
}

#[test]
fn claims_are_waited_for_of_members_that_live_and_do_not_know_yet_that_redis_was_another() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 1);
    let mut seen = world.seen();
    seen.reports.get_mut("m0").unwrap().incarnation = "first".to_owned();
    world.shares.see(&seen, SHARE_TIME);
    assert!(world.shares.awaits_claims("second", world.now));
    assert!(!world.shares.awaits_claims("second", world.now + SHARE_TIME + 1), "its time is up");
    seen.reports.get_mut("m0").unwrap().incarnation = "second".to_owned();
    world.shares.see(&seen, SHARE_TIME);
    assert!(!world.shares.awaits_claims("second", world.now));
}

#[test]
fn an_account_whose_token_has_expired_is_no_ones_that_has_callers_while_others_serve() {
    let mut world = World::new(&json!({ "concurrency": 1 }), 2);
    world.accounts.retain(|name, _| matches!(name.as_str(), "a0" | "a1"));
    world.settle();
    let expires = world.now + SHARE_TIME;
    world.accounts.get_mut("a0").unwrap().expires = Some(expires);
    let mut served = BTreeSet::new();
    for _ in 0..40 {
        world.now += 250_000;
        world.beat();
        world.settle();
        let has = |process: &Process| process.uses.contains_key("a1");
        let names = world.processes.iter().filter(|(_, process)| has(process)).map(|(name, _)| name.clone());
        served.extend(names.filter(|_| world.now > expires + SHARE_TIME));
    }
    assert_eq!(served.len(), 2, "they take turns on what serves");
}
