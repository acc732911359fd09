//! What must happen at once, as scripts that Redis runs at once. Each may be sent again after a connection broke without an answer;
//! what a second run does then is said with each that could do harm.

use std::sync::LazyLock;

use crate::redis::Script;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $($file:literal)+;)+) => {$(
        $(#[$doc])*
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!($(include_str!(concat!("lua/", $file, ".lua")), "\n"),+)));
    )+};
}

scripts! {
    /// A second run charges another call; the first is not made up for.
    LEASE = "lease_hot" "lib" "lease_cold";
    CONFIRM = "confirm";
    /// A second run counts a 429 again; all else it does once.
    REPORT = "lib" "report";
    BEAT = "lib" "beat";
    STATUS = "lib" "status";
    REGISTER = "lib" "register";
    /// A second run finds nothing to remove, and what was kept is lost to revocation.
    REMOVE = "lib" "remove";
    TICK = "lib" "tick";
    /// A second run answers as the first.
    CLAIM = "lib" "claim";
    EXTEND = "lib" "extend";
    /// A second run finds its claim gone, and changes nothing.
    RENEWED = "lib" "renewed";
    /// As [`RENEWED`].
    FAILED = "lib" "failed";
}
