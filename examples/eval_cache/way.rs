//! Ways of deciding whether an answer is near enough.

use std::fmt;
use std::str::FromStr;

/// One cache of the gateway under test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// The same request only.
    Exact,
    /// From a fixed similarity on.
    Threshold {
        /// Cosine similarity.
        least: f64,
        /// Whether the guard looks too.
        guard: bool,
    },
    /// A promised share of wrong answers.
    Verified {
        /// The share.
        most: f64,
        /// Whether the guard looks too.
        guard: bool,
    },
}

/// The fixed thresholds that are measured.
const THRESHOLDS: [f64; 7] = [0.80, 0.85, 0.90, 0.92, 0.94, 0.96, 0.98];

/// The promises that are measured.
const PROMISES: [f64; 3] = [0.01, 0.02, 0.05];

impl Way {
    /// All that are measured unless told otherwise.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Exact];
        for guard in [false, true] {
            all.extend(THRESHOLDS.map(|least| Self::Threshold { least, guard }));
        }
        for guard in [true, false] {
            all.extend(PROMISES.map(|most| Self::Verified { most, guard }));
        }
        all
    }

    /// The `semantic` section of its cache.
    pub(crate) fn config(self, embedder: &str) -> String {
        let decision = match self {
            Self::Exact => return "off".to_owned(),
            Self::Threshold { least, guard } => format!("threshold: {least}, guard: {}", on(guard)),
            Self::Verified { most, guard } => {
                format!("max_error_rate: {most}, guard: {}", on(guard))
            }
        };
        format!(
            "{{ mode: serve, {decision}, max_entries: 1000000, deadline: 10s, embedder: {embedder} }}"
        )
    }
}

fn on(guard: bool) -> &'static str {
    if guard { "on" } else { "off" }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "exact"),
            Self::Threshold {
                least,
                guard: false,
            } => write!(f, "{least:.2}"),
            Self::Threshold { least, guard: true } => write!(f, "guard-{least:.2}"),
            Self::Verified { most, guard: true } => write!(f, "verified-{most:.2}"),
            Self::Verified { most, guard: false } => write!(f, "bare-{most:.2}"),
        }
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "exact" {
            return Ok(Self::Exact);
        }
        let (kind, number) = text.rsplit_once('-').unwrap_or(("", text));
        let number: f64 = number
            .parse()
            .map_err(|_| format!("{text:?}: no way of deciding"))?;
        match kind {
            "" => Ok(Self::Threshold {
                least: number,
                guard: false,
            }),
            "guard" => Ok(Self::Threshold {
                least: number,
                guard: true,
            }),
            "verified" => Ok(Self::Verified {
                most: number,
                guard: true,
            }),
            "bare" => Ok(Self::Verified {
                most: number,
                guard: false,
            }),
            _ => Err(format!("{text:?}: no way of deciding")),
        }
    }
}
