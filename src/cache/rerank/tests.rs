use std::path::{Path, PathBuf};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use super::*;
use crate::cache::embed::tests::onnx;

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) fn config(path: &Path) -> Config {
    Config {
        path: path.to_owned(),
        band: (0.8, 0.95),
        accept: 0.5,
    }
}

struct Fake<F>(F);

impl<F: FnMut(&str, &str) -> Result<f32, String>> Model for Fake<F> {
    fn score(&mut self, one: &str, other: &str) -> Result<f32, String> {
        (self.0)(one, other)
    }
}

fn fake(score: impl FnMut(&str, &str) -> Result<f32, String> + Send + 'static) -> Reranker {
    let load = Box::new(move || Ok(Box::new(Fake(score)) as Box<dyn Model>));
    let reranker = Reranker::start_with(&config(Path::new("")), load).unwrap();
    settled(&reranker);
    reranker
}

pub(crate) fn settled(reranker: &Reranker) -> EmbedState {
    let end = patience();
    while reranker.state() == EmbedState::Loading {
        assert!(Instant::now() < end, "still loading");
        thread::yield_now();
    }
    reranker.state()
}

/// A directory with a cross-encoder that likes red and green and dislikes blue.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scores = onnx::WORDS.map(|word| match word {
        "red" | "green" => vec![3.0],
        "blue" => vec![-9.0],
        _ => vec![0.0],
    });
    onnx::write(folder.path(), &onnx::of_texts("logits", &scores));
    folder
}

/// An embedder's settings that name the library.
pub(crate) fn with_library(library: PathBuf) -> Embedder {
    Embedder {
        model: "m".into(),
        path: PathBuf::new(),
        library: Some(library),
        threads: 1,
        pooling: None,
        prefix: None,
        cache_bytes: 0,
    }
}

#[tokio::test]
async fn what_is_sure_enough_is_accepted() {
    let reranker = fake(|one, other| Ok(if one == other { 0.5 } else { 0.49 }));
    let look = reranker.look("a", "a", patience()).await.unwrap();
    assert!(look.accepted && (look.score - 0.5).abs() < f32::EPSILON);
    assert!(!reranker.look("a", "b", patience()).await.unwrap().accepted);
}

#[test]
fn only_what_is_neither_near_nor_far_deserves_the_second_look() {
    let reranker = fake(|_, _| Ok(1.0));
    let wanted = [0.79, 0.8, 0.9, 0.95, 0.951].map(|similarity| reranker.wanted(similarity));
    assert_eq!(wanted, [false, true, true, true, false]);
}

#[tokio::test]
async fn a_score_that_is_none_or_a_panic_is_a_failure_of_that_pair_alone() {
    let reranker = fake(|_, other| match other {
        "nan" => Ok(f32::NAN),
        "much" => Ok(1.5),
        "panic" => panic!("no such word"),
        _ => Ok(1.0),
    });
    for bad in ["nan", "much", "panic"] {
        let look = reranker.look("a", bad, patience()).await;
        assert!(
            matches!(look, Err(EmbedFailure::Failed(_))),
            "{bad}: {look:?}"
        );
    }
    assert!(reranker.look("a", "b", patience()).await.unwrap().accepted);
}

#[tokio::test]
async fn more_pairs_than_may_wait_are_refused_and_late_ones_given_up() {
    let (go, gate) = std_mpsc::channel::<()>();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let reranker = Arc::new(fake(move |one, _| {
        if one == "ready?" {
            return Ok(1.0);
        }
        begun.send(()).map_err(|error| error.to_string())?;
        gate.recv().map_err(|error| error.to_string())?;
        Ok(1.0)
    }));
    let ask = || {
        let reranker = Arc::clone(&reranker);
        tokio::spawn(async move { reranker.look("a", "b", patience()).await })
    };
    let mut asked = vec![ask()];
    begins.recv().await.unwrap();
    asked.extend((0..QUEUE).map(|_| ask()));
    while reranker.pairs.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = reranker.look("a", "b", patience()).await;
    assert_eq!(refused, Err(EmbedFailure::Busy));
    for _ in 0..=QUEUE {
        go.send(()).unwrap();
    }
    for look in asked {
        assert!(look.await.unwrap().unwrap().accepted);
    }
    let late = reranker.look("a", "b", Instant::now()).await;
    assert_eq!(late, Err(EmbedFailure::TimedOut));
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_accepts_nothing() {
    let load = Box::new(|| Err("no library".to_owned()));
    let reranker = Reranker::start_with(&config(Path::new("")), load).unwrap();
    assert_eq!(settled(&reranker), EmbedState::Failed("no library".into()));
    let look = reranker.look("a", "a", patience()).await;
    assert_eq!(look, Err(EmbedFailure::NotReady));
}

#[tokio::test]
async fn a_cross_encoder_in_a_directory_reads_both_texts() {
    let Some(library) = onnx::library() else {
        return;
    };
    let folder = folder();
    let reranker = Reranker::start(&config(folder.path()), &with_library(library)).unwrap();
    assert_eq!(settled(&reranker), EmbedState::Ready);
    for (one, other, accepted) in [
        ("red", "green", true),
        ("red", "blue", false),
        ("blue", "red", false),
    ] {
        let look = reranker.look(one, other, patience()).await.unwrap();
        assert_eq!(look.accepted, accepted, "{one} and {other}: {}", look.score);
    }
    // The mean of 3 and 3, through the logistic function.
    let look = reranker.look("red", "green", patience()).await.unwrap();
    assert!((look.score - 0.952_574).abs() < 1e-4, "{}", look.score);
}

#[test]
fn a_directory_without_a_model_and_one_with_another_kind_are_told() {
    let Some(library) = onnx::library() else {
        return;
    };
    let empty = tempfile::tempdir().unwrap();
    let error = Reranker::start(&config(empty.path()), &with_library(library.clone()));
    assert!(error.unwrap_err().to_string().contains("model.onnx"));
    let other = tempfile::tempdir().unwrap();
    onnx::write(other.path(), &onnx::of_tokens(&onnx::directions()));
    let reranker = Reranker::start(&config(other.path()), &with_library(library)).unwrap();
    let state = settled(&reranker);
    let EmbedState::Failed(why) = state else {
        panic!("{state:?}");
    };
    assert!(why.contains("logits"), "{why}");
}
