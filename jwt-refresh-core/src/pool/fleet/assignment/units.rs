//! How many units of an account each of its users has.

use std::collections::BTreeMap;

use super::division::Portion;

/// Divides the `units` of an account among its `users` by their weight, at least one for each, and
/// begins with what is `held`.
pub(super) fn divide(units: u32, users: Vec<(usize, u64)>, held: &[(usize, u32)]) -> Vec<(usize, u32)> {
    if let [(member, _)] = *users {
        return vec![(member, units)];
    }
    let mut weights = BTreeMap::<usize, u64>::new();
    for (member, weight) in users {
        *weights.entry(member).or_default() += weight.max(1);
    }
    let count = |user: usize| held.iter().find(|&&(member, _)| member == user).map_or(0, |&(_, units)| units);
    let portion = |(&user, &weight): (&usize, &u64)| Portion { count: count(user).into(), weight };
    let mut portions: Vec<Portion> = weights.iter().map(portion).collect();
    let left = u64::from(units) - portions.iter().map(|portion| portion.count).sum::<u64>();
    for (portion, more) in by_weight(left, &portions, 0) {
        portions[portion].count += more;
    }
    let poorest = portions.iter().min_by_key(|portion| portion.next());
    let richest = portions.iter().max_by_key(|portion| portion.last());
    let is_unfair = poorest.zip(richest).is_some_and(|(poorest, richest)| poorest.is_unfair_to(*richest));
    if is_unfair || portions.iter().any(|portion| portion.count == 0) {
        for (portion, count) in by_weight(units.into(), &portions, 1) {
            portions[portion].count = count;
        }
    }
    let counts = portions.iter().map(|portion| u32::try_from(portion.count).unwrap_or(u32::MAX));
    weights.into_keys().zip(counts).collect()
}

/// How much each has of `units` by its weight, and `least` at least.
fn by_weight(units: u64, portions: &[Portion], least: u64) -> Vec<(usize, u64)> {
    let (mut left, mut weights) = (units, portions.iter().map(|portion| portion.weight).sum::<u64>());
    let mut order: Vec<usize> = (0..portions.len()).collect();
    // Who weighs least may get more than its part, which the others bear together.
    order.sort_by_key(|&portion| portions[portion].weight);
    let part = |portion: usize| {
        let weight = portions[portion].weight;
        let part = (2 * u128::from(left) * u128::from(weight) + u128::from(weights)) / (2 * u128::from(weights));
        let part = u64::try_from(part).unwrap_or(left).max(least);
        (left, weights) = (left - part, weights - weight);
        (portion, part)
    };
    order.into_iter().map(part).collect()
}
