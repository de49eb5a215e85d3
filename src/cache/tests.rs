mod verified;

use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use super::embed::tests::{fake, real};
use super::entry::tests::answer;
use super::meaning::SecondLook;
use super::*;
use crate::config::model::{self, Scope};
use crate::llm::Document;

const HOUR: Duration = Duration::from_secs(3600);

fn config() -> Config {
    Config {
        name: "answers".into(),
        scope: Scope::Key,
        ttl: HOUR,
        ttl_rules: Vec::new(),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        single_flight: model::SingleFlight::Off,
        max_bytes: 1 << 20,
        max_entry_bytes: 1 << 16,
        store: None,
        min_hit_ratio: 0.0,
        semantic: Some(model::Semantic {
            mode: model::SemanticMode::Serve,
            decision: model::Decision::Threshold(0.95),
            guard: false,
            min_words: 1,
            max_entries: 1000,
            deadline: Duration::from_secs(60),
            max_temperature: 1.0,
            embedder: model::Embedder {
                model: "m".into(),
                path: PathBuf::new(),
                library: None,
                threads: 1,
                pooling: None,
                prefix: None,
                cache_bytes: 0,
            },
            reranker: None,
            judge: None,
        }),
    }
}

/// Texts that end alike lie close together: the vector turns by the angle, in hundredths, that the text begins with.
fn by_angle(text: &str) -> Result<Vec<f32>, String> {
    let angle: f32 = text
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .ok_or("no angle")?;
    Ok(vec![(angle / 100.0).cos(), (angle / 100.0).sin()])
}

fn cache() -> Cache {
    Cache::new(&config(), Some(Arc::new(fake(by_angle)))).unwrap()
}

/// To be stored, without an origin.
fn new<'a>(
    identity: &'a Identity,
    body: &str,
    ttl: Option<Duration>,
    vector: Option<Arc<[f32]>>,
) -> NewEntry<'a> {
    NewEntry {
        asked: Instant::now(),
        identity,
        answer: answer(body),
        origin: Arc::default(),
        ttl,
        vector,
    }
}

fn chat(system: &str, user: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]})
}

fn read(body: &Value) -> Document {
    Document::parse(&body.to_string().into()).unwrap()
}

fn ask(scope: &str, system: &str, user: &str) -> Identity {
    let body = chat(system, user);
    Identity::of(&KeyParts {
        partition: &[scope, "route", "pool"],
        body: &read(&body),
        question: Some(user),
    })
    .unwrap()
}

async fn lookup(cache: &Cache, identity: &Identity, now: Instant) -> SemanticOutcome {
    cache
        .get_semantic(identity, &Directives::default(), now)
        .await
}

/// Looks it up, as the proxy does, and stores the answer with the vector of the miss.
async fn store(cache: &Cache, identity: &Identity, body: &str, now: Instant) {
    let SemanticOutcome::Miss { vector, .. } = lookup(cache, identity, now).await else {
        panic!("no miss for {body}")
    };
    assert!(matches!(
        cache.put(new(identity, body, None, Some(vector)), now),
        Stored::Yes(_)
    ));
}

#[tokio::test]
async fn the_same_request_hits_exactly_and_another_does_not() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    store(&cache, &asked, "answer", now).await;
    assert_eq!(
        cache.get_exact(&asked, now, None).unwrap().answer.body,
        "answer"
    );
    assert!(
        cache
            .get_exact(&ask("key:a", "s", "1 how"), now, None)
            .is_none()
    );
}

#[tokio::test]
async fn a_near_question_of_the_same_class_hits_with_its_similarity() {
    let (cache, now) = (cache(), Instant::now());
    store(&cache, &ask("key:a", "s", "0 how"), "answer", now).await;
    let SemanticOutcome::Hit {
        entry, similarity, ..
    } = lookup(&cache, &ask("key:a", "s", "10 how"), now).await
    else {
        panic!("no hit")
    };
    assert_eq!(entry.answer.body, "answer");
    assert_eq!(entry.question.as_deref(), Some("0 how"));
    assert!((similarity - 0.1f32.cos()).abs() < 1e-3);
}

