//! Every series, declared once.

use std::sync::LazyLock;

use prometheus::{
    Counter, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, core::Collector,
};

/// Registers in the process-wide registry. Each name is declared once in this file, so registering cannot clash;
/// were it to, the series would still count and only be missing from `/metrics`.
fn registered<C: Collector + Clone + 'static>(collector: Result<C, prometheus::Error>) -> C {
    match collector {
        Ok(collector) => {
            if let Err(error) = prometheus::register(Box::new(collector.clone())) {
                log::error!("metric not registered: {error}");
            }
            collector
        }
        // Names and labels are constants of this file: a test touches every one of them.
        Err(error) => unreachable!("invalid metric definition: {error}"),
    }
}

macro_rules! series {
    ($($(#[$doc:meta])* $id:ident: $kind:ident = $new:expr;)*) => {
        $($(#[$doc])* pub static $id: LazyLock<$kind> = LazyLock::new(|| registered($new));)*

        /// Declares every series, so that a scrape shows also those that have not happened yet.
        pub fn declare_all() { $(LazyLock::force(&$id);)* }
    };
}

fn counter(name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(name, help)
}
fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}
fn money(name: &str, help: &str) -> Result<Counter, prometheus::Error> {
    Counter::new(name, help)
}
fn gauge(name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(name, help)
}
fn shares(name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    GaugeVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}
fn histograms(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    HistogramVec::new(
        HistogramOpts::new(name, help).buckets(buckets.to_vec()),
        labels,
    )
}
fn histogram(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}

/// Seconds, from 10 us: what Tollgate itself adds.
const FINE: [f64; 16] = [
    1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 7.5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1,
    1.0,
];
/// Seconds, the buckets of OpenTelemetry's GenAI conventions for time to first token.
const FIRST_TOKEN: [f64; 18] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    30.0, 120.0,
];
/// Seconds, the buckets of OpenTelemetry's GenAI conventions for durations.
const DURATION: [f64; 15] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 600.0,
];
/// Seconds, from a moment to a month.
const AGES: [f64; 9] = [
    1.0,
    10.0,
    60.0,
    600.0,
    3600.0,
    21600.0,
    86400.0,
    604_800.0,
    2_592_000.0,
];
/// Tokens, the buckets of OpenTelemetry's GenAI conventions.
const TOKENS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];

/// Texts that go through a model together.
const BATCH: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 8.0];

