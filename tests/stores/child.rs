//! What a child process does with a file store.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jwt_refresh::store::{FileStore, StoreErrorKind, TokenStore};

use crate::support::{Process, child_command, entry, increment, orders};

/// The environment variable in which a child process finds the folder of the store.
const FOLDER: &str = "JWT_REFRESH_TEST_FOLDER";

/// A command that follows `orders` on the store in `folder`.
pub(crate) fn command(orders: &str, folder: &Path) -> Command {
    let mut command = child_command("child::follows_orders", orders);
    command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Starts a child process that follows `orders` on the store in `folder`.
pub(crate) fn start(orders: &str, folder: &Path) -> Process {
    command(orders, folder).spawn().unwrap().into()
}

/// Waits until `child` has begun to follow its orders.
pub(crate) fn wait_until_ready(child: &mut Process) {
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

#[tokio::test(flavor = "current_thread")]
#[ignore = "runs as a child process of other tests"]
async fn follows_orders() {
    let Some(orders) = orders() else { return };
    let store = FileStore::new(PathBuf::from(std::env::var_os(FOLDER).unwrap()));
    match orders.split_once(' ').unwrap_or((&orders, "")) {
        ("hold-lease", account) => {
            let _held = store.lease(account).await.unwrap();
            ready();
            std::future::pending::<()>().await;
        }
        ("save", account) => match store.save(account, &entry(1, b"1")).await {
            Ok(()) => println!("SAVED {:?}", store.load(account).await),
            Err(error) => println!("FAILED {:?}: {error}", error.kind()),
        },
        ("count", times) => {
            ready();
            for _ in 0..times.parse().unwrap() {
                increment(&store, "counter").await;
            }
        }
        ("count-under-lease", times) => {
            ready();
            for _ in 0..times.parse().unwrap() {
                let _held = store.lease("counter").await.unwrap();
                let held = store.load("counter").await.unwrap();
                let next = held.map_or(0, |held| held.revision) + 1;
                store.save("counter", &entry(next, next.to_string())).await.unwrap();
            }
        }
        ("write-forever", size) => {
            let size: usize = size.parse().unwrap();
            ready();
            loop {
                let held = store.load("written").await.unwrap();
                let next = held.map_or(0, |held| held.revision) + 1;
                let byte = u8::try_from(next % 251).unwrap();
                match store.save("written", &entry(next, vec![byte; size])).await {
                    Err(error) if error.kind() != StoreErrorKind::Conflict => panic!("{error}"),
                    _ => {}
                }
            }
        }
        other => panic!("unknown orders: {other:?}"),
    }
}
