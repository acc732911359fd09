//! What must happen at once in Redis, as scripts. They compare and set, and decide nothing. Each
//! may be sent again after a connection broke without an answer, and does the same twice.

use std::sync::LazyLock;

use crate::redis::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {$(
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file, ".lua"))));
    )+};
}

scripts! {
    BEAT = "beat";
    CHANGES = "changes";
    COMMIT = "commit";
    ELECT = "elect";
    MEMORY = "memory";
    LEAVE = "leave";
    LOOK = "look";
    PUBLISH = "publish";
    RELEASE = "release";
    REMOVE = "remove";
    RESERVE = "reserve";
    TIME = "time";
    WANT = "want";
}
