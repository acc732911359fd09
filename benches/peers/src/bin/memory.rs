//! Counts bytes and allocations, and prints them as JSON.

use std::process::ExitCode;

use allocation_counter::measure;
use jwt_refresh_peers::memory::{CALLS, CREDENTIALS, FIRST, credentials};
use jwt_refresh_peers::peer::Contender;
use jwt_refresh_peers::server::{Manner, TokenServer};
use jwt_refresh_peers::{Error, peers};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

fn count(contender: &Contender, server: &TokenServer, runtime: &Runtime) -> Result<Value, Error> {
    let first = runtime.block_on(credentials(contender, server, FIRST))?;
    let [peer, ..] = first.as_slice() else { return Err("no credential".into()) };
    runtime.block_on(peer.header(1));
    let calls = measure(|| runtime.block_on(peer.header(CALLS)));
    let allocations = calls.count_total / u64::from(CALLS);
    if !contender.has_credential {
        return Ok(json!({ "name": contender.name, "allocations": allocations }));
    }
    let mut made = Ok(Vec::new());
    let bytes = measure(|| made = runtime.block_on(credentials(contender, server, CREDENTIALS))).bytes_current;
    made?;
    let each = bytes / i64::try_from(CREDENTIALS)?;
    eprintln!("{:<20} {each:>8} bytes each, {allocations} allocations for a header", contender.name);
    Ok(json!({ "name": contender.name, "bytes": each, "allocations": allocations }))
}

fn run() -> Result<(), Error> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (_process, server) = TokenServer::start()?;
    runtime.block_on(server.set(Manner { close: true, ..Manner::default() }))?;
    let rows =
        peers::all().iter().map(|contender| count(contender, &server, &runtime)).collect::<Result<Vec<_>, _>>()?;
    println!("{}", Value::from(rows));
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
