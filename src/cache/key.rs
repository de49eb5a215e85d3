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

mod encode;

use crate::llm::document::{Document, Node};
use crate::util::stack_vec::StackVec;
use encode::Encoder;

/// Top-level fields that do not change the answer's content. `cache` is LiteLLM's way to steer its cache.
const IGNORED: [&str; 5] = ["cache", "metadata", "stream", "stream_options", "user"];

/// Changed whenever the same request would hash differently, so that stored keys of an older form never match.
const VERSION: &str = "tollgate-key-2";

/// Room for what separates most requests, in bytes.
const SMALL: usize = 256;

/// Places of the texts left out of a class; most turns are one text.
type Places = StackVec<u32, 8>;

/// What a request is known by.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// What separates requests before their bodies do: scope, namespace, route, pool, endpoint. Order matters.
    pub partition: &'a [&'a str],
    /// The request body.
    pub body: &'a Document,
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

/// What a body adds to the identity of a request, whoever sends it: the same bytes always add the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyKey {
    /// Covers all but the text of the last user turn.
    class: [u8; 32],
    /// Covers all.
    whole: [u8; 32],
}

impl BodyKey {
    /// Reads it off a body.
    ///
    /// # Errors
    /// [`Unkeyable`] when no key can tell this body from every other.
    pub fn of(body: &Document) -> Result<Self, Unkeyable> {
        let root = body.root();
        let turn = last_user_turn(root);
        let mut places = Places::new(0);
        texts(turn).for_each(|text| places.push(text.place()));

        let mut encoder = Encoder::with_room(body.size());
        encoder.text(VERSION.as_bytes());
        encoder.root(root, &IGNORED, places.as_slice())?;
        let class = encoder.finish();

        encoder.raw(&class);
        encoder.length(b'q', places.as_slice().len());
        for text in texts(turn) {
            encoder.text(text.bytes().unwrap_or_default());
        }
        let whole = encoder.finish();
        Ok(Self { class, whole })
    }
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
        Ok(Self::with(&BodyKey::of(parts.body)?, parts))
    }

    /// Identifies a request whose body has the key `body`.
    #[must_use]
    pub fn with(body: &BodyKey, parts: &KeyParts<'_>) -> Self {
        let mut encoder = Encoder::with_room(SMALL);
        encoder.length(b'p', parts.partition.len());
        for part in parts.partition {
            encoder.text(part.as_bytes());
        }
        let question = parts
            .question
            .filter(|question| same_text(question, last_user_turn(parts.body.root())));
        Self {
            exact: encoder.ending(b'e', &body.whole),
            compat: encoder.ending(b'c', &body.class),
            question: question.map(str::to_owned),
        }
    }

    /// The identity of one input of a request for embeddings; `self` is that of the request without any.
    #[must_use]
    pub fn of_input(&self, digest: &[u8; 32]) -> Self {
        self.and(b"input", std::iter::once(digest))
    }

    /// The identity of a request for embeddings with these inputs together, which is never that of one input; `self` is that
    /// of the request without any.
    #[must_use]
    pub fn of_inputs<'a>(&self, digests: impl Iterator<Item = &'a [u8; 32]>) -> Self {
        self.and(b"inputs", digests)
    }

    fn and<'a>(&self, what: &[u8], digests: impl Iterator<Item = &'a [u8; 32]>) -> Self {
        let mut exact = Encoder::with_room(SMALL);
        exact.text(what);
        exact.raw(&self.exact);
        digests.for_each(|digest| exact.raw(digest));
        Self {
            exact: exact.finish(),
            compat: self.exact,
            question: None,
        }
    }
}

/// What holds the text of the last turn, if that turn is a user's: chat completions and messages (`messages`), responses
/// (`input`) and completions (`prompt`).
fn last_user_turn(body: Node<'_>) -> Option<Node<'_>> {
    let turns = ["messages", "input", "prompt"]
        .iter()
        .find_map(|name| body.get(name))?;
    if turns.bytes().is_some() {
        return Some(turns);
    }
    let last = turns.items().last()?;
    let role = last.get("role").and_then(Node::bytes);
    last.get("content").filter(|_| role == Some(b"user"))
}

/// The strings that make up the text of a turn's content, in their order.
fn texts(content: Option<Node<'_>>) -> impl Iterator<Item = Node<'_>> {
    let whole = content.filter(|content| content.bytes().is_some());
    let parts = content.into_iter().flat_map(Node::items);
    whole.into_iter().chain(parts.filter_map(part_text))
}

fn part_text(part: Node<'_>) -> Option<Node<'_>> {
    let kind = part.get("type").and_then(Node::bytes)?;
    let text = part.get("text").filter(|text| text.bytes().is_some())?;
    matches!(kind, b"text" | b"input_text").then_some(text)
}

/// Whether `question` is the texts in their order, however they were joined.
fn same_text(question: &str, content: Option<Node<'_>>) -> bool {
    let whole = texts(content).filter_map(Node::as_str).flat_map(str::chars);
    texts(content).next().is_some()
        && question
            .chars()
            .filter(|c| !c.is_whitespace())
            .eq(whole.filter(|c| !c.is_whitespace()))
}

#[cfg(test)]
mod tests;
