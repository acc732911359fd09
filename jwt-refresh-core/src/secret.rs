//! Strings that must not be seen: wiped on drop, redacted in `Debug`, without `Display`.

use std::fmt;

use zeroize::Zeroizing;

/// A password, a client secret, or another string that must not be seen.
///
/// `Debug` shows nothing of it, there is no `Display`, and its memory is wiped when the last owner drops it.
///
/// ```
/// let password = jwt_refresh_core::Secret::from("hunter2");
/// assert_eq!(format!("{password:?}"), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// The string itself. Named so that a reviewer finds every place where it leaves its wrapper.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        // Copied: to shrink a string may move it, and leave behind what nobody wipes.
        Zeroizing::new(secret).as_str().into()
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(Zeroizing::new(secret.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
