//! A folder that real processes share, some of which are killed.

use std::time::{Duration, Instant};

use jwt_refresh::store::{FileStore, TokenStore};

use crate::child::{start, wait_until_ready};
use crate::support::{Machine, entry};

#[tokio::test]
async fn the_lease_of_a_killed_process_is_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    for _ in 0..5 {
        let mut child = start("hold-lease alice", folder.path());
        wait_until_ready(&mut child);
        let waiting = tokio::time::timeout(Duration::from_millis(100), store.lease("alice")).await;
        assert!(waiting.is_err(), "two processes hold the lease");

        let waiter = tokio::spawn({
            let store = store.clone();
            async move { store.lease("alice").await.unwrap() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        child.kill();
        let (machine, killed) = (Machine::watch(), Instant::now());
        drop(tokio::time::timeout(Duration::from_secs(30), waiter).await.unwrap().unwrap());
        // The file is looked at every 50 ms.
        machine.assert_took(killed.elapsed(), Duration::from_secs(2));
    }
}

#[tokio::test]
async fn eight_processes_lose_no_update() {
    for orders in ["count 50", "count-under-lease 10"] {
        let folder = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let children: Vec<_> = (0..8).map(|_| start(orders, folder.path())).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success(), "a child of {orders:?} failed");
        }
        let each: u64 = orders.split_once(' ').unwrap().1.parse().unwrap();
        let all = 8 * each;
        let counted = FileStore::new(folder.path()).load("counter").await.unwrap();
        assert_eq!(counted, Some(entry(all, all.to_string())), "{orders}");
        println!("{orders}, 8 processes: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn killed_writers_leave_no_partial_entry_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    let mut last = 0;
    for round in 0..40 {
        let mut writers = [start("write-forever 65536", folder.path()), start("write-forever 65536", folder.path())];
        writers.iter_mut().for_each(wait_until_ready);
        tokio::time::sleep(Duration::from_millis(time_to_kill(round))).await;
        for writer in &mut writers {
            writer.kill();
        }
        let begun = Instant::now();
        let held = store.load("written").await.unwrap().map_or((last, None), |held| (held.revision, Some(held.data)));
        assert!(held.0 >= last, "revision {} after {last}", held.0);
        if let Some(data) = held.1 {
            let byte = u8::try_from(held.0 % 251).unwrap();
            assert!(data.len() == 65536 && data.iter().all(|&is| is == byte), "a partial entry");
        }
        last = held.0 + 1;
        let byte = u8::try_from(last % 251).unwrap();
        store.save("written", &entry(last, vec![byte; 65536])).await.unwrap();
        // A lock that is held is waited for for ten seconds.
        assert!(begun.elapsed() < Duration::from_secs(9), "a lock outlived its holder: {:?}", begun.elapsed());
    }
    println!("80 writers killed, {last} revisions");
}

/// After how many milliseconds the writers of a round are killed: from 20 to 116.
fn time_to_kill(round: u64) -> u64 {
    20 + round * 23 % 97
}
