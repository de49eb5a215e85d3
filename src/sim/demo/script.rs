//! What is asked, in order.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::sim::SimServer;
use crate::sim::server::Fault;

use super::LOOK_EVERY;
use super::ask::Asker;
use super::ask::Form::{self, Json, Stream};
use super::engines;
use super::table::Screen;
use super::tally::{Seen, Tally};

/// A question, how its answer is asked for, and the length of the answer in tokens.
type Ask = (&'static str, Form, u32);

const AT_ONCE: [Ask; 6] = [
    ("How do I reset my password?", Stream, 48),
    ("What is the capital of France?", Stream, 32),
    ("Why is the sky blue?", Stream, 64),
    ("How do I bake sourdough bread?", Stream, 72),
    ("What does TCP slow start do?", Stream, 56),
    ("Who invented the telescope?", Stream, 40),
];
const AGAIN: [Ask; 3] = [
    ("How do I reset my password?", Stream, 48),
    ("Why is the sky blue?", Stream, 64),
    ("Why is the sky blue?", Json, 64),
];
const OTHER_WORDS: [Ask; 3] = [
    ("How can I change my password?", Stream, 48),
    ("Which city is France's capital?", Json, 32),
    ("How do I delete my account?", Stream, 40),
];
const JSON_FIRST: [Ask; 2] = [
    ("How far away is the moon?", Json, 48),
    ("How far away is the moon?", Stream, 48),
];
const WHILE_ONE_REFUSES: [Ask; 2] = [
    ("What causes the tides?", Stream, 48),
    ("How do vaccines work?", Json, 48),
];

/// Questions are indexed in the background, a moment after their answers.
const INDEX_LIMIT: Duration = Duration::from_secs(5);
/// The end of a child is noticed well within this.
const NOTICE: Duration = Duration::from_millis(200);

/// Asks everything and shows each answer as it is complete. `semantic` is the cache that serves by meaning, if one is ready.
pub(super) async fn play(
    asker: &Asker,
    engines: &[SimServer],
    semantic: Option<&str>,
    screen: &mut Screen,
) -> Tally {
    let mut tally = Tally::default();
    screen.head();
    screen.title(
        "Six questions at once",
        "least_tokens spreads them by the engines' weights",
    );
    at_once(asker, &AT_ONCE, screen, &mut tally).await;

    screen.title(
        "The same again",
        "the stored stream is replayed as a stream or as JSON",
    );
    in_turn(asker, &AGAIN, screen, &mut tally).await;

    if let Some(cache) = semantic {
        indexed(asker, cache, AT_ONCE.len() as u64).await;
        screen.title(
            "In other words",
            "close enough in meaning is answered, another question is not",
        );
        in_turn(asker, &OTHER_WORDS, screen, &mut tally).await;
    }

    screen.title("JSON first", "a stored JSON answer is replayed as a stream");
    in_turn(asker, &JSON_FIRST, screen, &mut tally).await;

    if let Some(first) = engines.first() {
        screen.title(
            &format!("{} refuses", engines::name(0)),
            "each connection is reset; the request goes to another engine",
        );
        first.plant(Some(Fault::Refuse), None);
        in_turn(asker, &WHILE_ONE_REFUSES, screen, &mut tally).await;
        first.plant(None, None);
    }
    tally
}

async fn in_turn(asker: &Asker, asks: &[Ask], screen: &mut Screen, tally: &mut Tally) {
    for (question, form, tokens) in asks.iter().copied() {
        let answer = asker.ask(question, form, tokens).await;
        show(
            Seen {
                question,
                form,
                answer,
            },
            screen,
            tally,
        )
        .await;
    }
}

async fn at_once(asker: &Asker, asks: &[Ask], screen: &mut Screen, tally: &mut Tally) {
    let mut open = JoinSet::new();
    for (question, form, tokens) in asks.iter().copied() {
        let asker = asker.clone();
        open.spawn(async move {
            Seen {
                question,
                form,
                answer: asker.ask(question, form, tokens).await,
            }
        });
    }
    while let Some(ended) = open.join_next().await {
        // A task ends only by its answer; were it to panic, its row would be missing and said to be.
        if let Ok(seen) = ended {
            show(seen, screen, tally).await;
        }
    }
}

async fn show(seen: Seen, screen: &mut Screen, tally: &mut Tally) {
    screen.row(seen.question, seen.form, &seen.answer);
    if seen.answer.is_err() {
        // Most often Tollgate has ended, and whoever watches it is about to say so.
        tokio::time::sleep(NOTICE).await;
    }
    tally.add(seen);
}

/// Waits until that many questions can be found by meaning. When it takes too long, the table will tell.
async fn indexed(asker: &Asker, cache: &str, questions: u64) {
    let end = Instant::now() + INDEX_LIMIT;
    while asker.cache_view(cache).await.vectors < questions && Instant::now() < end {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
