//! What is known to be broken. It is neither drawn nor checked, unless the environment asks for it:
//! `JWT_REFRESH_LATER=LateSaves,StepsBack`, or `JWT_REFRESH_LATER=all`.

use std::sync::LazyLock;

/// A kind of step, or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// The wall clock is stepped where a store keeps times: a token's end is read on two clocks.
    StepsBesideStore,
    /// The wall clock is stepped back: a token that has expired is fresh again.
    StepsBack,
    /// An entry with a refresh token and without an access token: the refresh token is overlooked.
    EntriesWithoutToken,
    /// Captured tokens beside a store: the mark of a refresh that was cut off is overlooked.
    CapturedBesideStore,
    /// After a failure of the store a mark may be lost, and a refresh token is sent again.
    LateSaves,
    /// After a failure of the store, an older logout or older tokens in it displace tokens that
    /// could not be saved.
    Unsaved,
    /// A store that lost its entry, or shows an older one, lets two sessions use one sequence.
    SameSequence,
    /// An entry of nonsense that counts as a store that is down is never overwritten.
    RuinTreatedAsDown,
}

/// Returns whether a step is drawn, or a check made.
pub(crate) fn is_on(later: Later) -> bool {
    static ASKED: LazyLock<String> = LazyLock::new(|| std::env::var("JWT_REFRESH_LATER").unwrap_or_default());
    ASKED.split(',').any(|name| name == "all" || name == format!("{later:?}"))
}
