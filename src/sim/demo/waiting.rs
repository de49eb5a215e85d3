//! Waits for what takes a moment to start, with a moving line for the person who waits as well.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::LOOK_EVERY;
use super::ask::Asker;

/// Tollgate listens well within this, or not at all.
const START_LIMIT: Duration = Duration::from_secs(20);
/// A small model is loaded well within this even on a slow disk.
const EMBEDDER_LIMIT: Duration = Duration::from_secs(60);

/// Waits until Tollgate takes requests.
///
/// # Errors
/// That it did not within the limit.
pub(super) async fn ready(asker: &Asker) -> Result<(), String> {
    let _shown = Waiting::for_what("starting Tollgate");
    let end = Instant::now() + START_LIMIT;
    while !asker.is_ready().await {
        if Instant::now() > end {
            return Err(format!("tollgate was not ready within {START_LIMIT:?}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Waits until questions are embedded.
///
/// # Errors
/// Why they will not be.
pub(super) async fn meaning(asker: &Asker, cache: &str) -> Result<(), String> {
    let _shown = Waiting::for_what("loading the sentence model");
    let end = Instant::now() + EMBEDDER_LIMIT;
    loop {
        match asker.cache_view(cache).await.embedder.as_str() {
            "ready" => return Ok(()),
            "loading" | "" if Instant::now() < end => {}
            "loading" | "" => {
                return Err(format!(
                    "the sentence model was not loaded within {EMBEDDER_LIMIT:?}"
                ));
            }
            "missing" => {
                return Err(
                    "there is no sentence model (scripts/setup-embedder makes one)".to_owned(),
                );
            }
            failed => return Err(format!("the sentence model: {failed}")),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A moving line on a terminal while something is awaited; gone when dropped.
struct Waiting(ProgressBar);

impl Waiting {
    fn for_what(what: &'static str) -> Self {
        // Draws nothing where standard error is no terminal.
        let bar = ProgressBar::new_spinner();
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(80));
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
