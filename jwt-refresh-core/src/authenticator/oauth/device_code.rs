//! What a person is shown to log in on another device.

use std::fmt;
use std::time::Duration;

/// What a person has to be shown: where to go, and what to enter there (RFC 8628 §3.3).
pub struct DeviceCode {
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_in: Duration,
}

impl DeviceCode {
    /// Returns the code that the person enters.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Returns where the person enters it.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// Returns a URL with the code in it, to show as a QR code, if the server has one.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_deref()
    }

    /// Returns how long the code is good for. The login may have less time, see
    /// [`Grant::device_code`](super::Grant::device_code).
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl fmt::Debug for DeviceCode {
    /// Leaves out the code: who enters it says who is logged in here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCode")
            .field("verification_uri", &self.verification_uri)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
