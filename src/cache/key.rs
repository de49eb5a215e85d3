//! Which request is which: a 256-bit key over everything that can change the answer.
//!
//! The body is hashed in a canonical form (sorted keys, no whitespace, every value with its type and length, so that no
//! two bodies share an encoding). A few fields that cannot change the answer are left out; everything else counts, also
//! what Tollgate has never heard of: a parameter forgotten in an allow-list is another request's answer served.
//!
//! `compat` covers all of it but the text of the last user turn; `exact` is `compat` and that text. Entries may be
//! compared by meaning only within one `compat`, so system prompt, history, tools and parameters always match exactly.
//!
//! Of an object's duplicate keys the last counts, as in the JSON readers of the engines. Decimals that agree in their first
//! 15 digits may be read alike; integers never are.

use serde_json::{Map, Number, Value};

/// Top-level fields that do not change the answer's content. `cache` is LiteLLM's way to steer its cache.
const IGNORED: [&str; 5] = ["cache", "metadata", "stream", "stream_options", "user"];

/// Changed whenever the same request would hash differently, so that stored keys of an older form never match.
const VERSION: &str = "tollgate-key-1";

/// Least magnitude of a number that `serde_json` may have rounded: beyond it two integers can read alike.
const ROUNDED: f64 = 18_446_744_073_709_551_616.0;

/// What a request is known by.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// What separates requests before their bodies do: scope, namespace, route, pool, endpoint. Order matters.
    pub partition: &'a [&'a str],
    /// The request body.
    pub body: &'a Value,
    /// Text of the last user turn, if the request may be answered by meaning.
    pub question: Option<&'a str>,
}

/// The identity of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Equal only for requests that deserve the same answer.
    pub exact: [u8; 32],
    /// Equal for requests that differ in nothing but the text of the last user turn.
    pub compat: [u8; 32],
    /// Text of the last user turn; `None` when the request cannot be answered by meaning.
    pub question: Option<String>,
}

/// Why a request has no identity and so passes the cache by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkeyable {
    /// A number beyond 64 bits: two different ones could read alike.
    HugeNumber,
}

impl Identity {
    /// Identifies a request.
    ///
    /// The question is taken over only if it is the very text that was left out of `compat`; otherwise the request is
    /// one that cannot be answered by meaning.
    ///
    /// # Errors
    /// [`Unkeyable`] when no key can tell this body from every other.
    pub fn of(parts: &KeyParts<'_>) -> Result<Self, Unkeyable> {
        let texts = last_user_texts(parts.body);
        let mut class = Encoder::new(&texts);
        class.text(VERSION);
        class.length(b'p', parts.partition.len());
        for part in parts.partition {
            class.text(part);
        }
        match parts.body {
            Value::Object(fields) => class.object(fields, &IGNORED)?,
            other => class.value(other)?,
        }
        let compat: [u8; 32] = class.hash.finalize().into();

        let mut all = Encoder::new(&[]);
        all.hash.update(&compat);
        all.length(b'q', texts.len());
        for text in &texts {
            all.text(text.as_str().unwrap_or_default());
        }
        let exact = all.hash.finalize().into();

        let question = parts
            .question
            .filter(|question| same_text(question, &texts))
            .map(str::to_owned);
        Ok(Self {
            exact,
            compat,
            question,
        })
    }
}

/// Writes values into a hash, each with a tag and a length, and a placeholder where a text is left out.
struct Encoder<'a> {
    hash: blake3::Hasher,
    /// Still to come, in the order in which they will: all lie in one array, and arrays keep their order.
    left_out: &'a [&'a Value],
}

impl<'a> Encoder<'a> {
    fn new(left_out: &'a [&'a Value]) -> Self {
        Self {
            hash: blake3::Hasher::new(),
            left_out,
        }
    }

    fn mark(&mut self, tag: u8) {
        self.hash.update(&[tag]);
    }

    fn length(&mut self, tag: u8, length: usize) {
        self.mark(tag);
        self.hash.update(&(length as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(b's', text.len());
        self.hash.update(text.as_bytes());
    }

    fn number(&mut self, number: &Number) -> Result<(), Unkeyable> {
        if number.is_f64() && number.as_f64().is_none_or(|n| n.abs() >= ROUNDED) {
            return Err(Unkeyable::HugeNumber);
        }
        let text = number.to_string();
        self.length(b'n', text.len());
        self.hash.update(text.as_bytes());
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), Unkeyable> {
        match value {
            Value::Null => self.mark(b'0'),
            Value::Bool(true) => self.mark(b't'),
            Value::Bool(false) => self.mark(b'f'),
            Value::Number(number) => self.number(number)?,
            Value::String(text) => match self.left_out.split_first() {
                Some((next, later)) if std::ptr::eq(*next, value) => {
                    self.left_out = later;
                    self.mark(b'_');
                }
                _ => self.text(text),
            },
            Value::Array(items) => {
                self.length(b'a', items.len());
                for item in items {
                    self.value(item)?;
                }
            }
            Value::Object(fields) => self.object(fields, &[])?,
        }
        Ok(())
    }

    fn object(&mut self, fields: &Map<String, Value>, ignored: &[&str]) -> Result<(), Unkeyable> {
        let mut sorted: Vec<_> = fields
            .iter()
            .filter(|(name, _)| !ignored.contains(&name.as_str()))
            .collect();
        // The map is sorted already unless some dependency turns insertion order on for the whole build.
        sorted.sort_unstable_by(|a, b| a.0.cmp(b.0));
        self.length(b'o', sorted.len());
        for (name, value) in sorted {
            self.text(name);
            self.value(value)?;
        }
        Ok(())
    }
}

/// The string values that make up the text of the last turn, if that turn is a user's: chat completions and messages
/// (`messages`), responses (`input`) and completions (`prompt`).
fn last_user_texts(body: &Value) -> Vec<&Value> {
    let turns = ["messages", "input", "prompt"]
        .iter()
        .find_map(|name| body.get(name));
    match turns {
        Some(text @ Value::String(_)) => vec![text],
        Some(Value::Array(items)) => items
            .last()
            .filter(|last| is_user(last))
            .map_or_else(Vec::new, content_texts),
        _ => Vec::new(),
    }
}

fn is_user(turn: &Value) -> bool {
    turn.get("role").and_then(Value::as_str) == Some("user")
}

fn content_texts(turn: &Value) -> Vec<&Value> {
    match turn.get("content") {
        Some(text @ Value::String(_)) => vec![text],
        Some(Value::Array(parts)) => parts.iter().filter_map(part_text).collect(),
        _ => Vec::new(),
    }
}

fn part_text(part: &Value) -> Option<&Value> {
    let kind = part.get("type").and_then(Value::as_str)?;
    let text = part.get("text").filter(|text| text.is_string())?;
    matches!(kind, "text" | "input_text").then_some(text)
}

/// Whether `question` is the texts in their order, however they were joined.
fn same_text(question: &str, texts: &[&Value]) -> bool {
    let whole = texts
        .iter()
        .filter_map(|text| text.as_str())
        .flat_map(str::chars);
    !texts.is_empty()
        && question
            .chars()
            .filter(|c| !c.is_whitespace())
            .eq(whole.filter(|c| !c.is_whitespace()))
}

#[cfg(test)]
mod tests;
