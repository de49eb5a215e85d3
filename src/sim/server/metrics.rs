//! The engine's metrics under the names that vLLM uses, in Prometheus text.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::sim::engine::{BLOCK_TOKENS, Histogram};

use super::app::App;
use super::generate::DEFAULT_MODEL;

/// All metrics as text.
pub(super) fn render(app: &App) -> String {
    let (load, stats) = app.driver.look();
    let model = app
        .config
        .models
        .first()
        .map_or(DEFAULT_MODEL, String::as_str);
    let mut page = Page {
        text: String::with_capacity(8192),
        labels: format!("model_name=\"{}\"", escape(model)),
    };
    page.gauge(
        "num_requests_running",
        "Requests in the batch",
        load.running as f64,
    );
    page.gauge(
        "num_requests_waiting",
        "Requests in the queue",
        load.waiting as f64,
    );
    let usage = f64::from(load.kv_used) / f64::from(load.kv_blocks.max(1));
    page.gauge("kv_cache_usage_perc", "KV memory in use, 1 is all", usage);
    page.gauge(
        "gpu_cache_usage_perc",
        "KV memory in use under its older name",
        usage,
    );
    page.info(&format!(
        "block_size=\"{BLOCK_TOKENS}\",enable_prefix_caching=\"True\",num_gpu_blocks=\"{}\"",
        load.kv_blocks
    ));
    page.counter(
        "num_preemptions_total",
        "Requests that lost their memory",
        stats.preempted,
    );
    page.counter("prompt_tokens_total", "Prompt tokens", stats.prompt_tokens);
    page.counter(
        "generation_tokens_total",
        "Generated tokens",
        stats.generated_tokens,
    );
    page.counter(
        "prefix_cache_queries_total",
        "Prompt tokens looked up in memory",
        stats.prompt_tokens,
    );
    page.counter(
        "prefix_cache_hits_total",
        "Prompt tokens found in memory",
        stats.cached_tokens,
    );
    page.head(
        "request_success_total",
        "Texts generated to their end",
        "counter",
    );
    for (reason, count) in [
        ("stop", &app.counts.stopped),
        ("length", &app.counts.cut_to_length),
    ] {
        let reason = format!(",finished_reason=\"{reason}\"");
        page.sample(
            "request_success_total",
            &reason,
            count.load(Ordering::Relaxed) as f64,
        );
    }
    page.histogram(
        "time_to_first_token_seconds",
        "From arrival to the first token",
        &stats.first_token,
    );
    page.histogram(
        "time_per_output_token_seconds",
        "Between tokens, mean of a request",
        &stats.per_token,
    );
    page.histogram(
        "request_queue_time_seconds",
        "From arrival to admission",
        &stats.queued,
    );
    page.histogram(
        "e2e_request_latency_seconds",
        "From arrival to the end",
        &stats.total,
    );
    page.text
}

struct Page {
    text: String,
    labels: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!(
            "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}"
        ));
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.sample(name, "", value as f64);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut count = 0;
        for (bound, at_most) in histogram.cumulative() {
            let bound = if bound.is_infinite() {
                "+Inf".to_owned()
            } else {
                format!("{bound:?}")
            };
            self.sample(
                &format!("{name}_bucket"),
                &format!(",le=\"{bound}\""),
                at_most as f64,
            );
            count = at_most;
        }
        self.sample(&format!("{name}_count"), "", count as f64);
        self.sample(&format!("{name}_sum"), "", histogram.sum());
    }

    fn info(&mut self, labels: &str) {
        self.head("cache_config_info", "Settings of the KV memory", "gauge");
        self.line(format_args!("vllm:cache_config_info{{{labels}}} 1.0"));
    }

    fn sample(&mut self, name: &str, more: &str, value: f64) {
        let labels = std::mem::take(&mut self.labels);
        self.line(format_args!("vllm:{name}{{{labels}{more}}} {value:?}"));
        self.labels = labels;
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
