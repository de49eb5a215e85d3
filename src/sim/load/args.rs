//! Flags of `tollgate load`.

use std::path::PathBuf;
use std::time::Duration;

use crate::sim::server::{positive, share};

/// Flags of `tollgate load`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Base URL of what is tested.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,
    /// Path the requests go to; it decides the form of their bodies.
    #[arg(long, default_value = "/v1/chat/completions", value_name = "PATH")]
    pub target_path: String,
    /// CSV with the columns arrival_s, input_tokens, output_tokens.
    #[arg(long, value_name = "CSV", conflicts_with_all = ["prompts", "rate"])]
    pub trace: Option<PathBuf>,
    /// JSON lines, `-` for standard input: {"prompt"}, {"messages"}, or AIBrix's {"timestamp", "requests"}, which says
    /// when; the others need --rate. Packed files: zcat FILE | tollgate load --prompts -
    #[arg(long, value_name = "JSONL")]
    pub prompts: Option<PathBuf>,
    /// Requests per second, at random times (Poisson).
    #[arg(long, value_name = "R", value_parser = positive)]
    pub rate: Option<f64>,
    /// How long requests are sent.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// At most so many requests.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Divides the times of a trace: 2 is twice the rate.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = positive)]
    pub scale_rate: f64,
    /// Multiplies the token counts.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = positive)]
    pub scale_tokens: f64,
    /// Prompt tokens of the requests of --rate.
    #[arg(long, default_value_t = 256, value_name = "TOKENS")]
    pub input_tokens: u32,
    /// Output tokens of the requests of --rate.
    #[arg(long, default_value_t = 64, value_name = "TOKENS")]
    pub output_tokens: u32,
    /// Share of the requests that repeat one of the last 1,000 prompts.
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = share)]
    pub repeat_share: f64,
    /// Model that is asked for.
    #[arg(long, default_value = "sim", value_name = "MODEL")]
    pub model: String,
    /// Key, sent as `Authorization: Bearer`.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Ask for streams, which is the default.
    #[arg(long, overrides_with = "no_stream")]
    pub stream: bool,
    /// Ask for whole answers; their first byte counts as the first token.
    #[arg(long)]
    pub no_stream: bool,
    /// Seed of times and prompts.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
    /// Time to the first token within which an answer counts as good.
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub goodput_ttft: Duration,
    /// Longest time of one request, from its scheduled start.
    #[arg(long, default_value = "5m", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Connections at most; a request that waits for one is late, and that counts in its times.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
