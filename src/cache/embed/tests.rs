use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// Far enough that only a hang reaches it.
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn config(threads: usize) -> Config {
    Config {
        model: "m".into(),
        path: PathBuf::from("/nowhere"),
        library: None,
        threads,
        pooling: None,
        prefix: None,
        cache_bytes: 0,
    }
}

struct Fake<F>(F);

impl<F: FnMut(&str) -> Result<Vec<f32>, String>> Model for Fake<F> {
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, String> {
        (self.0)(text)
    }
}

/// An embedder around a function, loaded and ready.
pub(crate) fn fake<F>(embed: F) -> Embedder
where
    F: Fn(&str) -> Result<Vec<f32>, String> + Send + Sync + Clone + 'static,
{
    let embedder = Embedder::start_with(
        &config(1),
        Arc::new(move || Ok(Box::new(Fake(embed.clone())))),
    )
    .unwrap();
    settled(&embedder);
    embedder
}

fn settled(embedder: &Embedder) -> EmbedState {
    let end = patience();
    while embedder.state() == EmbedState::Loading {
        assert!(Instant::now() < end, "still loading");
        thread::yield_now();
    }
    embedder.state()
}

/// The real model, where `TOLLGATE_MODELS` names a folder with `all-MiniLM-L6-v2`.
pub(crate) fn real() -> Option<Embedder> {
    let Some(folder) = std::env::var_os("TOLLGATE_MODELS") else {
        println!("skipped: no model (TOLLGATE_MODELS is not set)");
        return None;
    };
    let path = PathBuf::from(folder).join("all-MiniLM-L6-v2");
    let embedder = Embedder::start(&Config { path, ..config(1) }).unwrap();
    assert_eq!(settled(&embedder), EmbedState::Ready);
    Some(embedder)
}

