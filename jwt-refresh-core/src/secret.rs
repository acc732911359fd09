//! Strings that must not be shown: wiped on drop, redacted in `Debug`, without `Display`.

use std::fmt;

use zeroize::Zeroizing;

/// A password, a client secret, or another string that must not be shown.
///
/// `Debug` shows nothing of it, there is no `Display`, and each copy is wiped from memory when it
/// is dropped.
///
/// ```
/// let password = jwt_refresh::Secret::from("hunter2");
/// assert_eq!(format!("{password:?}"), "Secret(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Returns the string. The name makes it easy to find every place where the string leaves its
    /// wrapper.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        // The string is copied, because shrinking it may move it and leave an unwiped copy behind.
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
