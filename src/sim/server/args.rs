//! Flags of `tollgate sim`, and the settings they become.

use std::net::{Ipv4Addr, SocketAddr};

use crate::sim::engine::Rates;

use super::fault::Fault;

/// Flags of `tollgate sim`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Name of this engine, sent back as `x-sim-peer`.
    #[arg(long, default_value = "sim", value_name = "NAME")]
    pub name: String,
    /// Models it serves, separated by commas; others get a 404. Without it, any model is served.
    #[arg(long, value_delimiter = ',', value_name = "MODELS")]
    pub models: Vec<String>,
    /// Multiplies every rate of the engine.
    #[arg(long, default_value_t = 1.0, value_parser = positive, value_name = "X")]
    pub speed: f64,
    /// Prompt tokens computed per second.
    #[arg(long, default_value_t = Rates::default().prefill_rate, value_parser = positive, value_name = "TOKENS")]
    pub prefill_rate: f64,
    /// Fixed time of a decoding step, in milliseconds.
    #[arg(long, default_value_t = Rates::default().step_base_ms, value_parser = not_negative, value_name = "MS")]
    pub step_base_ms: f64,
    /// Time each decoding sequence adds to a step, in milliseconds.
    #[arg(long, default_value_t = Rates::default().step_per_seq_ms, value_parser = not_negative, value_name = "MS")]
    pub step_per_seq_ms: f64,
    /// Time each thousand tokens of decoding context add to a step, in milliseconds.
    #[arg(long, default_value_t = Rates::default().step_per_kctx_ms, value_parser = not_negative, value_name = "MS")]
    pub step_per_kctx_ms: f64,
    /// Fixed time of a step that only computes prompts, in milliseconds.
    #[arg(long, default_value_t = Rates::default().prefill_base_ms, value_parser = not_negative, value_name = "MS")]
    pub prefill_base_ms: f64,
    /// Tokens one step may process.
    #[arg(long, default_value_t = Rates::default().step_tokens, value_parser = clap::value_parser!(u32).range(1..), value_name = "TOKENS")]
    pub step_tokens: u32,
    /// Sequences that may run at once.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_running: u32,
    /// KV memory in tokens; also the longest prompt plus output.
    #[arg(long, default_value_t = Rates::default().kv_tokens, value_parser = clap::value_parser!(u32).range(16..), value_name = "TOKENS")]
    pub kv_tokens: u32,
    /// Divides every simulated time; 10 runs ten times as fast, queues and all.
    #[arg(long, default_value_t = 1.0, value_parser = positive, value_name = "X")]
    pub time_scale: f64,
    /// Seed of ids and of the draws of faults. Texts depend on the prompt alone.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub seed: u64,
    /// A fault for every request: refuse, refuse-late, stale, hang, stall, cut, bad-chunk, drop-after-header, half-head,
    /// bad-json, no-done, filtered, slow:MS, or a status such as 500. A number of events may follow stall, cut, bad-chunk
    /// and bad-json (cut:5), a Retry-After the status (429:2).
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<Fault>,
    /// Share of the requests that `--fault` strikes.
    #[arg(long, default_value_t = 1.0, value_parser = share, value_name = "P")]
    pub fault_probability: f64,
    /// Send the response head of a stream at once, not with its first token.
    #[arg(long)]
    pub early_headers: bool,
}

/// Settings of one simulated engine.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Name sent back as `x-sim-peer`.
    pub name: String,
    /// Models it serves; empty means any.
    pub models: Vec<String>,
    /// Speeds and capacities.
    pub rates: Rates,
    /// Divides every simulated time.
    pub time_scale: f64,
    /// Seed of ids and of the draws of faults.
    pub seed: u64,
    /// A fault from the start, until one is set or deleted over `/sim/fault`.
    pub fault: Option<Fault>,
    /// Share of the requests that `fault` strikes.
    pub fault_probability: f64,
    /// Whether the head of a stream is sent before its first token.
    pub early_headers: bool,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            name: "sim".to_owned(),
            models: Vec::new(),
            rates: Rates::default(),
            time_scale: 1.0,
            seed: 0,
            fault: None,
            fault_probability: 1.0,
            early_headers: false,
        }
    }
}

impl From<SimArgs> for SimConfig {
    fn from(args: SimArgs) -> Self {
        let rates = Rates {
            speed: args.speed,
            prefill_rate: args.prefill_rate,
            step_base_ms: args.step_base_ms,
            step_per_seq_ms: args.step_per_seq_ms,
            step_per_kctx_ms: args.step_per_kctx_ms,
            prefill_base_ms: args.prefill_base_ms,
            step_tokens: args.step_tokens,
            max_running: args.max_running as usize,
            kv_tokens: args.kv_tokens,
        };
        Self {
            listen: args.listen,
            name: args.name,
            models: args.models,
            rates,
            time_scale: args.time_scale,
            seed: args.seed,
            fault: args.fault,
            fault_probability: args.fault_probability,
            early_headers: args.early_headers,
        }
    }
}

/// A finite number above zero, for a flag.
pub(in crate::sim) fn positive(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| *value > 0.0)
        .ok_or_else(|| "must be a number above 0".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| *value >= 0.0)
        .ok_or_else(|| "must be a number, 0 or more".to_owned())
}

/// A number from 0 to 1, for a flag.
pub(in crate::sim) fn share(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| (0.0..=1.0).contains(value))
        .ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}
