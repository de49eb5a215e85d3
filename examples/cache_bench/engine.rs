//! The engine alone, filled and asked through its own functions.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Runtime;
use tollgate::cache::{
    Answer, Cache, Directives, EmbedState, Embedder, Identity, KeyParts, NewEntry, Origin,
    SemanticOutcome,
};
use tollgate::config::{self, model};
use tollgate::llm::{Endpoint, RequestView};

use crate::Args;
use crate::corpus::{Cloud, Corpus, dot};
use crate::figures::{Times, load, resident};

/// Real questions around whose vectors the others lie.
const CENTERS: usize = 2000;
/// Searches that are compared with exact search; half near what is held, half real questions that are not held.
const SEARCHES: usize = 200;
/// Neighbours compared in each.
const NEAREST: usize = 8;
/// Entries put before it is seen whether the index has them all.
const STEP: usize = 512;

type Failed = Box<dyn Error>;

/// A cache as the configuration makes one, large enough for everything.
fn settings(semantic: &str) -> Result<model::Cache, Failed> {
    let text = format!(
        "listen: [{{ address: 127.0.0.1:8080 }}]\ncaches:\n  answers:\n    scope: global\n    ttl: 24h\n    exact: {{ max_bytes: 64GiB }}\n    semantic: {semantic}\npools:\n  chat: {{ peers: [{{ address: 127.0.0.1:1 }}] }}\nroutes:\n  - {{ pool: chat, cache: answers }}\n"
    );
    let config = config::parse(&text, Path::new(""))?.config;
    config
        .caches
        .into_iter()
        .next()
        .ok_or_else(|| "no cache".into())
}

fn body(question: &str) -> Bytes {
    let body = json!({ "model": "m", "temperature": 0, "messages": [
        { "role": "system", "content": "You answer the questions of customers in one friendly paragraph." },
        { "role": "user", "content": question },
    ] });
    body.to_string().into()
}

/// What a request goes through before its answer is looked up.
fn identity(body: &Bytes) -> Result<Identity, Failed> {
    let view = RequestView::parse(Endpoint::ChatCompletions, body)?;
    let question = view.last_user_text();
    let parts = KeyParts {
        partition: &["global", "chat", "chat", "chat", "", ""],
        body: &view.body,
        question: question.as_deref(),
    };
    Identity::of(&parts).map_err(|why| format!("{why:?}").into())
}

/// An answer of about a hundred words.
fn answer() -> Answer {
    let body = json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        { "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "words ".repeat(100) } } ],
        "usage": { "prompt_tokens": 30, "completion_tokens": 110, "total_tokens": 140 } });
    Answer {
        endpoint: "chat",
        streamed: false,
        content_type: "application/json".into(),
        body: body.to_string().into(),
        input_tokens: 30,
        output_tokens: 110,
        model: "m".into(),
    }
}

fn question(corpus: &Corpus, number: usize) -> String {
    format!("{number}: {}", corpus.prompt(number, 10))
}

fn put(cache: &Cache, identity: &Identity, vector: Option<Arc<[f32]>>) {
    let new = NewEntry {
        identity,
        answer: answer(),
        origin: Origin::default(),
        asked: Instant::now(),
        ttl: None,
        vector,
    };
    cache.put(new, Instant::now());
}

/// Exact lookups: the whole way from the bytes of a body, and the lookup in it.
fn exact_times(
    cache: &Cache,
    corpus: &Corpus,
    entries: usize,
    lookups: usize,
) -> Result<(Times, Times), Failed> {
    let (mut whole, mut alone) = (Times::default(), Times::default());
    for n in 0..lookups * 10 {
        let body = body(&question(corpus, fastrand::usize(..entries)));
        let began = Instant::now();
        let identity = identity(&body)?;
        let found_from = Instant::now();
        let found = cache.get_exact(&identity, found_from, None);
        let ended = Instant::now();
        if found.is_none() {
            return Err("an entry is missing".into());
        }
        // The first ones warm the machine's own caches.
        if n >= lookups {
            whole.push(ended - began);
            alone.push(ended - found_from);
        }
    }
    Ok((whole, alone))
}

/// Exact lookups only.
pub(crate) fn exact(args: &Args, corpus: &Corpus) -> Result<(), Failed> {
    println!("| entries | body to answer, p50 / p99 | lookup alone, p50 / p99 | memory an entry |");
    println!("| --- | --- | --- | --- |");
    for &entries in &args.entries {
        let before = resident();
        let cache = Cache::new(&settings("off")?, None)?;
        for n in 0..entries {
            put(&cache, &identity(&body(&question(corpus, n)))?, None);
        }
        let held = resident().saturating_sub(before) / entries as u64;
        let (mut whole, mut alone) = exact_times(&cache, corpus, entries, args.lookups)?;
        println!(
            "| {entries} | {} | {} | {held} B |",
            whole.text(),
            alone.text()
        );
    }
    println!();
    Ok(())
}

