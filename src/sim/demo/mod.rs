//! `tollgate demo`: engines, Tollgate in front of them, real requests, and a table of what came back.
//!
//! The engines live in this process, Tollgate is a child with the configuration of the demo, as an operator would run it.
//! Where everything listens comes from that configuration too, so the demo and the child cannot disagree.

mod ask;
mod child;
mod engines;
mod hints;
mod read;
mod script;
mod table;
mod tally;
mod waiting;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::sim::SimServer;

use ask::Asker;
use child::Tollgate;
use table::Screen;

/// Flags of `tollgate demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// The configuration to run: one pool, whose peers are the addresses of the simulated engines
    #[arg(short, long, default_value = "conf/demo.yaml")]
    pub config: PathBuf,
    /// End after the table; exit 0 only if every kind of answer was seen
    #[arg(long)]
    pub once: bool,
}

/// What the demo has to know of its configuration.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where Tollgate takes requests.
    pub listen: SocketAddr,
    /// Its admin listener.
    pub admin: SocketAddr,
    /// Addresses of the engines and their weights. An engine is as fast as its weight says.
    pub engines: Vec<(SocketAddr, f64)>,
    /// The cache that serves by meaning, if one does.
    pub semantic: Option<String>,
    /// How long Tollgate may take to end.
    pub grace: Duration,
}

/// How often something awaited is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How a showing ended.
enum Ended {
    /// Everything was shown; what was missing, if anything.
    Shown(Vec<String>),
    /// A signal came before the table was complete.
    Interrupted,
    /// Something could not be had, in one line.
    Failed(String),
}

/// Runs the demo: with `--once` until the table is complete, else until Ctrl-C. Fails when something cannot be started, and
/// with `--once` also when a kind of answer was not seen.
pub fn run(args: &DemoArgs, site: &Site) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start a runtime: {error}")),
    };
    match runtime.block_on(stage(args, site)) {
        Ended::Shown(_) => ExitCode::SUCCESS,
        Ended::Interrupted => fail("interrupted"),
        Ended::Failed(reason) => fail(&reason),
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("tollgate demo: {reason}");
    ExitCode::FAILURE
}

/// Starts everything, shows it, and ends everything, whichever way the showing went.
async fn stage(args: &DemoArgs, site: &Site) -> Ended {
    // Caught from the beginning: a signal must not leave the child behind.
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return Ended::Failed(format!("cannot listen for signals: {error}")),
    };
    let engines = match engines::start(&site.engines).await {
        Ok(engines) => engines,
        Err(reason) => return Ended::Failed(reason),
    };
    for address in [site.listen, site.admin] {
        // The child would say so as well, but only in its log.
        if let Err(error) = TcpListener::bind(address) {
            return Ended::Failed(cannot_listen(address, &error));
        }
    }
    let mut tollgate = match Tollgate::start(&args.config) {
        Ok(tollgate) => tollgate,
        Err(reason) => return Ended::Failed(reason),
    };
    let log = tollgate.log().to_owned();
    let mut shown = None;
    let ended = tokio::select! {
        ended = show(args, site, &engines, &log, &mut shown) => ended,
        status = tollgate.ended() => Ended::Failed(format!("tollgate ended by itself ({status})")),
        () = stop => Ended::Interrupted,
    };
    tollgate.stop(site.grace).await;
    let ended = match (ended, shown) {
        // Ctrl-C is the way out once the table has been shown.
        (Ended::Interrupted, Some(missing)) => Ended::Shown(missing),
        (ended, _) => ended,
    };
    match ended {
        Ended::Failed(reason) => Ended::Failed(child::with_log(&reason, &log)),
        Ended::Shown(missing) if args.once && !missing.is_empty() => {
            Ended::Failed(child::with_log(&missing.join("; "), &log))
        }
        ended => {
            // Nothing went wrong that it could explain.
            let _ = std::fs::remove_file(&log);
            ended
        }
    }
}

/// Shows the table, and without `--once` how to go on. `shown` gets what was missing as soon as the table is complete.
async fn show(
    args: &DemoArgs,
    site: &Site,
    engines: &[SimServer],
    log: &Path,
    shown: &mut Option<Vec<String>>,
) -> Ended {
    let (asker, mut screen) = (Asker::new(site), Screen::new());
    hints::opening(&mut screen, site);
    if let Err(reason) = waiting::ready(&asker).await {
        return Ended::Failed(reason);
    }
    let without_meaning = match &site.semantic {
        None => Some("the configuration has no semantic cache".to_owned()),
        Some(cache) => waiting::meaning(&asker, cache).await.err(),
    };
    let semantic = match without_meaning {
        None => site.semantic.as_deref(),
        Some(why) => {
            screen.warn(&format!("semantic hits are left out: {why}"));
            None
        }
    };
    let tally = script::play(&asker, engines, semantic, &mut screen).await;
    let missing = tally.missing();
    tally.summary(&mut screen, asker.saved_tokens().await);
    if args.once {
        return Ended::Shown(missing);
    }
    for what in &missing {
        screen.warn(what);
    }
    hints::closing(&mut screen, site, log);
    *shown = Some(missing);
    // Only a signal or the end of the child ends this.
    std::future::pending().await
}

/// Ends with the first Ctrl-C, SIGTERM or SIGHUP.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "cannot listen on {address}: {error} (conf/demo.yaml names the variables that move its ports)"
    )
}