#[tokio::test]
async fn a_question_below_the_threshold_misses_and_tells_the_nearest() {
    let (cache, now) = (cache(), Instant::now());
    store(&cache, &ask("key:a", "s", "0 how"), "answer", now).await;
    let SemanticOutcome::Miss { nearest, .. } =
        lookup(&cache, &ask("key:a", "s", "50 how"), now).await
    else {
        panic!("no miss")
    };
    assert!((nearest.unwrap() - 0.5f32.cos()).abs() < 1e-3);
}

#[tokio::test]
async fn no_request_of_another_class_ever_gets_the_answer() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "be kind", "0 how");
    store(&cache, &asked, "secret", now).await;

    let mut others = vec![
        ask("key:b", "be kind", "0 how"),
        ask("key:a", "be rude", "0 how"),
    ];
    let mut bodies = vec![chat("be kind", "0 how"); 7];
    bodies[0]["model"] = json!("other");
    bodies[1]["temperature"] = json!(0.1);
    bodies[2]["tools"] = json!([{"type": "function"}]);
    bodies[3]["max_tokens"] = json!(5);
    bodies[4]["response_format"] = json!({"type": "json_object"});
    bodies[5]["messages"][0]["role"] = json!("developer");
    bodies[6]["messages"]
        .as_array_mut()
        .unwrap()
        .insert(1, json!({"role": "user", "content": "earlier"}));
    let partition = ["key:a", "route", "pool"];
    let question = Some("0 how");
    others.extend(bodies.iter().map(|body| {
        Identity::of(&KeyParts {
            partition: &partition,
            body: &read(body),
            question,
        })
        .unwrap()
    }));
    let body = chat("be kind", "0 how");
    for partition in [["key:a", "other", "pool"], ["key:a", "route", "other"]] {
        others.push(
            Identity::of(&KeyParts {
                partition: &partition,
                body: &read(&body),
                question,
            })
            .unwrap(),
        );
    }

    for other in others {
        assert!(cache.get_exact(&other, now, None).is_none(), "{other:?}");
        let outcome = lookup(&cache, &other, now).await;
        assert!(
            matches!(outcome, SemanticOutcome::Miss { nearest: None, .. }),
            "{other:?}: {outcome:?}"
        );
    }
    assert!(cache.get_exact(&asked, now, None).is_some());
}

#[tokio::test]
async fn an_answer_that_is_over_is_not_served_by_meaning_and_its_vector_leaves() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    store(&cache, &asked, "answer", now).await;
    assert!(matches!(
        lookup(&cache, &asked, now).await,
        SemanticOutcome::Hit { .. }
    ));
    for _ in 0..2 {
        let outcome = lookup(&cache, &asked, now + HOUR).await;
        assert!(
            matches!(outcome, SemanticOutcome::Miss { nearest: None, .. }),
            "{outcome:?}"
        );
    }
    // The second lookup came after the removal, and the index answers in order.
    assert_eq!(cache.stats().index.unwrap().vectors, 0);
}

#[tokio::test]
async fn an_answer_too_old_for_this_client_is_kept_for_others() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    store(&cache, &asked, "answer", now).await;
    let later = now + Duration::from_secs(100);
    let picky = Directives {
        max_age: Some(Duration::from_secs(50)),
        ..Directives::default()
    };
    assert!(cache.get_exact(&asked, later, picky.max_age).is_none());
    assert!(matches!(
        cache.get_semantic(&asked, &picky, later).await,
        SemanticOutcome::Miss { .. }
    ));
    assert!(matches!(
        lookup(&cache, &asked, later).await,
        SemanticOutcome::Hit { .. }
    ));
}

#[tokio::test]
async fn a_client_can_tighten_the_threshold_and_never_loosen_it() {
    let (cache, now) = (cache(), Instant::now());
    store(&cache, &ask("key:a", "s", "0 how"), "answer", now).await;
    let with = |threshold| Directives {
        threshold: Some(threshold),
        ..Directives::default()
    };
    let near = ask("key:a", "s", "10 how");
    assert!(matches!(
        cache.get_semantic(&near, &with(0.999), now).await,
        SemanticOutcome::Miss { .. }
    ));
    let far = ask("key:a", "s", "50 how");
    assert!(matches!(
        cache.get_semantic(&far, &with(0.1), now).await,
        SemanticOutcome::Miss { .. }
    ));
}

