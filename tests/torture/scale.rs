//! How large the scenarios are, and what they print.

/// `short` in a plain test run, `long` under `scripts/torture`.
pub(crate) fn scale<T>(short: T, long: T) -> T {
    let is_long = std::env::var("JWT_REFRESH_TORTURE").is_ok_and(|scale| scale == "long");
    if is_long { long } else { short }
}

/// One line of figures, on a line of its own under `--nocapture` too.
pub(crate) fn report(scenario: &str, promised: &str, counted: &str) {
    println!("\n# {scenario}: promised {promised}; counted {counted}");
}
