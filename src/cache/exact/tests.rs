use super::super::entry::Answer;
use super::super::entry::tests::{answer, identity};
use super::super::key::Identity;
use super::super::origin::Origin;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn store(
    cache: &Exact,
    identity: &Identity,
    answer: Answer,
    ttl: Duration,
    now: Instant,
) -> Arc<Entry> {
    let entry = Arc::new(Entry::new(identity, answer, Origin::default(), ttl, now));
    assert!(cache.put(entry.clone(), now).held);
    entry
}

fn key(n: usize) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&n.to_le_bytes());
    key
}

fn entry(n: usize, body: &str, output_tokens: u64) -> Arc<Entry> {
    let answer = Answer {
        output_tokens,
        ..answer(body)
    };
    let identity = Identity {
        exact: key(n),
        ..identity(0, 0, None)
    };
    Arc::new(Entry::new(
        &identity,
        answer,
        Origin::default(),
        HOUR,
        Instant::now(),
    ))
}

#[test]
fn what_was_put_is_what_is_got() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    let put = store(&cache, &identity(1, 0, None), answer("one"), HOUR, now);
    let got = cache.get(&[1; 32], now, None).unwrap();
    assert_eq!((got.number(), &got.answer), (put.number(), &put.answer));
    assert!(cache.get(&[2; 32], now, None).is_none());
}

#[test]
fn keys_that_differ_in_one_bit_are_different_requests() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    store(&cache, &identity(0, 0, None), answer("zero"), HOUR, now);
    for bit in 0..256 {
        let mut key = [0; 32];
        key[bit / 8] |= 1 << (bit % 8);
        assert!(cache.get(&key, now, None).is_none(), "bit {bit}");
    }
}

#[test]
fn an_entry_is_not_served_past_its_ttl() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    store(&cache, &identity(1, 0, None), answer("one"), HOUR, now);
    assert!(
        cache
            .get(&[1; 32], now + HOUR - Duration::from_secs(1), None)
            .is_some()
    );
    assert!(cache.get(&[1; 32], now + HOUR, None).is_none());
}

#[test]
fn a_newer_answer_replaces_an_older_one() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    store(&cache, &identity(1, 0, None), answer("old"), HOUR, now);
    store(&cache, &identity(1, 0, None), answer("new"), HOUR, now);
    assert_eq!(cache.get(&[1; 32], now, None).unwrap().answer.body, "new");
    assert_eq!(cache.entries(), 1);
}

#[test]
fn the_bytes_held_stay_within_the_bound() {
    let (cache, now) = (Exact::new(100_000), Instant::now());
    let body = "x".repeat(1000);
    for n in 0..=255 {
        store(&cache, &identity(n, 0, None), answer(&body), HOUR, now);
    }
    assert!(cache.bytes() <= 100_000, "{}", cache.bytes());
    assert!((1..=100).contains(&cache.entries()), "{}", cache.entries());
}

#[test]
fn the_bound_holds_after_every_put() {
    let (cache, now) = (Exact::new(50_000), Instant::now());
    for n in 0..2000usize {
        let body = "x".repeat(n * 37 % 3000);
        let put = cache.put(entry(n, &body, 5), now);
        assert!(put.held && cache.bytes() <= 50_000, "{}", cache.bytes());
    }
    let mut seen = (0, 0);
    cache.each(|entry| seen = (seen.0 + 1, seen.1 + entry.weight_bytes() as u64));
    assert_eq!(seen, (cache.entries(), cache.bytes()));
}

#[test]
fn one_larger_than_the_whole_store_sends_nobody_away() {
    let (cache, now) = (Exact::new(50_000), Instant::now());
    assert!(cache.put(entry(1, "small", 5), now).held);
    let put = cache.put(entry(2, &"x".repeat(50_000), 5), now);
    assert!(!put.held && put.left.is_empty());
    assert_eq!(cache.entries(), 1);
}

#[test]
fn what_leaves_for_room_is_told() {
    let (cache, now) = (Exact::new(20_000), Instant::now());
    let mut inside = std::collections::HashSet::new();
    for n in 0..200 {
        inside.insert(key(n));
        for gone in cache.put(entry(n, "body", 5), now).left {
            assert!(inside.remove(&gone.exact));
        }
    }
    assert_eq!(inside.len() as u64, cache.entries());
    assert!(inside.iter().all(|key| cache.peek(key).is_some()));
}

#[test]
fn the_answers_that_took_more_tokens_stay_longer() {
    let (cache, now) = (Exact::new(200_000), Instant::now());
    for n in 0..1000 {
        let _ = cache.put(entry(n, "body", if n % 2 == 0 { 500 } else { 5 }), now);
    }
    let dear = cache.count_if(|entry| entry.answer.output_tokens == 500);
    assert!(
        dear.entries * 10 > cache.entries() * 6,
        "{} of {}",
        dear.entries,
        cache.entries()
    );
}

