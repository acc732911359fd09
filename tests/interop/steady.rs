//! Eight processes on one account: no 401, one renewal a lifetime, and no grant that ends.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::child::{Login, Orders, Place, Report};
use crate::scenario::{CLIENT, JWT, OPAQUE, SLIDING, Scenario, simplejwt};
use crate::server::{Rotation, Server, Stats};
use crate::support::{Process, RedisServer, child_command, until};

const PROCESSES: usize = 8;
/// How many lifetimes a test takes.
const LIFETIMES: u64 = 3;
/// A token of 10 s is renewed when at most 12 % of its life are left, and its `exp` may be rounded
/// down by a second.
const SHORTEST_BETWEEN: Duration = Duration::from_millis(7900);

/// Lets eight processes start at once on an empty store, and stops them after some lifetimes.
async fn call_together(scenario: Scenario, renewals: impl Fn(&Stats) -> u64) {
    let server = Server::start(scenario.software).await;
    call_together_by(Login::Description(scenario.path()), &server, scenario, None, renewals).await;
}

async fn call_together_by(
    login: Login,
    server: &Server,
    scenario: Scenario,
    other_api: Option<String>,
    renewals: impl Fn(&Stats) -> u64,
) {
    let folder = tempfile::tempdir().unwrap();
    let api = format!("{}{}", server.url(), scenario.api);
    let orders = Orders { login, api, other_api, store: Place::Folder(folder.path().to_owned()) };
    call_by(&orders, server, scenario, renewals).await;
}

/// Lets the processes follow these orders, and returns what the server and they have counted.
async fn call_by(
    orders: &Orders,
    server: &Server,
    scenario: Scenario,
    renewals: impl Fn(&Stats) -> u64,
) -> (Stats, Vec<Report>) {
    let begun = Instant::now();
    let children: Vec<_> = (0..PROCESSES).map(|_| start(orders, scenario, server)).collect();
    for number in 1..=LIFETIMES {
        until("the next renewal", async || renewals(&server.stats().await) >= number).await;
    }
    let (stats, elapsed) = (server.stats().await, begun.elapsed());
    let reports: Vec<Report> = children.into_iter().map(stop).collect();
    let end = server.stats().await;

    let failures: Vec<&String> = reports.iter().flat_map(|report| &report.failures).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(reports.iter().all(|report| report.calls > 0), "{reports:?}");
    let late: u64 = reports.iter().map(|report| report.rejected_late).sum();
    assert_eq!(reports.iter().map(|report| report.rejected).sum::<u64>(), 0, "{reports:?}");
    assert_eq!((end.rejected, end.refused, end.revoked_grants), (late, 0, 0), "{end:?}");
    let least = SHORTEST_BETWEEN * u32::try_from(renewals(&stats) - 1).unwrap();
    assert!(least <= elapsed, "{stats:?} in {elapsed:?}");
    if scenario.file != CLIENT.file {
        assert_eq!(end.logins, 1, "{end:?}");
    }
    (end, reports)
}

fn start(orders: &Orders, scenario: Scenario, server: &Server) -> Process {
    let mut command = child_command("child::follows_orders", &serde_json::to_string(orders).unwrap());
    command.env(scenario.url_variable, server.url()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap().into()
}

/// Lets a process end by itself, and returns what it reports.
fn stop(mut process: Process) -> Report {
    let child: &mut Child = &mut process;
    drop(child.stdin.take());
    let output = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    let report = output.lines().find_map(|line| serde_json::from_str(line).ok());
    report.unwrap_or_else(|| panic!("a process ended without a report: {output}"))
}

#[tokio::test]
async fn eight_processes_share_opaque_tokens_that_a_reuse_would_revoke() {
    call_together(OPAQUE, |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_jwts_that_a_reuse_would_revoke() {
    call_together(JWT, |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_a_login_in_one_browser() {
    let server = Server::start(JWT.software).await;
    call_together_by(Login::Browser(server.url()), &server, JWT, None, |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_two_access_tokens_of_a_login() {
    let server = Server::start(JWT.software).await;
    let files = Some(format!("{}/api/files", server.url()));
    // The first refresh gets the second token; then there are two in each lifetime.
    call_together_by(Login::Browser(server.url()), &server, JWT, files, |stats| stats.refreshes / 2).await;
}

/// Lets eight processes share tokens that are bound to a key, at a server that wants a nonce in
/// each proof. The API asks each process for one once, and the token endpoint at most once.
async fn prove_together(store: Place) {
    let server = Server::start(OPAQUE.software).await;
    let api = format!("{}{}", server.url(), OPAQUE.api);
    let orders = Orders { login: Login::Bound(server.url()), api, other_api: None, store };
    let (stats, reports) = call_by(&orders, &server, OPAQUE, |stats| stats.refreshes).await;
    assert!(reports.iter().all(|report| report.nonces == 1), "{reports:?}");
    assert!(stats.nonces <= 2 * reports.len() as u64, "{stats:?}");
}

#[tokio::test]
async fn eight_processes_share_tokens_that_are_bound_to_a_key_and_each_is_asked_once_for_a_nonce() {
    let folder = tempfile::tempdir().unwrap();
    prove_together(Place::Folder(folder.path().to_owned())).await;
}

#[tokio::test]
async fn eight_processes_share_tokens_that_are_bound_to_a_key_through_redis() {
    let redis = RedisServer::start().await;
    prove_together(Place::Redis(redis.url())).await;
}

#[tokio::test]
async fn eight_processes_share_the_tokens_of_client_credentials() {
    // The first login renews nothing.
    call_together(CLIENT, |stats| stats.logins.saturating_sub(1)).await;
}

#[tokio::test]
async fn eight_processes_share_tokens_whose_refresh_tokens_are_blacklisted() {
    call_together(simplejwt(Rotation::ReplacedAndBlacklisted), |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_tokens_whose_refresh_tokens_are_replaced_and_stay_good() {
    call_together(simplejwt(Rotation::Replaced), |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_tokens_whose_refresh_token_stays_the_same() {
    call_together(simplejwt(Rotation::Kept), |stats| stats.refreshes).await;
}

#[tokio::test]
async fn eight_processes_share_a_sliding_token() {
    call_together(SLIDING, |stats| stats.refreshes).await;
}
