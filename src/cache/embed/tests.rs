use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

mod folders;
pub(crate) mod onnx;

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
        cache_bytes: 1 << 20,
    }
}

struct Fake<F>(F);

impl<F: FnMut(&[&str]) -> Result<Vec<Vec<f32>>, String>> Model for Fake<F> {
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
        (self.0)(texts)
    }
}

fn started<F>(config: &Config, embed: F) -> Embedder
where
    F: Fn(&[&str]) -> Result<Vec<Vec<f32>>, String> + Send + Sync + Clone + 'static,
{
    let load = move || {
        Ok(Loaded {
            model: Box::new(Fake(embed.clone())),
            id: [1; 32],
        })
    };
    let embedder = Embedder::start_with(config, Arc::new(load)).unwrap();
    settled(&embedder);
    embedder
}

/// An embedder around a function, loaded and ready.
pub(crate) fn fake<F>(embed: F) -> Embedder
where
    F: Fn(&str) -> Result<Vec<f32>, String> + Send + Sync + Clone + 'static,
{
    let tries = HashSet::from(batches::TEXTS);
    started(&config(1), move |texts| {
        // What the first run tries is none of the test's texts: whatever the function says of them will do.
        let own = |text: &&str| match embed(text) {
            Err(_) if tries.contains(text) => Ok(vec![1.0]),
            result => result,
        };
        texts.iter().map(own).collect()
    })
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
    named("all-MiniLM-L6-v2")
}

fn named(model: &str) -> Option<Embedder> {
    let folder = std::env::var_os("TOLLGATE_MODELS").map(PathBuf::from);
    let Some(path) = folder
        .map(|folder| folder.join(model))
        .filter(|path| path.exists())
    else {
        println!("skipped: TOLLGATE_MODELS names no folder with {model}");
        return None;
    };
    let config = Config {
        path,
        cache_bytes: 0,
        ..config(1)
    };
    let embedder = Embedder::start(&config).unwrap();
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
    let tries = HashSet::from(batches::TEXTS);
    let embedder = fake(move |text| {
        if tries.contains(text) {
            return Ok(vec![1.0]);
        }
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
    let ask = |text: &str| {
        let (embedder, text) = (embedder.clone(), text.to_owned());
        tokio::spawn(async move { embedder.embed(&text, patience()).await })
    };
    let mut asked = vec![ask("first")];
    tokio::task::yield_now().await;
    begins.recv().unwrap();
    for n in 0..QUEUE_PER_THREAD {
        asked.push(ask(&format!("next {n}")));
    }
    while embedder.stats().waiting < QUEUE_PER_THREAD {
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
    assert_eq!(embedder.stats().waiting, 0);
}

#[tokio::test]
async fn a_text_asked_for_many_times_at_once_is_computed_once() {
    let (embedder, go, begins) = gated();
    let embedder = Arc::new(embedder);
    let ask = |text: &'static str| {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(text, patience()).await })
    };
    let asked: Vec<_> = (0..100)
        .map(|n| ask([" same text", "same text\n"][n % 2]))
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(begins.recv().unwrap(), "same text");
    go.send(()).unwrap();
    for task in asked {
        assert!(task.await.unwrap().is_ok());
    }
    // Later, too: it is remembered.
    assert!(embedder.embed("same text", patience()).await.is_ok());
    assert!(begins.try_recv().is_err());
    assert_eq!(embedder.stats().remembered, 1);
}

#[tokio::test]
async fn without_a_memory_a_text_is_computed_each_time() {
    let (count, counted) = mpsc::channel();
    let count = Arc::new(Mutex::new(count));
    let forgetful = Config {
        cache_bytes: 0,
        ..config(1)
    };
    let embedder = started(&forgetful, move |texts| {
        let sent = texts
            .iter()
            .try_for_each(|text| count.lock().send((*text).to_owned()));
        sent.map_err(|error| error.to_string())?;
        Ok(vec![vec![1.0]; texts.len()])
    });
    for _ in 0..3 {
        assert!(embedder.embed("text", patience()).await.is_ok());
    }
    assert_eq!(counted.try_iter().filter(|text| text == "text").count(), 3);
}

#[tokio::test]
async fn texts_that_wait_together_go_through_the_model_together_and_a_bad_one_fails_alone() {
    let (go, gate) = mpsc::channel::<()>();
    let (ran, runs) = mpsc::channel();
    let (gate, ran) = (Arc::new(Mutex::new(gate)), Arc::new(Mutex::new(ran)));
    let embedder = Arc::new(started(&config(1), move |texts| {
        if texts.contains(&"first") {
            ran.lock().send(0).map_err(|e| e.to_string())?;
            gate.lock().recv().map_err(|e| e.to_string())?;
        }
        ran.lock().send(texts.len()).map_err(|e| e.to_string())?;
        assert!(!texts.contains(&"bad"), "no such word");
        Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
    }));
    assert!(embedder.facts().unwrap().batches);
    let ask = |text: &'static str| {
        let embedder = embedder.clone();
        tokio::spawn(async move { embedder.embed(text, patience()).await })
    };
    let first = ask("first");
    tokio::task::yield_now().await;
    while runs.recv().unwrap() != 0 {}
    let asked = ["a", "bb", "bad", "ccc"].map(ask);
    while embedder.stats().waiting < asked.len() {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    for (task, wanted) in asked
        .into_iter()
        .zip([Some(1.0), Some(2.0), None, Some(3.0)])
    {
        let result = task.await.unwrap();
        assert_eq!(result.ok().map(|vector| vector[0]), wanted);
    }
    // The one that waited, all that came meanwhile, and each alone since one of them was bad.
    assert_eq!(runs.try_iter().collect::<Vec<_>>(), [1, 4, 1, 1, 1, 1]);
}

#[test]
fn threads_whose_models_differ_do_not_both_serve() {
    let id = std::sync::atomic::AtomicU8::new(0);
    let load: Arc<Load> = Arc::new(move || {
        let id = id.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(Loaded {
            model: Box::new(Fake(|texts: &[&str]| Ok(vec![vec![1.0]; texts.len()]))),
            id: [id; 32],
        })
    });
    let embedder = Embedder::start_with(&config(2), load).unwrap();
    assert_eq!(settled(&embedder), EmbedState::Ready);
    let end = patience();
    // The other thread has ended: this handle and one worker are left.
    while Arc::strong_count(&embedder.shared) > 2 {
        assert!(Instant::now() < end, "both serve");
        thread::yield_now();
    }
    assert!(embedder.model_id().is_some());
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
    let facts = embedder.facts().unwrap();
    assert_eq!((facts.dimensions, facts.batches), (384, false));
}

/// `scripts/setup-embedder --float` makes one.
#[tokio::test]
async fn the_real_model_in_floats_takes_batches_and_agrees_with_itself() {
    let Some(embedder) = named("all-MiniLM-L6-v2-float") else {
        return;
    };
    let facts = embedder.facts().unwrap();
    assert_eq!((facts.dimensions, facts.batches), (384, true));
    let texts = ["How do I reset my password?", "why?", "and in floats?"];
    let mut alone = Vec::new();
    for text in texts {
        alone.push(embedder.embed(text, patience()).await.unwrap());
    }
    let asked = texts.map(|text| embedder.embed(text, patience()));
    let [a, b, c] = asked;
    let (a, b, c) = tokio::join!(a, b, c);
    for (alone, together) in alone.iter().zip([a, b, c]) {
        let together = together.unwrap();
        let cosine: f32 = alone.iter().zip(&*together).map(|(x, y)| x * y).sum();
        assert!((1.0 - cosine).abs() < 1e-5, "{cosine}");
    }
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
