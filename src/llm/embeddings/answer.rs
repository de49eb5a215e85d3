//! An answer to a request for embeddings taken apart, and put together from parts that came at different times.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::endpoint::Endpoint;
use super::super::usage::Usage;
use super::{Fields, items, part, push_name};

/// An answer taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    /// The fields of the whole, in their order; that of the items is empty.
    frame: Vec<(String, Bytes)>,
    items: Vec<Bytes>,
    /// Tokens of all inputs together, as reported.
    pub tokens: u64,
    /// The model that answered, by its own word.
    pub model: String,
}

impl Vectors {
    /// Takes the answer to a request for `asked` inputs apart. `None` if it does not have that many items in their
    /// order, each with an embedding.
    #[must_use]
    pub fn of(answer: &Bytes, asked: usize) -> Option<Self> {
        let Fields(fields) = serde_json::from_slice(answer).ok()?;
        let mut frame = Vec::with_capacity(fields.len());
        let mut data = None;
        let mut model = String::new();
        for (name, value) in fields {
            match (&*name, value.get()) {
                ("error", error) if error != "null" => return None,
                ("data", list) => {
                    // Of two lists nobody could say which counts.
                    if data.replace(list).is_some() {
                        return None;
                    }
                    frame.push((name.into_owned(), Bytes::new()));
                    continue;
                }
                ("model", text) => model = serde_json::from_str(text).unwrap_or_default(),
                _ => {}
            }
            frame.push((name.into_owned(), part(answer, value)));
        }
        let items = items(data?)?;
        if items.len() != asked {
            return None;
        }
        let items = items.into_iter().enumerate();
        let items = items
            .map(|(at, item)| stored(item, at))
            .collect::<Option<_>>()?;
        let usage = Usage::of_answer(Endpoint::Embeddings, answer);
        Some(Self {
            frame,
            items,
            tokens: usage.map_or(0, |usage| usage.input_tokens),
            model,
        })
    }

    /// Its items in their order, each in a form that stands for itself.
    #[must_use]
    pub fn items(&self) -> &[Bytes] {
        &self.items
    }

    /// This answer with these items instead of its own.
    #[must_use]
    pub fn with<'a>(&self, items: impl Iterator<Item = &'a [u8]>) -> Bytes {
        let mut items = Some(items);
        let mut out = Vec::new();
        for (n, (name, value)) in self.frame.iter().enumerate() {
            out.push(if n == 0 { b'{' } else { b',' });
            push_name(name, &mut out);
            match (name.as_str(), items.take()) {
                ("data", Some(items)) => push_items(items, &mut out),
                (_, unused) => {
                    items = unused;
                    out.extend_from_slice(value);
                }
            }
        }
        out.push(b'}');
        out.into()
    }
}

/// An answer of stored items alone. No peer computed anything for it, and so its usage says.
#[must_use]
pub fn whole<'a>(model: &str, items: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut out = br#"{"object":"list","data":"#.to_vec();
    push_items(items, &mut out);
    out.extend_from_slice(br#","model":"#);
    // Writing a text to memory cannot fail.
    let _ = serde_json::to_writer(&mut out, model);
    out.extend_from_slice(br#","usage":{"prompt_tokens":0,"total_tokens":0}}"#);
    out.into()
}

/// Shares `total` out in proportion to `sizes`. The shares add up to `total`.
#[must_use]
pub fn shares(total: u64, sizes: &[usize]) -> Vec<u64> {
    let sum: u128 = sizes.iter().map(|size| *size as u128).sum::<u128>().max(1);
    let mut seen = 0_u128;
    let mut given = 0;
    sizes
        .iter()
        .map(|size| {
            seen += *size as u128;
            let upto = u64::try_from(u128::from(total) * seen / sum).unwrap_or(total);
            let share = upto - given;
            given = upto;
            share
        })
        .collect()
}

/// An item without its place. `None` if it is not the one at `at`, or has no embedding.
fn stored(item: &RawValue, at: usize) -> Option<Bytes> {
    let Fields(fields) = serde_json::from_str(item.get()).ok()?;
    let mut out = Vec::with_capacity(item.get().len() + 16);
    let (mut place, mut embedding) = (None, false);
    for (name, value) in fields {
        match &*name {
            "index" => {
                place = Some(value.get().parse::<usize>().ok()?);
                continue;
            }
            "embedding" => embedding = is_embedding(value.get()),
            _ => {}
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        push_name(&name, &mut out);
        out.extend_from_slice(value.get().as_bytes());
    }
    out.push(b'}');
    (embedding && place == Some(at)).then(|| out.into())
}

/// A list of numbers, or the same in base64; neither empty.
fn is_embedding(value: &str) -> bool {
    let mut inside = value.bytes().skip(1).skip_while(u8::is_ascii_whitespace);
    match (value.bytes().next(), inside.next()) {
        (Some(b'['), Some(first)) => first == b'-' || first.is_ascii_digit(),
        (Some(b'"'), Some(first)) => first != b'"',
        _ => false,
    }
}

/// Writes items with their places. What is stored ends with the object's brace, and the place goes before that.
fn push_items<'a>(items: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.strip_suffix(b"}").unwrap_or(item));
        out.extend_from_slice(format!(",\"index\":{at}}}").as_bytes());
    }
    out.push(b']');
}
