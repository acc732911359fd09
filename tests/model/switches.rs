//! What is known to be broken. It is neither drawn nor checked, unless the environment asks for it:
//! `JWT_REFRESH_LATER=StepsBack`, or `JWT_REFRESH_LATER=all`.

use std::sync::LazyLock;

/// A kind of step, or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// The wall clock is stepped back: a token that has expired is fresh again.
    StepsBack,
}

/// Returns whether a step is drawn, or a check made.
pub(crate) fn is_on(later: Later) -> bool {
    static ASKED: LazyLock<String> = LazyLock::new(|| std::env::var("JWT_REFRESH_LATER").unwrap_or_default());
    ASKED.split(',').any(|name| name == "all" || name == format!("{later:?}"))
}
