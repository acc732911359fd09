//! What a child process does: this test binary again, with its orders in the environment.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jwt_refresh::store::{FileStore, StoreErrorKind, TokenStore};

use crate::file::entry;

const ORDERS: &str = "JWT_REFRESH_STORES_CHILD";
const FOLDER: &str = "JWT_REFRESH_STORES_FOLDER";

/// Starts a child that follows `orders` on the store in `folder`.
pub(crate) fn start(orders: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::follows_orders", "--nocapture"]);
    command.env(ORDERS, orders).env(FOLDER, folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until `child` says that it is as far as its orders ask.
pub(crate) fn wait_until_ready(child: &mut Child) {
    let output = child.stdout.as_mut().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"READY") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap_or_else(|_| panic!("said only {}", String::from_utf8_lossy(&said)));
        said.extend(byte);
    }
}

fn ready() {
    print!("READY");
    std::io::stdout().flush().unwrap();
}

/// Does nothing when it is run as a test.
#[tokio::test(flavor = "current_thread")]
async fn follows_orders() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let store = FileStore::new(PathBuf::from(std::env::var_os(FOLDER).unwrap()));
    match orders.split_once(' ').unwrap_or((&orders, "")) {
        ("hold-lease", account) => {
            let _held = store.lease(account).await.unwrap();
            ready();
            std::future::pending::<()>().await;
        }
        ("count", times) => {
            ready();
            for _ in 0..times.parse().unwrap() {
                count(&store).await;
            }
        }
        ("count-under-lease", times) => {
            ready();
            for _ in 0..times.parse().unwrap() {
                let _held = store.lease("counter").await.unwrap();
                let held = store.load("counter").await.unwrap();
                let next = held.map_or(0, |held| held.revision) + 1;
                store.save("counter", &entry(next, next.to_string().as_bytes())).await.unwrap();
            }
        }
        ("write-forever", size) => {
            let size: usize = size.parse().unwrap();
            ready();
            loop {
                let held = store.load("written").await.unwrap();
                let next = held.map_or(0, |held| held.revision) + 1;
                let byte = u8::try_from(next % 251).unwrap();
                match store.save("written", &entry(next, &vec![byte; size])).await {
                    Err(error) if error.kind() != StoreErrorKind::Conflict => panic!("{error}"),
                    _ => {}
                }
            }
        }
        other => panic!("no such orders: {other:?}"),
    }
}

/// Adds 1 to the counter, as often as it takes.
async fn count(store: &FileStore) {
    loop {
        let held = store.load("counter").await.unwrap();
        let (revision, count) = held.map_or((0, 0), |held| {
            let count: u64 = std::str::from_utf8(&held.data).unwrap().parse().unwrap();
            (held.revision, count)
        });
        match store.save("counter", &entry(revision + 1, (count + 1).to_string().as_bytes())).await {
            Ok(()) => return,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}"),
        }
    }
}
