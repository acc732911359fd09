//! How long the scenarios take, and what they print.

/// `short` in a plain test run, `long` under `scripts/torture`.
pub(crate) fn scale<T>(short: T, long: T) -> T {
    let is_long = std::env::var("JWT_REFRESH_TORTURE").is_ok_and(|scale| scale == "long");
    if is_long { long } else { short }
}

/// Prints the figures of a scenario, on a line of their own under `--nocapture` too.
pub(crate) fn report(scenario: &str, promised: &str, counted: &str) {
    println!("\n# {scenario}: promised {promised}; counted {counted}");
}
