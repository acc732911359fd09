//! The parts that names in Redis are made of: prefixes, names that a user gave, random names.

use std::fmt::Write;

use crate::store::{StoreError, StoreErrorKind};

/// Whether `prefix` can break neither a hash tag nor a pattern in an access rule.
pub(crate) fn is_prefix(prefix: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    !prefix.is_empty() && prefix.bytes().all(is_plain)
}

/// Returns `name` as it is written between the braces of a hash tag: everything in it but letters,
/// digits, `-`, `_`, `.` and `@` is percent-encoded. Different names are encoded differently.
pub(crate) fn encode(name: &str) -> String {
    if name.is_empty() {
        // Empty braces are no hash tag to Redis. No other name is encoded as `%` alone.
        return "%".to_owned();
    }
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Returns 128 random bits in hexadecimal digits.
pub(crate) fn random_name() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the system gave the Redis store no random bytes").caused_by(error)
    })?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_would_break_the_hash_tag_is_refused() {
        assert!(is_prefix("my-app:jwt_refresh/1.0"));
        for prefix in ["", "{", "a}b", "a*", "a b", "ä", "a\n"] {
            assert!(!is_prefix(prefix), "{prefix}");
        }
    }
}
