//! What each engine costs a request. `scripts/hot-path` counts the instructions of each step; run alone it prints
//! nanoseconds, which say less, since they are those of the machine and of the moment.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use tollgate::admit::{KeyTable, Limiter, Need, Subject, presented_key};
use tollgate::balance::{Demand, Outcome, Pick, Pool};
use tollgate::cache::{
    Answer, Cache, Caller, Directives, Identity, KeyParts, NewEntry, Origin, scope,
};
use tollgate::config;
use tollgate::llm::answer::AnswerFacts;
use tollgate::llm::meter::StreamMeter;
use tollgate::llm::{Endpoint, RequestView};
use tollgate::metrics::events;
use tollgate::util::fields::Fields;
use tollgate::util::headers::Headers;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SECRET: &str = "sk-tollgate-bench-4f1c9d2ab37e48d0a6b5";

const CONFIG: &str = r#"
listen: [{ address: 127.0.0.1:8080 }]
keys:
  - { name: web, sha256: SHA, tenant: acme, tier: paid }
tiers:
  paid: { priority: high }
limits:
  - { per: key, requests: 1000000000/min, tokens: 1000000000000/min, concurrency: 100000 }
  - { per: tenant, tokens: 1000000000000/min }
caches:
  answers: { scope: tenant }
pools:
  chat:
    peers: [{ address: 127.0.0.1:1 }, { address: 127.0.0.1:2 }, { address: 127.0.0.1:3 }]
