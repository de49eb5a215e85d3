//! A request for embeddings taken apart.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Fields, items, part, push_name};

/// Most inputs that are looked at one by one; OpenAI takes 2,048.
const MOST: usize = 4096;

/// A request for embeddings, whose inputs each have an answer of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Everything but `input`, in its order.
    others: Vec<(String, Bytes)>,
    inputs: Vec<Input>,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As it is written.
    pub raw: Bytes,
    /// Equal for inputs that say the same, however they are written; texts and lists of tokens never are.
    pub digest: [u8; 32],
}

impl Inputs {
    /// Takes a request body apart. `None` if its `input` is neither text, nor tokens, nor a list of one of these, or
    /// has more than 4,096 of them.
    #[must_use]
    pub fn of(body: &Bytes) -> Option<Self> {
        let Fields(fields) = serde_json::from_slice(body).ok()?;
        let mut input = None;
        let mut others = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            // Of fields with one name the last counts.
            match &*name {
                "input" => input = Some(value),
                _ => others.push((name.into_owned(), part(body, value))),
            }
        }
        let input = input?;
        let alone = digest(input.get());
        let inputs = match alone {
            Some(digest) => vec![Input {
                raw: part(body, input),
                digest,
            }],
            None => items(input.get())?
                .into_iter()
                .take(MOST + 1)
                .map(|input| {
                    Some(Input {
                        raw: part(body, input),
                        digest: digest(input.get())?,
                    })
                })
                .collect::<Option<_>>()?,
        };
        let some = (1..=MOST).contains(&inputs.len());
        some.then_some(Self { others, inputs })
    }

    /// The inputs in their order; at least one.
    #[must_use]
    pub fn each(&self) -> &[Input] {
        &self.inputs
    }

    /// The request without any input: what its answers depend on besides.
    #[must_use]
    pub fn frame(&self) -> Bytes {
        self.with(None)
    }

    /// The same request for these inputs only, by their places.
    #[must_use]
    pub fn only(&self, places: &[usize]) -> Bytes {
        let mut list = vec![b'['];
        for (n, input) in places
            .iter()
            .filter_map(|at| self.inputs.get(*at))
            .enumerate()
        {
            if n > 0 {
                list.push(b',');
            }
            list.extend_from_slice(&input.raw);
        }
        list.push(b']');
        self.with(Some(&list))
    }

    fn with(&self, inputs: Option<&[u8]>) -> Bytes {
        let others = self.others.iter().map(|(name, value)| (&**name, &**value));
        let mut body = vec![b'{'];
        for (n, (name, value)) in others
            .chain(inputs.map(|inputs| ("input", inputs)))
            .enumerate()
        {
            if n > 0 {
                body.push(b',');
            }
            push_name(name, &mut body);
            body.extend_from_slice(value);
        }
        body.push(b'}');
        body.into()
    }
}

/// `None` if it is neither a text nor a list of tokens.
fn digest(input: &str) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    match input.bytes().next()? {
        b'"' => {
            let text: Text<'_> = serde_json::from_str(input).ok()?;
            hasher.update(b"t").update(text.0.as_bytes());
        }
        b'[' => {
            let tokens: Vec<u64> = serde_json::from_str(input).ok()?;
            if tokens.is_empty() {
                return None;
            }
            hasher.update(b"n");
            for token in tokens {
                hasher.update(&token.to_le_bytes());
            }
        }
        _ => return None,
    }
    Some(hasher.finalize().into())
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
