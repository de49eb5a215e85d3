//! Serving by meaning with a promise, through the whole cache.

use super::*;
use crate::cache::verify::Report;

fn promising(mode: model::SemanticMode) -> Config {
    let mut config = config();
    config.max_bytes = 64 << 20;
    if let Some(semantic) = &mut config.semantic {
        semantic.mode = mode;
        semantic.max_entries = 10_000;
        semantic.decision = model::Decision::Verified {
            max_error_rate: 0.05,
            explore: 0.2,
        };
    }
    config
}

fn says(text: &str) -> String {
    json!({
        "id": fastrand::u64(..).to_string(),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
    })
    .to_string()
}

#[derive(Debug, Default)]
struct Tally {
    hits: usize,
    wrong: usize,
    checked: usize,
}

/// Asks questions about topics that lie half a radian apart, and answers what is missed.
async fn live(cache: &Cache, scope: &str, questions: usize, seed: u64, lies: bool) -> Tally {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut tally = Tally::default();
    let now = Instant::now();
    for n in 0..questions {
        let topic = rng.u32(0..6);
        let angle = topic * 50 + rng.u32(0..10);
        let asked = ask(scope, "s", &format!("{angle}.{:03} {n}", rng.u32(0..1000)));
        let topic = if lies { rng.u32(0..1000) } else { topic };
        let answer = says(&format!("topic {topic}"));
        let (vector, sighting) = match lookup(cache, &asked, now).await {
            SemanticOutcome::Hit {
                entry,
                vector,
                check,
                ..
            } => {
                let text = String::from_utf8_lossy(&entry.answer.body).into_owned();
                tally.hits += 1;
                tally.wrong += usize::from(!text.contains(&format!("\"topic {topic}\"")));
                tally.checked += usize::from(check.is_some());
                (vector, check)
            }
            SemanticOutcome::Miss {
                vector, sighting, ..
            } => (vector, sighting),
            other @ SemanticOutcome::Skipped { .. } => panic!("{other:?}"),
        };
        if tally.hits > 0 && sighting.is_none() {
            continue;
        }
        let mut new = new(&asked, &answer, None, Some(vector));
        new.origin = Arc::new(Origin {
            scope: scope.to_owned(),
            route: "route".to_owned(),
            ..Origin::default()
        });
        let Stored::Yes(fresh) = cache.put(new, now) else {
            panic!("not stored")
        };
        if let Some(sighting) = sighting {
            cache.learn(&sighting, &fresh).await;
        }
    }
    tally
}

fn whole(cache: &Cache) -> Report {
    let mut reports = cache.calibration();
    reports.retain(|report| report.class.is_none());
    reports.remove(0)
}

#[tokio::test]
async fn it_begins_to_serve_once_its_labels_allow_it_and_is_right() {
    let config = promising(model::SemanticMode::Serve);
    let cache = Cache::new(&config, Some(Arc::new(fake(by_angle)))).unwrap();
    let early = live(&cache, "a", 60, 1, false).await;
    assert_eq!(early.hits, 0, "{early:?}");
    let later = live(&cache, "a", 900, 2, false).await;
    assert!(later.hits > 200 && later.wrong == 0, "{later:?}");
    assert!(
        later.checked > 20 && later.checked < later.hits,
        "{later:?}"
    );
    assert!(whole(&cache).open);
    // Another scope begins at nothing.
    let foreign = live(&cache, "b", 60, 3, false).await;
    assert_eq!(foreign.hits, 0, "{foreign:?}");
}

#[tokio::test]
async fn in_shadow_it_learns_and_serves_nothing() {
    let config = promising(model::SemanticMode::Shadow);
    let cache = Cache::new(&config, Some(Arc::new(fake(by_angle)))).unwrap();
    let tally = live(&cache, "a", 600, 1, false).await;
    assert_eq!(tally.hits, 0);
    let report = whole(&cache);
    assert!(report.open && report.area() > 0.9, "{report:?}");
}

#[tokio::test]
async fn answers_that_never_agree_are_never_served() {
    let config = promising(model::SemanticMode::Serve);
    let cache = Cache::new(&config, Some(Arc::new(fake(by_angle)))).unwrap();
    let tally = live(&cache, "a", 700, 1, true).await;
    assert_eq!(tally.hits, 0);
}
