//! `caches`: who may get whose answers, for how long, and what answering by meaning rests on.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

/// A cache of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Name in the file.
    pub name: String,
    /// Who may get whose answers.
    pub scope: Scope,
    /// Life of an entry.
    pub ttl: Duration,
    /// Other lives for some questions; the first that matches counts.
    pub ttl_rules: Vec<TtlRule>,
    /// How long after its life an answer is still served while a fresh one is fetched; zero = not.
    pub stale_while_revalidate: Duration,
    /// How long after its life an answer is served when no peer can give a fresh one; zero = not.
    pub stale_if_error: Duration,
    /// Whether requests alike that are in flight share one upstream call.
    pub single_flight: SingleFlight,
    /// Bytes of all entries together.
    pub max_bytes: u64,
    /// Largest answer that is stored, in bytes.
    pub max_entry_bytes: u64,
    /// Where answers are kept on disk; `None` = in memory only.
    pub store: Option<Store>,
    /// Share of lookups that should be hits, 0 to 1; below it a warning is logged. Zero = never.
    pub min_hit_ratio: f64,
    /// Serving by meaning; `None` = exact only.
    pub semantic: Option<Semantic>,
}

/// Who may get whose answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The same key only.
    Key,
    /// Keys of the same tenant.
    Tenant,
    /// Everybody.
    Global,
}

/// The life of answers to some questions.
#[derive(Debug, Clone, PartialEq)]
pub struct TtlRule {
    /// Which questions.
    pub when: TtlWhen,
    /// Their answers' life; zero = not stored.
    pub ttl: Duration,
}

/// Which questions a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub enum TtlWhen {
    /// Those whose answer changes by itself: today's news, prices, weather.
    Volatile,
    /// Those whose text this finds.
    Pattern(Pattern),
}

/// A regular expression, equal to another of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Whether requests alike that are in flight share one upstream call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleFlight {
    /// Each goes upstream by itself.
    Off,
    /// Those that come later follow the first.
    On {
        /// Longest wait for the first byte of the one followed.
        max_wait: Duration,
    },
}

/// Answers on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// Its answers' bytes together.
    pub max_bytes: u64,
}

/// Serving by meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Semantic {
    /// Whether what is found is served.
    pub mode: SemanticMode,
    /// When an answer is near enough.
    pub decision: Decision,
    /// Whether questions that differ in a number, a name, a negation are kept apart whatever their similarity.
    pub guard: bool,
    /// Fewest words of a question.
    pub min_words: usize,
    /// Most vectors held; the oldest leave first.
    pub max_entries: usize,
    /// Time an embedding may take before the lookup is a miss.
    pub deadline: Duration,
    /// Requests with a higher `temperature` are not served by meaning. Absent temperature counts as 1.
    pub max_temperature: f64,
    /// The sentence model.
    pub embedder: Embedder,
    /// A second look at pairs that are neither near nor far; `None` = none.
    pub reranker: Option<Reranker>,
    /// A model that says whether two answers mean the same; `None` = their texts and vectors are compared.
    pub judge: Option<Judge>,
}

impl Semantic {
    /// Least similarity that can be served at all.
    #[must_use]
    pub fn floor(&self) -> f32 {
        match self.decision {
            Decision::Threshold(threshold) => threshold,
            Decision::Verified { .. } => 0.0,
        }
    }
}

/// Whether what is found by meaning is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SemanticMode {
    /// Decided and counted, never served.
    Shadow,
    /// Served.
    Serve,
}

/// When an answer is near enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// From this cosine similarity on, 0 to 1.
    Threshold(f32),
    /// Where what was seen so far says that it is right often enough.
    Verified {
        /// Largest share of wrong answers among those served by meaning, above 0, below 1.
        max_error_rate: f64,
        /// Share of those served that is asked upstream all the same, to learn, 0 to 1.
        explore: f64,
    },
}

/// A sentence model on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedder {
    /// Name of the model, part of the compatibility class.
    pub model: String,
    /// Directory with `model.onnx`, `tokenizer.json`, `config.json`, `special_tokens_map.json`, `tokenizer_config.json`.
    pub path: PathBuf,
    /// `libonnxruntime`; `None` = `ORT_DYLIB_PATH`, else `libonnxruntime.so` inside `path`.
    pub library: Option<PathBuf>,
    /// Embedding threads, each with its own session.
    pub threads: usize,
    /// How token vectors become one; `None` = as the directory says.
    pub pooling: Option<Pooling>,
    /// Put in front of each text; `None` = as the directory says.
    pub prefix: Option<String>,
    /// Vectors of texts seen before, in bytes; 0 = none are kept.
    pub cache_bytes: u64,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first.
    Cls,
    /// That of the last.
    LastToken,
}

/// A model that looks at two questions together.
#[derive(Debug, Clone, PartialEq)]
pub struct Reranker {
    /// Directory with `model.onnx` and the tokenizer's files.
    pub path: PathBuf,
    /// Cosine similarities that deserve the second look, both ends included.
    pub band: (f32, f32),
    /// Least score, 0 to 1, of questions that mean the same.
    pub accept: f32,
}

/// A model of a pool that says whether two answers mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judge {
    /// Name of an existing pool.
    pub pool: String,
    /// Model that is asked.
    pub model: String,
}
