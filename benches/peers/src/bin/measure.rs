//! Measures, and prints the results as JSON.
//!
//! ```sh
//! measure times 1,2           # CPU time for a call, on these numbers of threads
//! measure stampede            # ten thousand tasks at once
//! measure times 1 huskarl     # of one contender alone
//! measure serve               # the token server
//! ```

use std::process::ExitCode;

use jwt_refresh_peers::peer::Contender;
use jwt_refresh_peers::peers;
use jwt_refresh_peers::server::{TokenServer, serve};
use jwt_refresh_peers::time::{Subject, Timing, Want, measure};
use jwt_refresh_peers::{Error, stampede};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Result<Runtime, Error> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// As many connections as there are tasks may be open at once.
fn allow_many_files() -> Result<(), Error> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Returns those that are named, or all.
fn contenders(names: &[String]) -> Vec<Contender> {
    let mut contenders = peers::all();
    contenders.retain(|contender| names.is_empty() || names.iter().any(|name| name == contender.name));
    contenders
}

fn times(
    threads: &str,
    contenders: &[Contender],
    server: &TokenServer,
    runtime: &Runtime,
) -> Result<Vec<Value>, Error> {
    let mut subjects = Vec::new();
    for contender in contenders {
        // A credential for each, so that one is not slow because the other has just been measured.
        for want in [Want::Token, Want::Header] {
            let peer = runtime.block_on(contender.ready(server))?;
            subjects.push(Subject::new(contender.name, want, peer));
        }
    }
    let mut rows = Vec::new();
    for threads in threads.split(',') {
        let threads = threads.parse()?;
        eprintln!("{threads} threads");
        for Timing { name, want, threads, median, rounds, dropped } in measure(&subjects, threads, runtime.handle()) {
            eprintln!("  {name:<20} {:<6} {median:8.2} ns   {rounds} rounds, {dropped} dropped", want.name());
            rows.push(json!({
                "name": name, "want": want.name(), "threads": threads,
                "nanos": median, "rounds": rounds, "dropped": dropped,
            }));
        }
    }
    Ok(rows)
}

async fn stampedes(contenders: &[Contender], server: &TokenServer) -> Result<Vec<Value>, Error> {
    let mut rows = Vec::new();
    for contender in contenders {
        let name = contender.name;
        rows.push(match stampede::measure(contender, server).await? {
            Err(reason) => json!({ "name": name, "left_out": reason }),
            Ok(stampede::Outcome { millis, refreshes, failed, rounds }) => {
                eprintln!("stampede: {name:<20} {millis:9.1} ms   {refreshes} refreshes, {failed} failed");
                json!({ "name": name, "millis": millis, "refreshes": refreshes, "failed": failed, "rounds": rounds })
            }
        });
    }
    Ok(rows)
}

fn run() -> Result<(), Error> {
    allow_many_files()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [what, rest @ ..] = arguments.as_slice() else { return Err("what is to be measured?".into()) };
    if what == "serve" {
        return runtime()?.block_on(serve());
    }
    // Features of several crates bring two of these, and then each wants to be told which.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = runtime()?;
    let (_process, server) = TokenServer::start()?;
    let results = match (what.as_str(), rest) {
        ("times", [threads, names @ ..]) => times(threads, &contenders(names), &server, &runtime)?,
        ("stampede", names) => runtime.block_on(stampedes(&contenders(names), &server))?,
        _ => return Err(format!("`{what}` is nothing that can be measured so").into()),
    };
    println!("{}", Value::from(results));
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
