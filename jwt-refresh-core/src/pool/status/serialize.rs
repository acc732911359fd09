//! A status as programs read it.
//!
//! The impls are not derived, for two reasons: the names are stable, so renaming a field must not
//! change them; and without the derive macro only `serde_core` is needed, which `serde_json` needs
//! anyway.

use serde_core::ser::{Serialize, SerializeStruct, Serializer};

use super::{Health, PoolStatus, QuarantinedAccount};
use crate::pool::quarantine::{CauseCounts, QuarantineCause};

impl Serialize for PoolStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PoolStatus", 14)?;
        fields.serialize_field("health", &self.health())?;
        fields.serialize_field("accounts", &self.accounts)?;
        fields.serialize_field("active", &self.active)?;
        fields.serialize_field("auth_workers", &self.auth_workers)?;
        fields.serialize_field("failing", &self.failing)?;
        fields.serialize_field("quarantined", &self.quarantined)?;
        fields.serialize_field("quarantined_by_cause", &self.causes)?;
        fields.serialize_field("waiting", &self.waiting)?;
        fields.serialize_field("leases", &self.leases)?;
        fields.serialize_field("leases_timed_out", &self.leases_timed_out)?;
        fields.serialize_field("average_ttl_seconds", &self.average_ttl.map(|ttl| ttl.as_secs_f64()))?;
        fields.serialize_field("refresh_success", &self.refresh_success)?;
        fields.serialize_field("requests_per_token_per_minute", &self.requests_per_token_per_minute)?;
        fields.serialize_field("auth_overhead", &self.auth_overhead)?;
        fields.end()
    }
}

impl Serialize for CauseCounts {
    /// Leaves out the causes that no account is in quarantine for.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let causes = self.each().filter(|(_, count)| *count > 0);
        serializer.collect_map(causes.map(|(cause, count)| (cause.name(), count)))
    }
}

impl Serialize for QuarantinedAccount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("QuarantinedAccount", 4)?;
        fields.serialize_field("account", &self.account)?;
        fields.serialize_field("cause", &self.cause)?;
        fields.serialize_field("returns_in_seconds", &self.returns_in.map(|wait| wait.as_secs_f64()))?;
        fields.serialize_field("error", &self.error.as_ref().map(ToString::to_string))?;
        fields.end()
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for QuarantineCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::Error;

    #[test]
    fn a_status_has_stable_names_and_its_times_in_seconds() {
        let quarantined = |account: &str, cause, returns_in, error| QuarantinedAccount {
            account: account.to_owned(),
            cause,
            returns_in,
            error,
        };
        let status = PoolStatus {
            accounts: 45,
            active: 43,
            auth_workers: None,
            failing: 2,
            quarantined: vec![
                quarantined("ada", QuarantineCause::RateLimited, Some(Duration::from_millis(12_500)), None),
                quarantined("bob", QuarantineCause::Joining, None, Some(Error::denied("the password is wrong"))),
            ],
            causes: CauseCounts::of_each([QuarantineCause::RateLimited, QuarantineCause::Joining]),
            waiting: 3,
            leases: 12_345,
            leases_timed_out: 2,
            average_ttl: Some(Duration::from_secs(1800)),
            refresh_success: None,
            requests_per_token_per_minute: 12.25,
            auth_overhead: 0.5,
        };
        let expected = json!({
            "health": "good",
            "accounts": 45,
            "active": 43,
            "auth_workers": null,
            "failing": 2,
            "quarantined": [
                { "account": "ada", "cause": "rate_limited", "returns_in_seconds": 12.5, "error": null },
                { "account": "bob", "cause": "joining", "returns_in_seconds": null, "error": "the password is wrong; check the credentials" },
            ],
            "quarantined_by_cause": { "joining": 1, "rate_limited": 1 },
            "waiting": 3,
            "leases": 12_345,
            "leases_timed_out": 2,
            "average_ttl_seconds": 1800.0,
            "refresh_success": null,
            "requests_per_token_per_minute": 12.25,
            "auth_overhead": 0.5,
        });
        assert_eq!(serde_json::to_value(&status).unwrap(), expected);
    }

    const CAUSES: [QuarantineCause; 12] = [
        QuarantineCause::Joining,
        QuarantineCause::Rejected,
        QuarantineCause::Denied,
        QuarantineCause::Expired,
        QuarantineCause::UsageCap,
        QuarantineCause::RateLimited,
        QuarantineCause::QuotaUsedUp,
        QuarantineCause::KeyRejected,
        QuarantineCause::NoLogin,
        QuarantineCause::ByHand,
        QuarantineCause::Drained,
        QuarantineCause::Elsewhere,
    ];

    #[test]
    fn causes_and_health_are_snake_case_strings() {
        let expected = json!([
            "joining",
            "rejected",
            "denied",
            "expired",
            "usage_cap",
            "rate_limited",
            "quota_used_up",
            "key_rejected",
            "no_login",
            "by_hand",
            "drained",
            "elsewhere",
        ]);
        assert_eq!(serde_json::to_value(CAUSES).unwrap(), expected);
        let health = [Health::Good, Health::Degraded, Health::Down];
        assert_eq!(serde_json::to_value(health).unwrap(), json!(["good", "degraded", "down"]));
    }
}