fn length(v: &[f32]) -> f32 {
    v.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[tokio::test]
async fn a_text_becomes_its_vector() {
    let embedder = fake(|text| Ok(vec![text.len() as f32, 1.0]));
    let vector = embedder.embed("four", patience()).await.unwrap();
    assert_eq!(&*vector, [4.0, 1.0]);
}

#[tokio::test]
async fn a_model_that_panics_fails_that_text_and_no_other() {
    let embedder = fake(|text| {
        if text == "bad" {
            panic!("no such word")
        } else {
            Ok(vec![1.0])
        }
    });
    let failure = embedder.embed("bad", patience()).await.unwrap_err();
    assert_eq!(failure, EmbedFailure::Failed("panic: no such word".into()));
    assert!(embedder.embed("good", patience()).await.is_ok());
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_told_and_never_waited_for() {
    let panics: Arc<Load> = Arc::new(|| panic!("no library"));
    let refuses: Arc<Load> = Arc::new(|| Err("no library".into()));
    for (load, want) in [(panics, "panic: no library"), (refuses, "no library")] {
        let embedder = Embedder::start_with(&config(2), load).unwrap();
        assert_eq!(settled(&embedder), EmbedState::Failed(want.into()));
        assert_eq!(
            embedder.embed("text", patience()).await,
            Err(EmbedFailure::NotReady)
        );
    }
}

#[tokio::test]
async fn while_the_model_loads_nobody_waits() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let load: Arc<Load> = Arc::new(move || {
        wait.lock()
            .recv()
            .map(|()| unreachable!())
            .map_err(|_| "cancelled".into())
    });
    let embedder = Embedder::start_with(&config(1), load).unwrap();
    assert_eq!(embedder.state(), EmbedState::Loading);
    assert_eq!(
        embedder.embed("text", patience()).await,
        Err(EmbedFailure::NotReady)
    );
    drop(go);
    assert_eq!(settled(&embedder), EmbedState::Failed("cancelled".into()));
}

/// An embedder whose model waits for the returned sender before each text, and tells the receiver that it has begun.
fn gated() -> (Embedder, mpsc::Sender<()>, mpsc::Receiver<String>) {
    let (go, gate) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    let begun = Arc::new(Mutex::new(begun));
    let embedder = fake(move |text| {
        begun
            .lock()
            .send(text.to_owned())
            .map_err(|e| e.to_string())?;
        gate.lock().recv().map_err(|e| e.to_string())?;
        Ok(vec![1.0])
    });
    (embedder, go, begins)
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_timeout() {
    let (embedder, go, begins) = gated();
    let deadline = Instant::now() + Duration::from_millis(1);
    assert_eq!(
        embedder.embed("slow", deadline).await,
        Err(EmbedFailure::TimedOut)
    );
    drop((go, begins));
}

#[tokio::test]
async fn more_texts_than_the_queue_holds_are_refused_at_once() {
    let (embedder, go, begins) = gated();
    let embedder = Arc::new(embedder);
    let ask = |text: &'static str| {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(text, patience()).await })
    };
    let mut asked = vec![ask("first")];
    tokio::task::yield_now().await;
    begins.recv().unwrap();
    for _ in 0..QUEUE_PER_THREAD {
        asked.push(ask("next"));
    }
    while embedder.waiting() < QUEUE_PER_THREAD {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        embedder.embed("one too many", patience()).await,
        Err(EmbedFailure::Busy)
    );

    // A client that leaves makes room for another.
    asked.pop().unwrap().abort();
    tokio::task::yield_now().await;
    asked.push(ask("instead"));
    tokio::task::yield_now().await;
    for _ in 0..asked.len() {
        go.send(()).unwrap();
    }
    for task in asked {
        assert!(task.await.unwrap().is_ok());
    }
    assert_eq!(embedder.waiting(), 0);
}

#[test]
fn the_threads_end_with_the_embedder() {
    let embedder = fake(|_| Ok(vec![1.0]));
    let shared = Arc::downgrade(&embedder.shared);
    drop(embedder);
    let end = patience();
    while shared.strong_count() > 0 {
        assert!(Instant::now() < end, "a thread still runs");
        thread::yield_now();
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        path: folder.path().to_owned(),
        ..config(1)
    };
    let error = Embedder::start(&config).unwrap_err().to_string();
    assert!(
        error.contains("model.onnx") && error.contains("setup-embedder"),
        "{error}"
    );

    for name in [
        "model.onnx",
        "tokenizer.json",
        "config.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ] {
        std::fs::write(folder.path().join(name), "{}").unwrap();
    }
    config.library = Some(folder.path().join("nothing.so"));
    let error = Embedder::start(&config).unwrap_err().to_string();
    assert!(
        error.contains("nothing.so") && error.contains("ORT_DYLIB_PATH"),
        "{error}"
    );
    config.library = Some(folder.path().to_owned());
    assert!(
        Embedder::start(&config)
            .unwrap_err()
            .to_string()
            .contains("not a file")
    );
}

#[tokio::test]
async fn the_real_model_knows_two_like_questions() {
    let Some(embedder) = real() else { return };
    let a = embedder
        .embed("How do I reset my password?", patience())
        .await
        .unwrap();
    let b = embedder
        .embed("How can I change my password?", patience())
        .await
        .unwrap();
    let cosine: f32 = a.iter().zip(&*b).map(|(x, y)| x * y).sum();
    assert_eq!(a.len(), 384);
    assert!((length(&a) - 1.0).abs() < 1e-3);
    assert!((0.84..0.89).contains(&cosine), "{cosine}");
}

#[tokio::test]
async fn the_real_model_gives_a_text_the_same_vector_whatever_waits_beside_it() {
    let Some(embedder) = real() else { return };
    let alone = embedder
        .embed("How do I reset my password?", patience())
        .await
        .unwrap();
    let long = "why ".repeat(200);
    let (beside, other) = tokio::join!(
        embedder.embed("How do I reset my password?", patience()),
        embedder.embed(&long, patience())
    );
    assert_eq!(alone, beside.unwrap());
    assert!(other.is_ok());
}

#[test]
fn files_that_are_no_model_and_no_library_are_an_error_and_not_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in [
        "model.onnx",
        "tokenizer.json",
        "config.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ] {
        std::fs::write(path(name), "{}").unwrap();
    }
    std::fs::write(path("libonnxruntime.so"), "not a library").unwrap();
    let config = Config {
        path: folder.path().to_owned(),
        ..config(2)
    };
    let state = settled(&Embedder::start(&config).unwrap());
    assert!(matches!(state, EmbedState::Failed(_)), "{state:?}");
}
