//! Ten thousand tasks at once, whose token has expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::peer::{Contender, Peer, Stampede};
use crate::server::{Manner, TokenServer};
use crate::time::median;

const TASKS: usize = 10_000;
const ROUNDS: usize = 5;
/// One that takes longer is not repeated.
const SLOW: Duration = Duration::from_secs(2);
/// How long the server thinks, in milliseconds.
const DELAY: u64 = 5;

pub struct Outcome {
    /// Milliseconds until all tasks had their answer: the median of the rounds.
    pub millis: f64,
    /// How often the server was asked, in the round where that was most.
    pub refreshes: u64,
    /// How many tasks got an error, in the round where that was most.
    pub failed: usize,
    pub rounds: usize,
}

/// Returns a credential whose token has expired.
async fn expired(contender: &Contender, server: &TokenServer) -> Result<Arc<dyn Peer>, Error> {
    server.set(Manner { lifetime: 1, ..Manner::default() }).await?;
    let peer = contender.ready(server).await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    Ok(peer)
}

async fn round(contender: &Contender, server: &TokenServer) -> Result<(Duration, u64, usize), Error> {
    let slow = Manner { delay: DELAY, ..Manner::default() };
    let peer = match contender.stampede {
        Stampede::NoneYet => {
            server.set(slow).await?;
            None
        }
        _ => Some(expired(contender, server).await?),
    };
    server.set(slow).await?;
    let before = server.answers().await?;
    let start = Instant::now();
    let peer = match peer {
        Some(peer) => peer,
        None => contender.make(server).await?,
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(Arc::clone(&peer).once())).collect();
    let mut failed = 0;
    for task in tasks {
        failed += usize::from(task.await?.is_err());
    }
    let took = start.elapsed();
    Ok((took, server.answers().await? - before, failed))
}

/// Measures a contender, or says why not.
pub async fn measure(contender: &Contender, server: &TokenServer) -> Result<Result<Outcome, &'static str>, Error> {
    if let Stampede::Left(reason) = contender.stampede {
        return Ok(Err(reason));
    }
    let (mut times, mut refreshes, mut failed) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let (took, asked, errors) = round(contender, server).await?;
        times.push(took.as_secs_f64() * 1e3);
        refreshes = refreshes.max(asked);
        failed = failed.max(errors);
        if took > SLOW {
            break;
        }
    }
    server.set(Manner::default()).await?;
    let rounds = times.len();
    Ok(Ok(Outcome { millis: median(times), refreshes, failed, rounds }))
}