/// Exact and semantic lookups, memory and recall.
pub(crate) fn run(args: &Args, corpus: &Corpus) -> Result<(), Failed> {
    let runtime = Runtime::new()?;
    let semantic = format!(
        "{{ threshold: 0.9, max_entries: 10000000, deadline: 60s, embedder: {{ model: bench, path: {}, cache: 0 }} }}",
        args.model.canonicalize()?.display()
    );
    let settings = settings(&semantic)?;
    let embedder = settings
        .semantic
        .as_ref()
        .map(|semantic| &semantic.embedder);
    let embedder = Arc::new(Embedder::start(embedder.ok_or("no embedder")?)?);
    while embedder.state() == EmbedState::Loading {
        std::thread::sleep(Duration::from_millis(10));
    }
    if let EmbedState::Failed(why) = embedder.state() {
        return Err(why.into());
    }
    let embed = |texts: &[String]| -> Result<Vec<Arc<[f32]>>, Failed> {
        let each = texts.iter().map(|text| {
            let deadline = Instant::now() + Duration::from_secs(60);
            let vector = runtime.block_on(embedder.embed(text, deadline));
            vector.map_err(|failure| format!("{failure:?}").into())
        });
        each.collect()
    };
    let real = corpus.some(CENTERS + SEARCHES);
    let (centers, others) = real.split_at(CENTERS);
    let cloud = Cloud::around(embed(centers)?);
    let unknown = embed(others)?;

    println!(
        "| entries | exact: body to answer, p50 / p99 | exact: lookup alone | semantic, 10 words | semantic, 60 words | of that the search | recall of {NEAREST} nearest | memory an entry | of that the index | filled in | load |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for &entries in &args.entries {
        let before = resident();
        let cache = Cache::new(&settings, Some(Arc::clone(&embedder)))?;
        let began = Instant::now();
        let class = fill(&cache, corpus, &cloud, entries)?;
        let filled = began.elapsed();
        let held = resident().saturating_sub(before) / entries as u64;
        let of_index = cache.stats().index.map_or(0, |index| index.bytes) / entries;
        let (mut whole, mut alone) = exact_times(&cache, corpus, entries, args.lookups)?;
        let semantic = |words| semantic_times(&runtime, &cache, corpus, words, args.lookups);
        let (mut ten, mut sixty) = (semantic(10)?, semantic(60)?);
        let (mut search, recall) = recall(&runtime, &cache, &class, &cloud, &unknown, entries)?;
        println!(
            "| {entries} | {} | {} | {} | {} | {} | {recall:.4} | {held} B | {of_index} B | {:.0} s | {} |",
            whole.text(),
            alone.text(),
            ten.text(),
            sixty.text(),
            search.text(),
            filled.as_secs_f64(),
            load()
        );
    }
    println!();
    Ok(())
}

/// Fills a cache and waits until its index has everything. Returns an identity of the class that all entries are in.
fn fill(cache: &Cache, corpus: &Corpus, cloud: &Cloud, entries: usize) -> Result<Identity, Failed> {
    let indexed = || {
        cache
            .stats()
            .index
            .map_or((0, 0), |index| (index.vectors, index.lost))
    };
    for n in 0..entries {
        let identity = identity(&body(&question(corpus, n)))?;
        put(cache, &identity, Some(cloud.vector(n).into()));
        if (n + 1) % STEP == 0 || n + 1 == entries {
            while indexed().0 <= n {
                if indexed().1 > 0 {
                    return Err("the index lost a vector".into());
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    identity(&body("any"))
}

/// Lookups by meaning of prompts that were never asked: embedded, searched, decided.
fn semantic_times(
    runtime: &Runtime,
    cache: &Cache,
    corpus: &Corpus,
    words: usize,
    lookups: usize,
) -> Result<Times, Failed> {
    let mut times = Times::default();
    let directives = Directives::default();
    for n in 0..lookups {
        let identity = identity(&body(&corpus.prompt(n + CENTERS, words)))?;
        let began = Instant::now();
        let outcome = runtime.block_on(cache.get_semantic(&identity, &directives, began));
        let time = began.elapsed();
        if let SemanticOutcome::Skipped { reason, .. } = outcome {
            return Err(format!("a lookup was skipped: {}", reason.name()).into());
        }
        if n >= lookups / 10 {
            times.push(time);
        }
    }
    Ok(times)
}

/// The share of the nearest that the index finds, and the time of its searches.
fn recall(
    runtime: &Runtime,
    cache: &Cache,
    class: &Identity,
    cloud: &Cloud,
    unknown: &[Arc<[f32]>],
    entries: usize,
) -> Result<(Times, f64), Failed> {
    let half = SEARCHES / 2;
    let near = (0..half).map(|n| cloud.near(n * (entries / half).max(1)).into());
    let searched: Vec<Arc<[f32]>> = near.chain(unknown.iter().take(half).cloned()).collect();
    let truth = nearest(cloud, &searched, entries);
    let mut times = Times::default();
    let mut found = 0;
    for (vector, truth) in searched.iter().zip(&truth) {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(60);
        let near = runtime.block_on(cache.neighbours(class, Arc::clone(vector), deadline));
        times.push(began.elapsed());
        let near = near.map_err(|failure| format!("{failure:?}"))?;
        let least = truth.last().copied().unwrap_or(1.0);
        // By similarity, since of two that are equally near either will do; stored vectors are rounded.
        found += near
            .iter()
            .filter(|near| near.similarity >= least - 1e-3)
            .count();
    }
    let wanted = searched.len() * NEAREST.min(entries);
    Ok((times, found as f64 / wanted as f64))
}

/// Similarities of the nearest, nearest first, by looking at every vector.
fn nearest(cloud: &Cloud, searched: &[Arc<[f32]>], entries: usize) -> Vec<Vec<f32>> {
    let mut best = vec![Vec::with_capacity(NEAREST + 1); searched.len()];
    for n in 0..entries {
        let vector = cloud.vector(n);
        for (searched, best) in searched.iter().zip(&mut best) {
            let similarity = dot(searched, &vector);
            if best.len() < NEAREST || best.last().is_some_and(|least| similarity > *least) {
                let at = best.partition_point(|other| *other > similarity);
                best.insert(at, similarity);
                best.truncate(NEAREST);
            }
        }
    }
    best
}
