//! `tollgate load`: requests at set times, and what became of them.
//!
//! The loop is open: when a request is sent never depends on an answer, and its times count from when it should have been
//! sent. So a slow target shows its queue instead of slowing the clients down. The generator says when it was late
//! itself.

mod answer;
mod args;
mod body;
mod client;
mod durations;
mod progress;
mod report;
mod schedule;
mod tally;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use args::LoadArgs;
pub use report::Report;

use client::Sender;
use progress::Progress;
use schedule::Schedule;
use tally::Tally;

/// What a run knows while it goes on.
struct Live {
    tally: Tally,
    max_in_flight: u64,
}

/// Sends everything and waits for every answer. Ctrl-C ends both early, and the report says what is unfinished.
///
/// # Errors
/// What is wrong with the flags or their files, in one line.
pub async fn drive(args: &LoadArgs) -> Result<Report, String> {
    let sender = Sender::new(args)?;
    let schedule = schedule::schedule(args)?;
    let tally = Tally::new(args.goodput_ttft).map_err(|error| error.to_string())?;
    let live = Arc::new(Mutex::new(Live {
        tally,
        max_in_flight: 0,
    }));
    let (start, progress) = (Instant::now(), Progress::new());
    let mut requests = JoinSet::new();
    let schedule_error = {
        let all = async {
            let error = send_all(schedule, start, &sender, &live, &mut requests)
                .await
                .err();
            while requests.join_next().await.is_some() {}
            error
        };
        tokio::select! {
            error = all => error,
            () = show(&progress, start, &live) => None,
            _ = tokio::signal::ctrl_c() => None,
        }
    };
    let elapsed = start.elapsed();
    drop(requests);
    progress.clear();
    let live = live.lock();
    let (tally, max_in_flight) = (live.tally.clone(), live.max_in_flight);
    let target = sender.target();
    Ok(Report {
        target,
        tally,
        elapsed,
        max_in_flight,
        good_within: args.goodput_ttft,
        schedule_error,
    })
}

/// Sends each request at its time.
///
/// # Errors
/// The first entry of the schedule that cannot be read.
async fn send_all(
    schedule: Schedule,
    start: Instant,
    sender: &Arc<Sender>,
    live: &Arc<Mutex<Live>>,
    requests: &mut JoinSet<()>,
) -> Result<(), String> {
    for item in schedule {
        let item = item?;
        let scheduled = start + item.at;
        if scheduled > Instant::now() {
            tokio::time::sleep_until(scheduled).await;
        } else {
            // A generator that is behind must still let its answers be read.
            tokio::task::yield_now().await;
        }
        {
            let mut live = live.lock();
            live.tally.sent(scheduled.elapsed());
            let in_flight = live.tally.sent - live.tally.ended_count();
            live.max_in_flight = live.max_in_flight.max(in_flight);
        }
        let (sender, live) = (sender.clone(), live.clone());
        requests.spawn(async move {
            let sample = sender.send(item, scheduled).await;
            live.lock().tally.ended(sample);
        });
        // Those that are done leave at once, or the set would grow with the run.
        while requests.try_join_next().is_some() {}
    }
    Ok(())
}

async fn show(progress: &Progress, start: Instant, live: &Mutex<Live>) {
    let mut ticks = tokio::time::interval_at(start + progress.every(), progress.every());
    loop {
        ticks.tick().await;
        progress.show(start.elapsed(), &live.lock().tally);
    }
}

/// The exit status for flags or files that cannot be used.
const BAD_USAGE: u8 = 64;

/// Runs `tollgate load`: the report goes to standard output. Fails when nothing reached its target, or when the schedule
/// could not be read to its end; 64 when the flags or their files cannot be used.
pub fn run(args: LoadArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start a runtime: {error}")),
    };
    match runtime.block_on(drive(&args)) {
        Ok(report) => {
            if args.json {
                println!("{}", report.document());
            } else {
                print!("{}", report.text());
            }
            if report.reached() && report.schedule_error.is_none() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            fail(&error);
            ExitCode::from(BAD_USAGE)
        }
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("tollgate load: {reason}");
    ExitCode::FAILURE
}