routes:
  - { name: chat, match: { path: /v1/* }, pool: chat, cache: answers }
"#;

/// Everything the steps need, made beforehand.
struct World {
    headers: Headers,
    keys: KeyTable,
    limiter: Limiter,
    cache: Cache,
    pool: Pool,
    bodies: [Body; 3],
    stored: Identity,
    answer: Vec<u8>,
    event: Vec<u8>,
    varying: Vec<Vec<u8>>,
}

struct Body {
    bytes: Bytes,
    view: RequestView,
}

impl World {
    fn new() -> Result<Self, Box<dyn Error>> {
        let sha: [u8; 32] = Sha256::digest(SECRET).into();
        let sha: String = sha.iter().map(|byte| format!("{byte:02x}")).collect();
        let config = config::parse(&CONFIG.replace("SHA", &sha), Path::new(""))?.config;
        let mut headers = Headers::default();
        for (name, value) in [
            ("host", "api.example.com"),
            ("user-agent", "OpenAI/Python 3.52.0"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers.insert(AUTHORIZATION, format!("Bearer {SECRET}").parse()?);
        let body = |bytes: usize| -> Result<Body, Box<dyn Error>> {
            let bytes = Bytes::from(chat(bytes));
            let view = RequestView::parse(Endpoint::ChatCompletions, &bytes)?;
            Ok(Body { bytes, view })
        };
        let bodies = [body(1 << 10)?, body(16 << 10)?, body(256 << 10)?];
        let cache = Cache::new(config.caches.first().ok_or("no cache")?, None)?;
        let stored = identity(&bodies[0].view)?;
        let answer = answer();
        let new = NewEntry {
            asked: Instant::now(),
            identity: &stored,
            answer: Answer {
                endpoint: "chat",
                streamed: false,
                content_type: "application/json".into(),
                body: Bytes::copy_from_slice(&answer),
                input_tokens: 200,
                output_tokens: 60,
                model: "qwen3-8b".into(),
            },
            origin: Origin::default().into(),
            ttl: None,
            vector: None,
        };
        cache.put(new, Instant::now());
        let pool = Pool::new(
            config.pools.first().ok_or("no pool")?,
            Arc::new(|| ()),
            Instant::now(),
        );
        pool.estimator()
            .learn("qwen3-8b", 900, 3, 210, 60, Instant::now());
        Ok(Self {
            headers,
            keys: KeyTable::new(config.keys.as_deref(), &config.tiers),
            limiter: Limiter::new(&config.limits),
            cache,
            pool,
            bodies,
            stored,
            answer,
            event: event(" tokens", 1),
            varying: (0..64).map(|n| event(&format!(" w{n}"), n)).collect(),
        })
    }
}

/// A chat request of about so many bytes: a system prompt, turns, one long last question.
fn chat(bytes: usize) -> Vec<u8> {
    let line =
        "Counting tokens is the work; the \"rest\" is \u{2013} mostly \u{2013} waiting in line.\n";
    let text = |bytes: usize| line.repeat(bytes / line.len() + 1);
    let part = bytes / 4;
    let mut messages = vec![
        serde_json::json!({"role": "system", "content": text(part)}),
        serde_json::json!({"role": "user", "content": text(part / 2)}),
        serde_json::json!({"role": "assistant", "content": text(part / 2)}),
    ];
    messages.push(serde_json::json!({"role": "user", "content": text(part)}));
    let body = serde_json::json!({
        "model": "qwen3-8b", "messages": messages, "temperature": 0.7, "max_tokens": 256, "stream": false,
        "top_p": 0.95, "user": "u-1",
    });
    body.to_string().into_bytes()
}

/// An answer of about 700 bytes, as vLLM writes it.
fn answer() -> Vec<u8> {
    let content =
        "A load balancer that counts tokens sends each request where the least work waits. "
            .repeat(3);
    serde_json::json!({
        "id": "chatcmpl-8f6a5d4c3b2a19087f6e5d4c3b2a1908", "object": "chat.completion", "created": 1_760_000_000,
        "model": "qwen3-8b",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content, "refusal": null,
            "tool_calls": [], "reasoning_content": null}, "logprobs": null, "finish_reason": "stop",
            "stop_reason": null}],
        "usage": {"prompt_tokens": 210, "completion_tokens": 60, "total_tokens": 270,
            "prompt_tokens_details": {"cached_tokens": 128}},
    })
    .to_string()
    .into_bytes()
}

/// One event of a chat stream, as vLLM writes it; `count` is its usage so far, 1 for none.
fn event(content: &str, count: usize) -> Vec<u8> {
    let usage = match count {
        1 => String::new(),
        count => format!(
            r#","usage":{{"prompt_tokens":210,"completion_tokens":{count},"total_tokens":{count}}}"#
        ),
    };
    format!(
        "data: {{\"id\":\"chatcmpl-8f6a5d4c3b2a1908\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
         \"model\":\"qwen3-8b\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"logprobs\":null,\
         \"finish_reason\":null}}]{usage}}}\n\n"
    )
    .into_bytes()
}

fn identity(view: &RequestView) -> Result<Identity, Box<dyn Error>> {
    Identity::of(&KeyParts {
        partition: &["tenant:acme", "chat", "chat", "chat", "", ""],
        body: &view.body,
        question: None,
    })
    .map_err(|_| "no key".into())
}

type Step = fn(&World, usize);

macro_rules! steps {
    ($($name:ident |$world:ident| $body:block)*) => {
        $(#[inline(never)] fn $name($world: &World, times: usize) { for _ in 0..times $body })*
        const STEPS: &[(&str, Step)] = &[$((stringify!($name), $name)),*];
    };
}

steps! {
    identify |world| {
        black_box(world.keys.identify(presented_key(&world.headers)));
    }
    read_1k |world| { read(world, 0); }
    read_16k |world| { read(world, 1); }
    read_256k |world| { read(world, 2); }
    key_1k |world| { key(world, 0); }
    key_16k |world| { key(world, 1); }
    key_256k |world| { key(world, 2); }
    directives |world| {
        let _ = black_box(Directives::parse(&world.headers));
    }
    partition |world| {
        let caller = Caller { key: Some("web"), tenant: Some("acme"), credential: None };
        black_box(scope::partition(world.cache.config().scope, &caller));
    }
    exact_get |world| {
        black_box(world.cache.get_exact(&world.stored, Instant::now(), None));
    }
    renew |world| {
        if let Some(entry) = world.cache.get_exact(&world.stored, Instant::now(), None) {
            black_box(entry.anew(Endpoint::ChatCompletions, fastrand::u128(..), SystemTime::now()));
        }
    }
    limits |world| {
        let who = Subject { key: "web", tenant: "acme", tier: Some("paid") };
        let now = Instant::now();
        let need = Need { input: 210, output: 64 };
        if let Ok(mut reservation) = world.limiter.reserve(&who, need, now) {
            reservation.settle(270, now + Duration::from_millis(300));
        }
    }
    limits_with_headers |world| {
        let who = Subject { key: "web", tenant: "acme", tier: Some("paid") };
        let now = Instant::now();
        let need = Need { input: 210, output: 64 };
        if let Ok(mut reservation) = world.limiter.reserve(&who, need, now) {
            let mut fields = Fields::with_room();
            reservation.headers(now).write(&mut fields);
            black_box(&fields);
            reservation.settle(270, now + Duration::from_millis(300));
        }
    }
    estimate |world| {
        let estimator = world.pool.estimator();
        let prompt = estimator.prompt_tokens("qwen3-8b", 900, 3);
        black_box(estimator.output_tokens("qwen3-8b", prompt, Some(256)));
    }
    learn |world| {
        world.pool.estimator().learn("qwen3-8b", 900, 3, 210, 60, Instant::now());
    }
    lease |world| {
        let demand = Demand { prompt_tokens: 210, output_tokens: 60, client_hash: 7 };
        let now = Instant::now();
        if let Pick::Lease(mut lease) = world.pool.pick(&demand, &[], now) {
            let _ = lease.first_byte(now);
            lease.progress(30, now);
            let _ = world.pool.report(&mut lease, Outcome::Succeeded, now);
        }
    }
    count |world| {
        black_box(world);
        events::limit_decision("none", "admitted");
        events::cache_lookup("exact", "miss");
        events::overhead("proxied", Duration::from_micros(70));
        events::answered("chat", Duration::from_millis(300), 210, 60);
        events::first_token("chat", Duration::from_millis(20));
        events::request_finished("chat", Some("qwen3-8b"), 200, "");
    }
    answer_700 |world| {
        black_box(AnswerFacts::of(Endpoint::ChatCompletions, &world.answer));
    }
}

fn read(world: &World, size: usize) {
    let _ = black_box(RequestView::parse(
        Endpoint::ChatCompletions,
        &world.bodies[size].bytes,
    ));
}

fn key(world: &World, size: usize) {
    let _ = black_box(identity(&world.bodies[size].view));
}

/// A stream of events that differ in their text only.
#[inline(never)]
fn stream_event(world: &World, times: usize) {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
    for _ in 0..times {
        black_box(meter.push(&world.event));
    }
}

/// A stream of events that each report usage.
#[inline(never)]
fn stream_event_with_usage(world: &World, times: usize) {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
    for event in world.varying.iter().cycle().take(times) {
        black_box(meter.push(event));
    }
}

const STREAMS: &[(&str, Step)] = &[
    ("stream_event", stream_event),
    ("stream_event_with_usage", stream_event_with_usage),
];

/// Arguments: how often to take each step (default 2000; long bodies less often), and part of a step's name.
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let times: usize = arguments.next().map_or(Ok(2000), |times| times.parse())?;
    let wanted = arguments.next().unwrap_or_default();
    let world = World::new()?;
    for (name, step) in STEPS
        .iter()
        .chain(STREAMS)
        .filter(|(name, _)| name.contains(&wanted))
    {
        let times = if name.ends_with("256k") {
            times.div_ceil(50)
        } else {
            times
        };
        let began = Instant::now();
        step(&world, times);
        println!(
            "{name} {times} {}",
            began.elapsed().as_nanos() / times.max(1) as u128
        );
    }
    Ok(())
}