series! {
    /// Finished requests.
    REQUESTS: IntCounterVec = counters("tollgate_requests_total", "Finished requests", &["route", "model", "status", "error_type"]);
    /// Time spent in Tollgate itself, without reading the body, waiting in the queue and the peer.
    OVERHEAD: HistogramVec = histograms("tollgate_overhead_seconds", "Time spent in Tollgate itself: body reading, queue and peer not counted", &["kind"], &FINE);
    /// Requests being handled.
    INFLIGHT: IntGauge = gauge("tollgate_inflight_requests", "Requests being handled");
    /// Connections that were closed unheard.
    CONNECTIONS_REFUSED: IntCounterVec = counters("tollgate_connections_refused_total", "Connections closed because there were too many", &["cap"]);
    /// Connections that sent no request.
    HEADS_REFUSED: IntCounterVec = counters("tollgate_heads_refused_total", "Connections closed because of what came instead of a request head", &["reason"]);
    /// Time from the request's arrival to the first byte of a peer's answer.
    TTFT: HistogramVec = histograms("gen_ai_server_time_to_first_token_seconds", "From a request's arrival to the first token of its answer", &["pool"], &FIRST_TOKEN);
    /// Whole requests.
    DURATION_SECONDS: HistogramVec = histograms("gen_ai_server_request_duration_seconds", "From a request's arrival to the last byte of its answer", &["pool"], &DURATION);
    /// Tokens of answered requests.
    TOKEN_USAGE: HistogramVec = histograms("gen_ai_client_token_usage", "Tokens of answered requests", &["gen_ai_token_type"], &TOKENS);
    /// Waiting time in the queue.
    QUEUE_WAIT: HistogramVec = histograms("tollgate_queue_wait_seconds", "Time in the queue, of requests that had to wait", &["priority"], &DURATION);
    /// Requests waiting, read at scrape time.
    QUEUE_REQUESTS: IntGaugeVec = gauges("tollgate_queue_requests", "Requests waiting", &["pool"]);
    /// Bytes of waiting requests, read at scrape time.
    QUEUE_BYTES: IntGaugeVec = gauges("tollgate_queue_bytes", "Body bytes of waiting requests", &["pool"]);
    /// Outstanding tokens, read at scrape time.
    QUEUE_TOKENS: IntGaugeVec = gauges("tollgate_queue_tokens", "Tokens sent to a peer and not yet answered", &["pool", "peer"]);
    /// In flight at a peer, read at scrape time.
    PEER_INFLIGHT: IntGaugeVec = gauges("tollgate_peer_inflight_requests", "Requests in flight at a peer", &["pool", "peer"]);
    /// Whether a peer takes requests, read at scrape time.
    PEER_UP: IntGaugeVec = gauges("tollgate_peer_up", "1 while a peer takes requests", &["pool", "peer"]);
    /// Attempts after the first.
    RETRIES: IntCounterVec = counters("tollgate_retries_total", "Attempts on another peer", &["pool", "cause"]);
    /// Retries for which there was no budget.
    RETRIES_REFUSED: IntCounterVec = counters("tollgate_retries_refused_total", "Retries that the budget did not allow", &["pool"]);
    /// Answers that broke off after the first byte.
    BROKEN: IntCounterVec = counters("tollgate_broken_answers_total", "Answers that broke off after their first byte", &["pool", "cause"]);
    /// Clients that left.
    ABORTS: IntCounterVec = counters("tollgate_client_aborts_total", "Clients that left before their answer was complete", &["stage"]);
    /// Cache lookups.
    CACHE_LOOKUPS: IntCounterVec = counters("tollgate_cache_lookups_total", "Cache lookups", &["tier", "result"]);
    /// Requests that followed another's call.
    SINGLEFLIGHT_WAITERS: IntCounterVec = counters("tollgate_singleflight_waiters_total", "Requests that waited for the answer to another request alike, and what became of them", &["outcome"]);
    /// Fresh answers fetched in place of old ones.
    CACHE_REFRESHES: IntCounterVec = counters("tollgate_cache_refreshes_total", "Answers fetched anew while old ones were served, and what became of them", &["result"]);
    /// Answers in place of a model's.
    FALLBACKS: IntCounterVec = counters("tollgate_fallbacks_total", "Answers given in place of a peer's", &["kind"]);
    /// Calls that others may share, read at scrape time.
    SINGLEFLIGHT_FLIGHTS: IntGaugeVec = gauges("tollgate_singleflight_flights", "Upstream calls whose answers other requests may share", &["cache"]);
    /// Those who follow one, read at scrape time.
    SINGLEFLIGHT_FOLLOWERS: IntGaugeVec = gauges("tollgate_singleflight_followers", "Requests that wait for an upstream call of another or follow its answer", &["cache"]);
    /// Inputs of requests for embeddings.
    CACHE_INPUTS: IntCounterVec = counters("tollgate_cache_inputs_total", "Inputs of requests for embeddings, by whether their vector was known", &["result"]);
    /// Requests of routes with a cache.
    CACHE_REQUESTS: IntCounterVec = counters("tollgate_cache_requests_total", "Requests of routes with a cache, by where their answers came from", &["cache", "route", "tenant", "kind"]);
    /// Entries, read at scrape time.
    CACHE_ENTRIES: IntGaugeVec = gauges("tollgate_cache_entries", "Answers held", &["cache"]);
    /// Bytes, read at scrape time.
    CACHE_BYTES: IntGaugeVec = gauges("tollgate_cache_bytes", "Bytes of the answers held", &["cache"]);
    /// Bodies of `proxy::read`.
    CACHE_FAMILIAR: IntGauge = gauge("tollgate_cache_familiar_body_bytes", "Bytes of request bodies kept because they were answered from a cache; 16 MiB at most");
    /// Vectors, read at scrape time.
    CACHE_VECTORS: IntGaugeVec = gauges("tollgate_cache_vectors", "Questions held for serving by meaning", &["cache"]);
    /// Vectors, read at scrape time.
    CACHE_VECTORS_WAITING: IntGaugeVec = gauges("tollgate_cache_vectors_waiting", "Questions held that wait for their place in the index's graph", &["cache"]);
    /// Vectors, read at scrape time.
    CACHE_VECTORS_LOST: IntGaugeVec = gauges("tollgate_cache_vectors_lost", "Questions that cannot be found by meaning, because the index was behind when they came", &["cache"]);
    /// Stores, read at scrape time.
    CACHE_STORE_READY: IntGaugeVec = gauges("tollgate_cache_store_ready", "1 while the cache is kept on disk and all of it is read", &["cache"]);
    /// Bytes, read at scrape time.
    CACHE_STORE_BYTES: IntGaugeVec = gauges("tollgate_cache_store_bytes", "Bytes of what the cache keeps on disk", &["cache"]);
    /// Bytes, read at scrape time.
    CACHE_STORE_WAITING: IntGaugeVec = gauges("tollgate_cache_store_waiting_bytes", "Bytes that wait to be written to the cache's disk", &["cache"]);
    /// Since the start, read at scrape time.
    CACHE_STORE_LOST: IntGaugeVec = gauges("tollgate_cache_store_lost", "Changes that never reached the cache's disk", &["cache"]);
    /// Since the start, read at scrape time.
    CACHE_STORE_DAMAGED: IntGaugeVec = gauges("tollgate_cache_store_damaged", "Records on the cache's disk that were not what had been written", &["cache"]);
    /// Answers that were not stored.
    CACHE_SKIPPED: IntCounterVec = counters("tollgate_cache_write_skipped_total", "Answers that were not stored", &["reason"]);
    /// Hits by meaning that were asked upstream all the same.
    CACHE_EXPLORED: IntCounterVec = counters("tollgate_cache_explore_total", "Hits by meaning that were asked upstream all the same", &["route", "result"]);
    /// Fresh answers compared with stored ones.
    CACHE_COMPARED: IntCounterVec = counters("tollgate_cache_compared_total", "Fresh answers compared with what the cache could have served by meaning", &["result"]);
    /// Pairs of answers that a judge was to compare.
    CACHE_JUDGED: IntCounterVec = counters("tollgate_cache_judged_total", "Pairs of answers that a judge was to compare, by what it said", &["cache", "result"]);
    /// What judges cost.
    CACHE_JUDGE_TOKENS: IntCounterVec = counters("tollgate_cache_judge_tokens_total", "Tokens that judges read and wrote", &["cache", "gen_ai_token_type"]);
    /// Estimated precision, read at scrape time.
    CACHE_PRECISION: GaugeVec = shares("tollgate_cache_est_precision", "Estimated share of right answers among those served by meaning; where nothing is served, of the region on trial", &["cache", "route"]);
    /// Tokens that no peer had to compute.
    CACHE_SAVED: IntCounter = counter("tollgate_cache_saved_tokens_total", "Tokens of answers that came from a cache");
    /// Money that no peer had to be paid.
    CACHE_SAVED_COST: Counter = money("tollgate_cache_saved_cost_usd_total", "Cost of answers that came from a cache, by the configured prices");
    /// Requests without a price.
    UNPRICED: IntCounter = counter("tollgate_cost_unpriced_total", "Answers whose model has no configured price");
    /// Age of answers from a cache.
    CACHE_AGE: Histogram = histogram("tollgate_cache_entry_age_seconds", "Age of answers that came from a cache", &AGES);
    /// Entries that left.
    CACHE_EVICTIONS: IntCounterVec = counters("tollgate_cache_evictions_total", "Entries that left a cache by themselves", &["cache", "reason"]);
    /// Whether questions can be embedded, read at scrape time.
    EMBEDDER_READY: IntGaugeVec = gauges("tollgate_embedder_ready", "1 while the cache can serve by meaning", &["cache"]);
    /// Vectors asked for.
    EMBEDDINGS: IntCounterVec = counters("tollgate_embeddings_total", "Vectors asked for, and where they came from or why there was none", &["result"]);
    /// From asking for a vector to having it.
    EMBED_SECONDS: Histogram = histogram("tollgate_embed_seconds", "From asking for a text's vector to having it", &FINE);
    /// Vectors remembered by an embedder, read at scrape time.
    EMBED_REMEMBERED: IntGaugeVec = gauges("tollgate_embed_remembered_bytes", "Bytes of the vectors that a cache's embedder remembers", &["cache"]);
    /// Texts that wait for an embedder, read at scrape time.
    EMBED_WAITING: IntGaugeVec = gauges("tollgate_embed_waiting_texts", "Texts that wait for a cache's embedder", &["cache"]);
    /// Texts in one run of a sentence model.
    EMBED_RUN_TEXTS: Histogram = histogram("tollgate_embed_run_texts", "Texts embedded together", &BATCH);
    /// One run of a sentence model.
    EMBED_RUN_SECONDS: Histogram = histogram("tollgate_embed_run_seconds", "One run of a sentence model", &FINE);
    /// Second looks.
    RERANKS: IntCounterVec = counters("tollgate_reranks_total", "Second looks at two questions, and what they said or why there was none", &["result"]);
    /// Time of a second look.
    RERANK_SECONDS: Histogram = histogram("tollgate_rerank_seconds", "A second look at two questions", &FINE);
    /// Search alone.
    SEARCH_SECONDS: Histogram = histogram("tollgate_cache_search_seconds", "From asking the semantic index to having its nearest", &FINE);
    /// Embedding and search together.
    SEMANTIC_SECONDS: Histogram = histogram("tollgate_semantic_lookup_seconds", "Embedding and search of one lookup by meaning", &FINE);
    /// What limits decided.
    LIMIT_DECISIONS: IntCounterVec = counters("tollgate_ratelimit_decisions_total", "Decisions of the limits", &["dimension", "decision"]);
    /// Requests that hold a concurrency place, read at scrape time.
    LIMIT_IN_USE: IntGauge = gauge("tollgate_ratelimit_inflight_requests", "Requests counted by concurrency limits");
    /// Copies of requests.
    MIRRORED: IntCounterVec = counters("tollgate_mirrored_requests_total", "Copies of requests, and what became of them", &["route", "result"]);
    /// Copies that are out.
    MIRROR_INFLIGHT: IntGauge = gauge("tollgate_mirror_inflight_requests", "Copies of requests that wait for their answers or read them");
    /// Reloads.
    RELOADS: IntCounterVec = counters("tollgate_config_reloads_total", "Configurations read", &["result"]);
    /// The live configuration.
    GENERATION: IntGauge = gauge("tollgate_config_generation", "Number of the live configuration, 1 at start");
    /// Lines that could not be written.
    ERROR_LOG_DROPPED: IntCounter = counter("tollgate_error_log_dropped_total", "Error log lines lost because the log could not be written");
    /// Lines that the disk was too slow for.
    LOG_DROPPED: IntCounter = counter("tollgate_access_log_dropped_total", "Access log lines lost because the log could not be written in time");
    /// Requests whose handling ended without a log line: a panic or a connection task that was dropped.
    UNFINISHED: IntCounter = counter("tollgate_unfinished_requests_total", "Requests that ended without being logged");
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_series_is_valid_and_shows_up_in_a_scrape() {
        super::declare_all();
        let text = String::from_utf8(crate::metrics::render().expect("renders")).expect("text");
        assert!(text.contains("# TYPE tollgate_inflight_requests gauge"));
    }
}