#[test]
fn what_is_asked_for_again_outlives_what_is_not() {
    let (cache, now) = (Exact::new(200_000), Instant::now());
    for n in 0..2000 {
        let _ = cache.put(entry(n, "body", 5), now);
        for hot in 0..20.min(n) {
            let _ = cache.get(&key(hot), now, None);
        }
    }
    let kept = (0..20).filter(|n| cache.peek(&key(*n)).is_some()).count();
    assert!(kept >= 19, "{kept}");
}

#[test]
fn an_entry_whose_time_is_over_leaves_before_any_other() {
    let (cache, now) = (Exact::new(20_000), Instant::now());
    let short = Entry::new(
        &identity(7, 0, None),
        answer("x"),
        Origin::default(),
        Duration::from_secs(1),
        now,
    );
    let _ = cache.put(Arc::new(short), now);
    let later = now + Duration::from_secs(2);
    let mut left = Vec::new();
    for n in 0..40 {
        left.extend(cache.put(entry(n, "body", 5), later).left);
    }
    assert_eq!(left.first().map(|gone| gone.exact), Some([7; 32]));
}

#[test]
fn housekeeping_removes_what_is_over() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    for n in 0..100 {
        let _ = cache.put(entry(n, "body", 5), now);
    }
    assert!(cache.settle(now).is_empty());
    assert_eq!(cache.settle(now + 2 * HOUR).len(), 100);
    assert_eq!((cache.entries(), cache.bytes()), (0, 0));
    assert!(cache.strays.read().is_empty());
}

#[test]
fn an_entry_is_found_by_its_id_until_it_is_replaced_or_removed() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    let first = store(&cache, &identity(1, 0, None), answer("a"), HOUR, now);
    assert_eq!(cache.get_by_id(&first.id()).unwrap().id(), first.id());
    let second = store(&cache, &identity(1, 0, None), answer("b"), HOUR, now);
    assert!(cache.get_by_id(&first.id()).is_none());
    assert!(cache.remove_exactly(&first).is_none());
    assert!(cache.remove(&[1; 32]).is_some());
    assert!(cache.get_by_id(&second.id()).is_none());
    assert!(cache.get_by_id("no id").is_none());
    assert_eq!((cache.entries(), cache.bytes()), (0, 0));
}

#[test]
fn an_id_leads_to_its_entry_wherever_it_was_given() {
    let (cache, now) = (Exact::new(100 << 20), Instant::now());
    let numbered = |n: usize, number| {
        let entry = entry(n, "body", 5);
        Arc::new(Entry::clone(&entry).numbered(number))
    };
    for n in 0..500 {
        let _ = cache.put(numbered(n, cache.number_for(&key(n))), now);
    }
    assert!(cache.strays.read().is_empty());
    for n in 500..1000 {
        let _ = cache.put(numbered(n, fastrand::u128(..)), now);
    }
    assert!(cache.strays.read().len() > 400);
    for n in 0..1000 {
        let held = cache.peek(&key(n)).unwrap();
        assert_eq!(cache.get_by_id(&held.id()).unwrap().exact, key(n));
        // Once more under the same id.
        let _ = cache.put(numbered(n, held.number()), now);
        assert_eq!(cache.get_by_id(&held.id()).unwrap().exact, key(n));
        assert!(cache.remove(&key(n)).is_some());
        assert!(cache.get_by_id(&held.id()).is_none());
    }
    assert!(cache.strays.read().is_empty());
}

#[test]
fn entries_are_counted_and_removed_by_what_they_are() {
    let (cache, now) = (Exact::new(100 << 20), Instant::now());
    for n in 0..1000 {
        let _ = cache.put(entry(n, "body", n as u64 % 10), now);
    }
    let which = |entry: &Entry| entry.answer.output_tokens == 3;
    let would = cache.count_if(which);
    assert_eq!((would.entries, cache.entries()), (100, 1000));
    let did = cache.remove_if(which);
    assert_eq!((did.entries, did.bytes), (would.entries, would.bytes));
    assert_eq!(cache.entries(), 900);
    assert!(did.keys.iter().all(|key| cache.peek(key).is_none()));
    assert_eq!(cache.remove_if(which), Removed::default());
}

#[test]
fn a_filler_never_replaces_what_is_newer() {
    let (cache, now) = (Exact::new(1 << 20), Instant::now());
    let newer = store(&cache, &identity(1, 0, None), answer("new"), HOUR, now);
    let older = Entry::new(
        &identity(1, 0, None),
        answer("old"),
        Origin::default(),
        HOUR,
        now,
    );
    assert!(!cache.put_if_absent(Arc::new(older), now).held);
    assert_eq!(cache.peek(&[1; 32]).unwrap().number(), newer.number());
    assert_eq!(cache.bytes(), newer.weight_bytes() as u64);
}