#[tokio::test]
async fn a_client_can_shorten_the_ttl_and_never_stretch_it() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    for (asks, gets) in [
        (Some(HOUR * 5), HOUR),
        (Some(HOUR / 2), HOUR / 2),
        (None, HOUR),
    ] {
        let Stored::Yes(entry) = cache.put(new(&asked, "x", asks, None), now) else {
            panic!("too large")
        };
        assert_eq!(entry.ttl, gets);
    }
}

#[tokio::test]
async fn an_answer_too_large_is_not_stored() {
    let (cache, now) = (cache(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    let large = "x".repeat((1 << 16) + 1);
    assert!(matches!(
        cache.put(new(&asked, &large, None, None), now),
        Stored::TooLarge
    ));
    assert!(cache.get_exact(&asked, now, None).is_none());
}

#[tokio::test]
async fn without_an_embedder_exact_answers_are_served_all_the_same() {
    let (cache, now) = (Cache::new(&config(), None).unwrap(), Instant::now());
    let asked = ask("key:a", "s", "0 how");
    assert!(matches!(
        lookup(&cache, &asked, now).await,
        SemanticOutcome::Skipped {
            reason: Skip::Off,
            ..
        }
    ));
    cache.put(new(&asked, "x", None, None), now);
    assert!(cache.get_exact(&asked, now, None).is_some());
    assert!(!cache.serves_by_meaning());
}

#[tokio::test]
async fn a_model_that_fails_is_a_skipped_lookup() {
    let (cache, now) = (cache(), Instant::now());
    let outcome = lookup(&cache, &ask("key:a", "s", "no angle here"), now).await;
    let SemanticOutcome::Skipped {
        reason: Skip::Embed(failure),
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure, EmbedFailure::Failed("no angle".into()));
}

#[tokio::test]
async fn a_request_without_a_question_is_neither_looked_up_nor_indexed() {
    let (cache, now) = (cache(), Instant::now());
    let body = chat("s", "0 how");
    let asked = Identity::of(&KeyParts {
        partition: &["key:a"],
        body: &read(&body),
        question: None,
    })
    .unwrap();
    assert!(matches!(
        lookup(&cache, &asked, now).await,
        SemanticOutcome::Skipped {
            reason: Skip::NoQuestion,
            ..
        }
    ));
    let vector = Some(Arc::from([1.0f32, 0.0]));
    cache.put(new(&asked, "x", None, vector), now);
    // A later order is answered, so an earlier one was carried out.
    store(&cache, &ask("key:a", "s", "0 how"), "y", now).await;
    lookup(&cache, &ask("key:a", "s", "0 how"), now).await;
    assert_eq!(cache.stats().index.unwrap().vectors, 1);
}

#[tokio::test]
async fn vectors_and_bytes_stay_within_their_bounds() {
    let mut config = config();
    config.max_bytes = 100_000;
    if let Some(semantic) = &mut config.semantic {
        semantic.max_entries = 20;
    }
    let (cache, now) = (
        Cache::new(&config, Some(Arc::new(fake(by_angle)))).unwrap(),
        Instant::now(),
    );
    let body = "x".repeat(1000);
    for n in 0..200 {
        let asked = ask("key:a", &n.to_string(), "0 how");
        store(&cache, &asked, &body, now).await;
    }
    lookup(&cache, &ask("key:a", "s", "0 how"), now).await;
    let stats = cache.stats();
    assert!(stats.bytes <= 100_000 && stats.entries > 0, "{stats:?}");
    assert!(
        (1..=20).contains(&stats.index.unwrap().vectors),
        "{stats:?}"
    );
}

#[test]
fn the_index_thread_ends_with_the_cache() {
    let embedder = Arc::new(fake(by_angle));
    let cache = Cache::new(&config(), Some(embedder.clone())).unwrap();
    let watch = cache
        .meaning
        .as_ref()
        .map(|meaning| meaning.index.watch())
        .unwrap();
    drop(cache);
    let end = Instant::now() + Duration::from_secs(60);
    while watch.strong_count() > 0 {
        assert!(Instant::now() < end, "the thread still runs");
        thread::yield_now();
    }
    assert_eq!(Arc::strong_count(&embedder), 1);
}

#[tokio::test]
async fn with_the_real_model_a_paraphrase_hits_and_another_question_does_not() {
    let Some(embedder) = real() else { return };
    let mut config = config();
    if let Some(semantic) = &mut config.semantic {
        semantic.decision = model::Decision::Threshold(0.85);
    }
    let (cache, now) = (
        Cache::new(&config, Some(Arc::new(embedder))).unwrap(),
        Instant::now(),
    );
    store(
        &cache,
        &ask("key:a", "s", "How do I reset my password?"),
        "so",
        now,
    )
    .await;
    let like = lookup(
        &cache,
        &ask("key:a", "s", "How can I change my password?"),
        now,
    )
    .await;
    assert!(matches!(like, SemanticOutcome::Hit { .. }), "{like:?}");
    let unlike = lookup(
        &cache,
        &ask("key:a", "s", "What is the capital of France?"),
        now,
    )
    .await;
    assert!(
        matches!(
            unlike,
            SemanticOutcome::Miss {
                nearest: Some(_),
                ..
            }
        ),
        "{unlike:?}"
    );
    let foreign = lookup(
        &cache,
        &ask("key:b", "s", "How do I reset my password?"),
        now,
    )
    .await;
    assert!(
        matches!(foreign, SemanticOutcome::Miss { nearest: None, .. }),
        "{foreign:?}"
    );
}

#[tokio::test]
async fn whatever_is_asked_in_whatever_order_an_answer_stays_in_its_class() {
    let (cache, now) = (cache(), Instant::now());
    let mut random = fastrand::Rng::with_seed(7);
    let (mut exact, mut near) = (0, 0);
    for _ in 0..2000 {
        let scope = ["key:a", "key:b", "tenant:a"][random.usize(..3)];
        let system = ["kind", "rude", ""][random.usize(..3)];
        let asked = ask(scope, system, &format!("{} how", random.u32(..300)));
        let class = format!("{scope}/{system}");
        if let Some(entry) = cache.get_exact(&asked, now, None) {
            exact += 1;
            assert_eq!(entry.answer.body, class);
            continue;
        }
        match lookup(&cache, &asked, now).await {
            SemanticOutcome::Hit { entry, .. } => {
                near += 1;
                assert_eq!(entry.answer.body, class);
            }
            SemanticOutcome::Miss { vector, .. } => {
                drop(cache.put(new(&asked, &class, None, Some(vector)), now))
            }
            SemanticOutcome::Skipped { reason, .. } => panic!("{reason:?}"),
        }
    }
    assert!(exact > 0 && near > 0, "{exact} exact, {near} near");
}

/// A cache whose reranker reads the directory at `path`, wanted from 0.8 to 0.95.
fn with_reranker(path: &std::path::Path, library: PathBuf) -> Cache {
    let mut config = config();
    if let Some(semantic) = &mut config.semantic {
        semantic.decision = model::Decision::Threshold(0.8);
        semantic.embedder.library = Some(library);
        semantic.reranker = Some(super::rerank::tests::config(path));
    }
    let cache = Cache::new(&config, Some(Arc::new(fake(by_angle)))).unwrap();
    if let Some(SecondLook::By(reranker)) = cache.meaning.as_ref().map(|m| &m.reranker) {
        super::rerank::tests::settled(reranker);
    }
    cache
}

#[tokio::test]
async fn between_near_and_far_a_second_look_decides_and_without_one_nothing_is_served() {
    let Some(library) = super::embed::tests::onnx::library() else {
        return;
    };
    let (model, empty) = (super::rerank::tests::folder(), tempfile::tempdir().unwrap());
    for (path, looks) in [(model.path(), true), (empty.path(), false)] {
        let cache = with_reranker(path, library.clone());
        let now = Instant::now();
        let about = |text: &str| ask("a", "be brief", text);
        store(&cache, &about("0 red"), "the answer", now).await;
        // Cosines of 0.1, 0.5 and 0.7 radians: 0.995, 0.878 and 0.765.
        for (text, wanted) in [
            ("10 blue", true),
            ("50 green", looks),
            ("50 blue", false),
            ("70 red", false),
        ] {
            let outcome = lookup(&cache, &about(text), now).await;
            let hit = matches!(outcome, SemanticOutcome::Hit { .. });
            assert_eq!(hit, wanted, "{text}, with a model: {looks}");
        }
    }
}
