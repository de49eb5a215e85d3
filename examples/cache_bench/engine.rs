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
    SemanticOutcome, Stats, index::NEIGHBOURS,
};
use tollgate::config::{self, model};
use tollgate::llm::{Endpoint, RequestView};

use crate::Args;
use crate::corpus::{Cloud, Corpus, dot};
use crate::figures::{Times, load, resident};
use crate::held::Held;

/// Real questions around whose vectors the others lie.
const CENTERS: usize = 2000;
/// Searches that are compared with exact search; half near what is held, half real questions that are not held.
const SEARCHES: usize = 200;
/// Entries put before it is seen how far the index and the disk are.
const STEP: usize = 512;
/// Vectors that may wait for their place in the index, and bytes for the disk, before the next ones are put.
const MOST_WAITING: (usize, u64) = (512, 16 << 20);

type Failed = Box<dyn Error>;

/// A cache as the configuration makes one, large enough for everything.
fn settings(semantic: &str, path: Option<&Path>) -> Result<model::Cache, Failed> {
    let store = path.map_or(String::new(), |path| {
        format!(
            "\n    store: {{ path: {}, max_bytes: 64GiB }}",
            path.display()
        )
    });
    let text = format!(
        "listen: [{{ address: 127.0.0.1:8080 }}]\ncaches:\n  answers:\n    scope: global\n    ttl: 24h\n    exact: {{ max_bytes: 64GiB }}\n    semantic: {semantic}{store}\npools:\n  chat: {{ peers: [{{ address: 127.0.0.1:1 }}] }}\nroutes:\n  - {{ pool: chat, cache: answers }}\n"
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
        origin: Origin::default().into(),
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
        let cache = Cache::new(&settings("off", None)?, None)?;
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
pub(crate) fn run(args: &Args, corpus: &Corpus, held: &Held) -> Result<(), Failed> {
    let engine = Engine::start(args, corpus)?;
    println!(
        "| entries | exact: body to answer, p50 / p99 | exact: lookup alone | semantic, 10 words | semantic, 60 words | of that the search | recall of {NEIGHBOURS} nearest: near / far | memory an entry | of that the index | answers back after | vectors back after | load |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for &entries in &args.entries {
        held.fill(entries)?;
        let before = resident();
        let began = Instant::now();
        let cache = engine.open(&held.path(entries))?;
        let [answers, vectors] = back(&cache, entries, began)?;
        let memory = resident().saturating_sub(before) / entries as u64;
        let of_index = cache.stats().index.map_or(0, |index| index.bytes) / entries;
        let (mut whole, mut alone) = exact_times(&cache, corpus, entries, args.lookups)?;
        let class = identity(&body("any"))?;
        let mut ten = engine.semantic_times(&cache, corpus, 10, args.lookups)?;
        let mut sixty = engine.semantic_times(&cache, corpus, 60, args.lookups)?;
        let (mut search, [near, far]) = engine.recalls(&cache, &class, entries)?;
        println!(
            "| {entries} | {} | {} | {} | {} | {} | {near:.4} / {far:.4} | {memory} B | {of_index} B | {:.1} s | {:.1} s | {} |",
            whole.text(),
            alone.text(),
            ten.text(),
            sixty.text(),
            search.text(),
            answers.as_secs_f64(),
            vectors.as_secs_f64(),
            load()
        );
    }
    println!();
    Ok(())
}

/// Fills the file of a cache and ends when everything is in it, the graph too.
pub(crate) fn fill(
    args: &Args,
    corpus: &Corpus,
    path: &Path,
    entries: usize,
) -> Result<(), Failed> {
    let engine = Engine::start(args, corpus)?;
    let cache = engine.open(path)?;
    for n in 0..entries {
        let identity = identity(&body(&question(corpus, n)))?;
        put(&cache, &identity, Some(engine.cloud.vector(n).into()));
        if n % STEP == 0 {
            wait(&cache, |stats| {
                let store = stats.store.as_ref().map_or(0, |store| store.waiting_bytes);
                let index = stats.index.map_or(0, |index| index.waiting);
                index <= MOST_WAITING.0 && store <= MOST_WAITING.1
            })?;
        }
    }
    wait(&cache, |stats| {
        let written = stats
            .store
            .as_ref()
            .is_some_and(|store| store.waiting_bytes == 0);
        written && stats.index.is_some_and(|index| index.waiting == 0)
    })?;
    cache.close_store(Duration::from_secs(600));
    Ok(())
}

/// Times from `began` until all answers, and all vectors, of a file can be found.
fn back(cache: &Cache, entries: usize, began: Instant) -> Result<[Duration; 2], Failed> {
    wait(cache, |stats| {
        stats
            .store
            .as_ref()
            .is_some_and(|store| store.filled >= entries as u64)
    })?;
    let answers = began.elapsed();
    wait(cache, |stats| {
        let index = stats.index.unwrap_or_default();
        index.vectors >= entries && index.waiting == 0
    })?;
    Ok([answers, began.elapsed()])
}

/// Waits until the cache is that far. Something lost or damaged on the way is a failure.
fn wait(cache: &Cache, far: impl Fn(&Stats) -> bool) -> Result<(), Failed> {
    loop {
        let stats = cache.stats();
        let lost = stats.index.map_or(0, |index| index.lost + index.errors);
        let store = stats.store.as_ref();
        let damaged = store.map_or(0, |store| store.lost + store.damaged);
        if lost + damaged > 0 {
            return Err(
                format!("the index lost {lost} vectors, the file {damaged} records").into(),
            );
        }
        if far(&stats) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What caches need to be filled and asked by meaning.
struct Engine {
    runtime: Runtime,
    semantic: String,
    embedder: Arc<Embedder>,
    cloud: Cloud,
    /// Vectors of real questions that are not held.
    unknown: Vec<Arc<[f32]>>,
}

impl Engine {
    fn start(args: &Args, corpus: &Corpus) -> Result<Self, Failed> {
        let runtime = Runtime::new()?;
        let semantic = format!(
            "{{ threshold: 0.9, max_entries: 10000000, deadline: 60s, embedder: {{ model: bench, path: {}, cache: 0 }} }}",
            args.model.canonicalize()?.display()
        );
        let settings = settings(&semantic, None)?;
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
        let (centers, others) = corpus.some(CENTERS + SEARCHES).split_at(CENTERS);
        let (cloud, unknown) = (Cloud::around(embed(centers)?), embed(others)?);
        Ok(Self {
            runtime,
            semantic,
            embedder,
            cloud,
            unknown,
        })
    }

    fn open(&self, path: &Path) -> Result<Cache, Failed> {
        let settings = settings(&self.semantic, Some(path))?;
        Ok(Cache::new(&settings, Some(Arc::clone(&self.embedder)))?)
    }

    /// Lookups by meaning of prompts that were never asked: embedded, searched, decided.
    fn semantic_times(
        &self,
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
            let outcome = self
                .runtime
                .block_on(cache.get_semantic(&identity, &directives, began));
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

    /// The share of the nearest that the index finds for questions near one that is held, and for others; and the time of its
    /// searches.
    fn recalls(
        &self,
        cache: &Cache,
        class: &Identity,
        entries: usize,
    ) -> Result<(Times, [f64; 2]), Failed> {
        let half = SEARCHES / 2;
        let near = (0..half).map(|n| self.cloud.near(n * (entries / half).max(1)).into());
        let near: Vec<Arc<[f32]>> = near.collect();
        let mut times = Times::default();
        let near = self.recall(cache, class, entries, &near, &mut times)?;
        let far = self.unknown.get(..half).unwrap_or(&self.unknown);
        let far = self.recall(cache, class, entries, far, &mut times)?;
        Ok((times, [near, far]))
    }

    fn recall(
        &self,
        cache: &Cache,
        class: &Identity,
        entries: usize,
        searched: &[Arc<[f32]>],
        times: &mut Times,
    ) -> Result<f64, Failed> {
        let truth = nearest(&self.cloud, searched, entries);
        let mut found = 0;
        for (vector, truth) in searched.iter().zip(&truth) {
            let began = Instant::now();
            let deadline = began + Duration::from_secs(60);
            let near = self
                .runtime
                .block_on(cache.neighbours(class, Arc::clone(vector), deadline));
            times.push(began.elapsed());
            let near = near.map_err(|failure| format!("{failure:?}"))?;
            let least = truth.last().copied().unwrap_or(1.0);
            // By similarity, since of two that are equally near either will do; stored vectors are rounded.
            let right = near.iter().filter(|near| near.similarity >= least - 1e-3);
            found += right.count();
        }
        let wanted = searched.len() * NEIGHBOURS.min(entries);
        Ok(found as f64 / wanted as f64)
    }
}

/// Similarities of the nearest, nearest first, by looking at every vector.
fn nearest(cloud: &Cloud, searched: &[Arc<[f32]>], entries: usize) -> Vec<Vec<f32>> {
    let mut best = vec![Vec::with_capacity(NEIGHBOURS + 1); searched.len()];
    for n in 0..entries {
        let vector = cloud.vector(n);
        for (searched, best) in searched.iter().zip(&mut best) {
            let similarity = dot(searched, &vector);
            if best.len() < NEIGHBOURS || best.last().is_some_and(|least| similarity > *least) {
                let at = best.partition_point(|other| *other > similarity);
                best.insert(at, similarity);
                best.truncate(NEIGHBOURS);
            }
        }
    }
    best
}
