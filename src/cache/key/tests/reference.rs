//! The key as it is defined, over a tree of values: what the encoder must agree with, bit for bit.

use serde_json::{Map, Number, Value};

use super::super::{IGNORED, Unkeyable, VERSION};

const ROUNDED: f64 = 18_446_744_073_709_551_616.0;

/// `exact` and `compat` of a request.
pub(super) fn keys(partition: &[&str], body: &Value) -> Result<([u8; 32], [u8; 32]), Unkeyable> {
    let texts = last_user_texts(body);
    let mut class = Encoder::new(&texts);
    class.text(VERSION);
    match body {
        Value::Object(fields) => class.object(fields, &IGNORED)?,
        other => class.value(other)?,
    }
    let class: [u8; 32] = class.hash.finalize().into();
    let mut all = Encoder::new(&[]);
    all.hash.update(&class);
    all.length(b'q', texts.len());
    for text in &texts {
        all.text(text.as_str().unwrap_or_default());
    }
    let whole = all.hash.finalize().into();
    let of = |tag, body: [u8; 32]| {
        let mut all = Encoder::new(&[]);
        all.length(b'p', partition.len());
        for part in partition {
            all.text(part);
        }
        all.mark(tag);
        all.hash.update(&body);
        all.hash.finalize().into()
    };
    Ok((of(b'e', whole), of(b'c', class)))
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
        let mut left = length;
        while left > 0x7f {
            self.mark(0x80 + (left % 0x80) as u8);
            left /= 0x80;
        }
        self.mark(left as u8);
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
