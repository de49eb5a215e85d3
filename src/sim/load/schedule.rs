//! What is sent when: from a trace, from prompts, or at a rate. Decided before anything is sent, so that no answer can
//! change it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::LoadArgs;

/// One request to send.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    /// When, counted from the start.
    pub(super) at: Duration,
    pub(super) prompt: Arc<Prompt>,
    /// Tokens to ask for, exactly; `None` leaves it to the model.
    pub(super) output: Option<u32>,
}

/// What a request says.
#[derive(Debug, PartialEq)]
pub(super) enum Prompt {
    /// So many tokens of words that follow from the seed.
    Words { seed: u64, tokens: u32 },
    /// A text.
    Text(String),
    /// A conversation in OpenAI's form.
    Messages(Value),
}

/// Requests in order of time.
pub(super) type Schedule = Box<dyn Iterator<Item = Result<Item, String>> + Send>;

/// How many earlier prompts can be repeated.
const REMEMBERED: usize = 1000;

/// Reads or draws the schedule that the flags describe.
///
/// # Errors
/// What is wrong with the flags or the file, in one line.
pub(super) fn schedule(args: &LoadArgs) -> Result<Schedule, String> {
    let base = match (&args.trace, &args.prompts, args.rate) {
        (Some(trace), ..) => from_trace(open(trace)?, args)?,
        (None, Some(prompts), _) => from_prompts(open(prompts)?, args),
        (None, None, Some(rate)) => {
            if args.duration.is_none() && args.limit.is_none() {
                return Err("--rate needs --duration or --limit".to_owned());
            }
            let (seed, tokens, output) = (
                args.seed,
                scale(args.input_tokens, args),
                scale(args.output_tokens, args),
            );
            let times = poisson(rate, seed);
            Box::new(times.zip(0..).map(move |(at, index)| {
                let prompt = Arc::new(Prompt::Words {
                    seed: prompt_seed(seed, index),
                    tokens,
                });
                Ok(Item {
                    at,
                    prompt,
                    output: Some(output),
                })
            }))
        }
        (None, None, None) => {
            return Err("one of --trace, --prompts and --rate is needed".to_owned());
        }
    };
    let until = args.duration.unwrap_or(Duration::MAX);
    let in_time = base.take_while(move |item| item.as_ref().map_or(true, |item| item.at < until));
    let limited = in_time.take(args.limit.unwrap_or(usize::MAX));
    Ok(if args.repeat_share > 0.0 {
        Box::new(repeat(limited, args.repeat_share, args.seed))
    } else {
        Box::new(limited)
    })
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, String> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Box::new(file))
}

fn scale(tokens: u32, args: &LoadArgs) -> u32 {
    // Saturates at both ends; a request has at least one token of each kind.
    ((f64::from(tokens) * args.scale_tokens).round() as u32).max(1)
}

fn prompt_seed(seed: u64, index: u64) -> u64 {
    crate::sim::text::hash(seed, &index.to_le_bytes())
}

/// Random times with exponential gaps.
fn poisson(rate: f64, seed: u64) -> impl Iterator<Item = Duration> + Send {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x7469_6d65);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        at -= (1.0 - rng.f64()).ln() / rate;
        Duration::from_secs_f64(at)
    })
}

#[derive(Deserialize)]
struct Row {
    arrival_s: f64,
    input_tokens: u32,
    output_tokens: u32,
}

/// Reads the whole trace first: an error in its last line is told before the first request.
fn from_trace(input: impl Read, args: &LoadArgs) -> Result<Schedule, String> {
    let mut items = Vec::new();
    for (index, row) in csv::Reader::from_reader(input)
        .into_deserialize::<Row>()
        .enumerate()
    {
        let row = row.map_err(|error| format!("trace: {error}"))?;
        let at = Duration::try_from_secs_f64(row.arrival_s / args.scale_rate).map_err(|error| {
            format!(
                "trace: row {}: arrival_s {}: {error}",
                index + 1,
                row.arrival_s
            )
        })?;
        let seed = prompt_seed(args.seed, index as u64);
        let prompt = Arc::new(Prompt::Words {
            seed,
            tokens: scale(row.input_tokens, args),
        });
        items.push(Item {
            at,
            prompt,
            output: Some(scale(row.output_tokens, args)),
        });
    }
    items.sort_by_key(|item| item.at);
    Ok(Box::new(items.into_iter().map(Ok)))
}

#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    messages: Option<Value>,
    /// Milliseconds.
    timestamp: Option<f64>,
    requests: Option<Vec<AibrixRequest>>,
}

#[derive(Deserialize)]
struct AibrixRequest {
    prompt: String,
    #[serde(rename = "Output Length")]
    output: Option<u32>,
}

fn from_prompts(input: impl Read + Send + 'static, args: &LoadArgs) -> Schedule {
    let mut times = args.rate.map(|rate| poisson(rate, args.seed));
    let args = args.clone();
    let lines = BufReader::new(input).lines().zip(1..);
    Box::new(lines.flat_map(move |(line, number)| {
        let line = line.map_err(|error| error.to_string());
        let items = line.and_then(|line| {
            if line.trim().is_empty() {
                Ok(Vec::new())
            } else {
                read_line(&line, &mut times, &args)
            }
        });
        match items {
            Ok(items) => items.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(format!("prompts: line {number}: {error}"))],
        }
    }))
}

fn read_line(
    line: &str,
    times: &mut Option<impl Iterator<Item = Duration>>,
    args: &LoadArgs,
) -> Result<Vec<Item>, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let prompts: Vec<(Prompt, Option<u32>)> = match (line.requests, line.prompt, line.messages) {
        (Some(requests), ..) => requests
            .into_iter()
            .map(|request| {
                (
                    Prompt::Text(request.prompt),
                    request.output.map(|tokens| scale(tokens, args)),
                )
            })
            .collect(),
        (None, Some(prompt), _) => vec![(Prompt::Text(prompt), None)],
        (None, None, Some(messages)) => vec![(Prompt::Messages(messages), None)],
        (None, None, None) => return Err("neither prompt nor messages nor requests".to_owned()),
    };
    let mut items = Vec::with_capacity(prompts.len());
    for (prompt, output) in prompts {
        let drawn = times.as_mut().and_then(Iterator::next);
        let at = match (drawn, line.timestamp) {
            (Some(at), _) => at,
            (None, Some(ms)) => Duration::try_from_secs_f64(ms / 1000.0 / args.scale_rate)
                .map_err(|e| e.to_string())?,
            (None, None) => return Err("no timestamp: --rate is needed".to_owned()),
        };
        items.push(Item {
            at,
            prompt: Arc::new(prompt),
            output,
        });
    }
    Ok(items)
}

/// Replaces a share of the requests by repetitions of earlier ones.
fn repeat(
    base: impl Iterator<Item = Result<Item, String>>,
    share: f64,
    seed: u64,
) -> impl Iterator<Item = Result<Item, String>> {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x7265_7065_6174);
    let mut earlier: VecDeque<(Arc<Prompt>, Option<u32>)> = VecDeque::new();
    base.map(move |item| {
        let mut item = item?;
        if !earlier.is_empty() && rng.f64() < share {
            let (prompt, output) = &earlier[rng.usize(..earlier.len())];
            (item.prompt, item.output) = (prompt.clone(), *output);
        } else {
            if earlier.len() == REMEMBERED {
                earlier.pop_front();
            }
            earlier.push_back((item.prompt.clone(), item.output));
        }
        Ok(item)
    })
}