/// Lengths in tokens of real conversations, questions and answers: `mooncake_fast25`.
#[cfg(not(debug_assertions))]
fn lengths() -> Option<Vec<(u64, u64)>> {
    use std::io::Read;
    let trace = "../shared/data/mooncake_fast25/conversation_trace.jsonl.gz";
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(folder.join(trace)).ok()?;
    let mut text = String::new();
    let mut read = flate2::read::GzDecoder::new(file);
    read.read_to_string(&mut text).unwrap();
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let length = |name: &str| line[name].as_u64().unwrap();
        (length("input_length"), length("output_length"))
    });
    Some(lines.collect())
}

/// `cargo test --release --lib -- --ignored --nocapture cache::exact::tests::figures`
#[cfg(not(debug_assertions))]
#[test]
#[ignore = "figures for docs/cache-store.md"]
fn figures_of_eviction_beside_tinylfu() {
    let Some(lengths) = lengths() else { return };
    // Popularity after Zipf; and as many again that are asked once and never more.
    for (skew, once) in [(0.7, 0), (0.9, 0), (0.9, 50), (1.1, 50)] {
        for share in [0.05, 0.2] {
            let mut random = fastrand::Rng::with_seed(1);
            let questions = 20_000;
            let weights: Vec<f64> = (1..=questions).map(|n| (n as f64).powf(-skew)).collect();
            let sums: Vec<f64> = weights
                .iter()
                .scan(0.0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                })
                .collect();
            let of = |n: usize| {
                let (input, output) = lengths[n * 7919 % lengths.len()];
                let body = "x".repeat((4 * output + 300) as usize);
                let answer = Answer {
                    input_tokens: input,
                    output_tokens: output,
                    ..answer(&body)
                };
                let identity = Identity {
                    exact: key(n),
                    ..identity(0, 0, None)
                };
                let now = Instant::now();
                Arc::new(Entry::new(&identity, answer, Origin::default(), HOUR, now))
            };
            let total: u64 = (0..questions).map(|n| of(n).weight_bytes() as u64).sum();
            let room = (total as f64 * share) as u64;
            let ours = Exact::new(room);
            let moka = moka::sync::Cache::builder()
                .max_capacity(room)
                .weigher(|_, entry: &Arc<Entry>| entry.weight_bytes() as u32)
                .build();
            let (mut hits, mut tokens, mut asked) = ([0u64; 2], [0u64; 2], [0u64; 2]);
            for turn in 0..200_000usize {
                let n = if random.usize(..100) < once {
                    questions + turn
                } else {
                    let at = random.f64() * sums[questions - 1];
                    sums.partition_point(|sum| *sum < at)
                };
                let entry = of(n);
                let cost = entry.answer.input_tokens + 4 * entry.answer.output_tokens;
                let now = Instant::now();
                let found = [
                    ours.get(&entry.exact, now, None).is_some(),
                    moka.get(&entry.exact).is_some(),
                ];
                if !found[0] {
                    let _ = ours.put(Arc::clone(&entry), now);
                }
                if !found[1] {
                    moka.insert(entry.exact, entry);
                }
                // The first half fills them.
                if turn < 100_000 {
                    continue;
                }
                asked[0] += 1;
                asked[1] += cost;
                for (which, found) in found.into_iter().enumerate() {
                    hits[which] += u64::from(found);
                    tokens[which] += if found { cost } else { 0 };
                }
            }
            let of = |part: u64, whole: u64| 100.0 * part as f64 / whole as f64;
            println!(
                "skew {skew}, {once} % once, room {share}: tokens saved {:.1} % (TinyLFU {:.1} %), hits {:.1} % (TinyLFU {:.1} %)",
                of(tokens[0], asked[1]),
                of(tokens[1], asked[1]),
                of(hits[0], asked[0]),
                of(hits[1], asked[0]),
            );
        }
    }
}

#[test]
fn many_threads_at_once_keep_the_bound_and_the_counts() {
    let (cache, now) = (Exact::new(300_000), Instant::now());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..3000 {
                    let n = random.usize(..2000);
                    match random.u8(..4) {
                        0 => drop(cache.put(entry(n, &"x".repeat(n), 5), now)),
                        1 => drop(cache.remove(&key(n))),
                        _ => drop(cache.get(&key(n), now, None)),
                    }
                    assert!(cache.bytes() <= 300_000);
                }
            });
        }
    });
    let mut seen = (0, 0);
    cache.each(|entry| seen = (seen.0 + 1, seen.1 + entry.weight_bytes() as u64));
    assert_eq!(seen, (cache.entries(), cache.bytes()));
    let held = (0..2000).filter(|n| cache.peek(&key(*n)).is_some());
    assert_eq!(held.count() as u64, cache.entries());
}
