//! Lua scripts, which Redis runs without any other command in between.

/// A script, and the digest that Redis knows it by once it has run there.
pub(crate) struct Script {
    pub(super) code: String,
    pub(super) digest: String,
}

impl Script {
    pub(crate) fn new(code: impl Into<String>) -> Self {
        let code = code.into();
        Self { digest: redis::Script::new(&code).get_hash().to_owned(), code }
    }
}
