//! The other ends of `scripts/bench`: an upstream that answers at a set pace, and clients that wrk cannot be.
//!
//! Each runs on one thread and does as little as it can, so that one core carries both ends.

mod http;
mod paced;
mod streams;
mod upstream;

use std::io;

use clap::Parser;

#[derive(Parser)]
#[command(about = "The other ends of scripts/bench", long_about = None)]
enum Command {
    /// Answers requests as their header `x-bench` asks: `down=BYTES`, `sse=MILLISECONDS` between events, else with the JSON
    /// of a chat completion.
    Upstream(upstream::Args),
    /// Holds streams and counts their events. Prints `ready` when each has had its first event, and after the time of the
    /// measurement `window EVENTS SECONDS`.
    Streams(streams::Args),
    /// Sends requests at random times of a set rate, whatever became of those before. Prints `paced REQUESTS P50 P99 P999 LATE`,
    /// times in microseconds; LATE is the p99 of how much later than planned this program itself began.
    Paced(paced::Args),
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match Command::parse() {
            Command::Upstream(args) => upstream::run(args).await,
            Command::Streams(args) => streams::run(args).await,
            Command::Paced(args) => paced::run(args).await,
        }
    })
}
