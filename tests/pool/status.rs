//! The status of a pool with many accounts in quarantine.

use std::collections::BTreeSet;
use std::time::Duration;

use jwt_refresh::ManualClock;
use jwt_refresh::pool::{Account, Pool, QuarantineCause};

use crate::scripted::{Does, Log, Scripted};

/// Has `number` accounts rest, each for a second longer than the one before.
async fn resting(number: u64) -> Pool {
    let accounts = (0..number).map(|number| Account::api_key(format!("a{number}"), format!("key-{number}")));
    let pool = Pool::builder().clock(&ManualClock::new()).accounts(accounts).build().unwrap();
    for _ in 0..number {
        let lease = pool.lease().await.unwrap();
        let rest = lease.account()["a".len()..].parse::<u64>().unwrap();
        lease.quota_used_up(Some(Duration::from_secs(1000 + rest)));
    }
    pool
}

#[tokio::test]
async fn a_status_counts_all_accounts_in_quarantine_and_lists_those_that_return_first() {
    let pool = resting(3000).await;
    let script = Scripted::new("joining", Does::Hangs, &Log::default());
    pool.add(script.account()).unwrap();
    let status = pool.status();
    assert_eq!((status.accounts, status.active, status.quarantined.len()), (3001, 0, 100));
    assert_eq!(status.quarantined_for(QuarantineCause::QuotaUsedUp), 3000);
    assert_eq!(status.quarantined_for(QuarantineCause::Joining), 1);
    for (number, account) in status.quarantined.iter().enumerate() {
        assert_eq!(account.account, format!("a{number}"));
        assert_eq!(account.returns_in, Some(Duration::from_secs(1000 + number as u64)));
    }
    assert!(status.to_string().contains("… and 2991 more"), "{status}");
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["quarantined_by_cause"], serde_json::json!({ "joining": 1, "quota_used_up": 3000 }));
}

#[tokio::test]
async fn accounts_whose_return_has_no_time_are_listed_behind_the_others() {
    let pool = resting(2).await;
    let script = Scripted::new("joining", Does::Hangs, &Log::default());
    pool.add(script.account()).unwrap();
    let names: Vec<_> = pool.status().quarantined.into_iter().map(|one| one.account).collect();
    assert_eq!(names, ["a0", "a1", "joining"]);
}

#[tokio::test]
async fn all_accounts_in_quarantine_can_be_listed() {
    let pool = resting(3000).await;
    pool.add(Account::api_key("serves", "its-key")).unwrap();
    let names: BTreeSet<_> = pool.quarantined().map(|one| one.account).collect();
    assert_eq!(names.len(), 3000);
    assert!(!names.contains("serves"));

    // An account that is removed while the list is read is no reason to stop.
    let mut listed = pool.quarantined();
    let first = listed.next().unwrap();
    assert!(pool.remove(&first.account));
    assert_eq!(listed.count(), 2999);
    assert_eq!(pool.quarantined().count(), 2999);
}
