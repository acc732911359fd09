//! Twelve API keys of three tiers behind one wrapper. A server limits each key by its calls and
//! by what they cost, and says so in its answers; the pool learns the limits from them. The keys of
//! the first tier serve as long as they can, the others help in a rush, and one key is revoked in
//! the middle of it.
//!
//! ```sh
//! cargo run --example key_pool
//! ```

mod completions;
mod server;

use std::io::{IsTerminal, Write, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use completions::{Completions, Error, Key};
use server::{Meter, Meters, Quota};

const SECOND: Duration = Duration::from_secs(1);

/// The tiers: their names, how early they serve, how many keys each has, and what each key may do
/// in a second.
const TIERS: [(&str, u8, usize, Quota); 3] = [
    ("gold", 0, 3, Quota { calls: 60, tokens: 16_000 }),
    ("silver", 1, 4, Quota { calls: 30, tokens: 12_000 }),
    ("bronze", 2, 5, Quota { calls: 10, tokens: 4_000 }),
];

/// How many callers there are in each phase, and how long it lasts.
const PHASES: [(&str, usize, Duration); 3] =
    [("quiet", 5, Duration::from_secs(2)), ("rush", 60, Duration::from_secs(4)), ("quiet", 5, Duration::from_secs(2))];

/// How long a caller thinks between two calls.
const THINKS: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (names, meters) = keys();
    let meters = Meters::new(meters);
    let server = meters.serve();
    let keys: Vec<_> = names
        .iter()
        .zip(&*meters.lock())
        .map(|((name, tier), meter)| Key { name: name.clone(), secret: meter.secret.as_str().into(), tier: *tier })
        .collect();
    let completions = Arc::new(Completions::new(server.base_url(), keys)?);
    println!("models: {}", completions.models().await?.join(", "));

    let mut screen = Screen { is_terminal: stdout().is_terminal(), lines: 0 };
    let (mut done, mut failed) = (0, 0);
    for (phase, (what, callers, time)) in PHASES.into_iter().enumerate() {
        let end = Instant::now() + time;
        let callers: Vec<_> = (0..callers).map(|id| tokio::spawn(call(Arc::clone(&completions), id, end))).collect();
        while Instant::now() < end {
            tokio::time::sleep(screen.pause()).await;
            screen.show(&format!("{what}, {} callers\n{}", callers.len(), table(&names, &meters)))?;
            // Somebody revokes a key in the middle of the rush.
            meters.lock()[1].is_revoked = phase > 0;
        }
        for caller in callers {
            let (ok, not) = caller.await?;
            (done, failed) = (done + ok, failed + not);
        }
    }
    let refused: u64 = meters.lock().iter().map(|meter| meter.refused).sum();
    println!("{}", completions.pool().status());
    println!("completions={done} failed={failed} answered_429={refused}");
    Ok(())
}

/// Returns the names and tiers of the keys, and what the server counts of them.
fn keys() -> (Vec<(String, u8)>, Vec<Meter>) {
    let keys = TIERS.into_iter().flat_map(|(name, tier, keys, quota)| {
        (1..=keys).map(move |number| {
            let name = format!("{name}-{number}");
            let secret = format!("secret-of-{name}");
            ((name, tier), Meter::new(secret, quota))
        })
    });
    keys.unzip()
}

/// Calls until `end`. Returns how many calls succeeded and how many failed.
async fn call(completions: Arc<Completions>, id: usize, end: Instant) -> (u64, u64) {
    let (mut succeeded, mut failed) = (0, 0);
    // Each caller has its own order of short and long completions.
    for longest in [100, 1200, 400, 900, 250].into_iter().cycle().skip(id) {
        if Instant::now() >= end {
            break;
        }
        match completions.complete("Say something about lamps", longest).await {
            Ok(completion) if !completion.text.is_empty() => succeeded += 1,
            _ => failed += 1,
        }
        tokio::time::sleep(THINKS).await;
    }
    (succeeded, failed)
}

/// Returns a table of what each key did in the last second, as the server saw it.
fn table(names: &[(String, u8)], meters: &Meters) -> String {
    let mut meters = meters.lock();
    let rows = names.iter().zip(meters.iter_mut()).map(|((name, tier), meter)| {
        meter.turn();
        let Meter { quota, last, refused, calls, .. } = meter;
        let state = if meter.is_revoked { "revoked" } else { "" };
        format!(
            "{name:<9} {tier:>4} {:>4} of {:>2} {:>6} of {:>6} {:>4} % {calls:>6} {refused:>4}  {state}",
            last.calls,
            quota.calls,
            last.tokens,
            quota.tokens,
            last.tokens * 100 / quota.tokens,
        )
    });
    let head = format!(
        "{:<9} {:>4} {:>10} {:>16} {:>6} {:>6} {:>4}",
        "key", "tier", "calls/s", "tokens/s", "", "calls", "429"
    );
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

/// Prints texts. On a terminal each text replaces the one before. Elsewhere they are printed less
/// often, one below the other.
struct Screen {
    is_terminal: bool,
    lines: usize,
}

impl Screen {
    fn pause(&self) -> Duration {
        if self.is_terminal { SECOND / 5 } else { SECOND }
    }

    fn show(&mut self, text: &str) -> std::io::Result<()> {
        let mut out = stdout();
        if self.is_terminal && self.lines > 0 {
            // Moves the cursor up to where the last text began, and clears the screen below.
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        self.lines = text.lines().count();
        writeln!(out, "{text}")?;
        out.flush()
    }
}
