//! What lies on disk: bytes that say whether they are whole.
//!
//! ```text
//!  version 1 │ checksum 16 │ payload
//! ```
//!
//! The checksum is BLAKE3 over the kind, the version, the key and the payload, so that a record under another key, or of
//! another kind, is as damaged as one with a flipped bit. An entry's payload begins with its id; then come fields, each a
//! tag, a length and its bytes. A reader passes over tags that it does not know, so fields can be added without a new version.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::Clock;
use super::names;
use crate::cache::entry::{Answer, Entry};
use crate::cache::origin::Origin;
use crate::cache::verify::AnswerClass;
use crate::util::names::shared;

const VERSION: u8 = 1;
const CHECK: usize = 16;
const HEAD: usize = 1 + CHECK;
const ID: usize = 16;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Entry = 1,
    Vector = 2,
    Blob = 3,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Its bytes are not those that were written.
    Damaged,
    /// Another version of Tollgate wrote it.
    Version,
    /// It is too old to be told how old it is.
    Ancient,
}

/// Puts `payload` into a record of this key.
pub(super) fn seal(kind: Kind, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + payload.len());
    record.push(VERSION);
    record.extend_from_slice(&checksum(kind, VERSION, key, payload));
    record.extend_from_slice(payload);
    record
}

/// The payload of a record of this key.
pub(super) fn open<'a>(kind: Kind, key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let (head, payload) = record.split_at_checked(HEAD).ok_or(Unreadable::Damaged)?;
    if head[1..] != checksum(kind, head[0], key, payload) {
        return Err(Unreadable::Damaged);
    }
    if head[0] != VERSION {
        return Err(Unreadable::Version);
    }
    Ok(payload)
}

fn checksum(kind: Kind, version: u8, key: &[u8], payload: &[u8]) -> [u8; CHECK] {
    let mut hash = blake3::Hasher::new();
    hash.update(&[kind as u8, version]);
    hash.update(&(key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(payload);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.finalize().as_bytes()[..CHECK]);
    check
}

/// The id that a record of an entry or a vector carries, without a look at whether it is whole.
pub(super) fn id(record: &[u8]) -> Option<u128> {
    let bytes = record.get(HEAD..HEAD + ID)?;
    Some(u128::from_le_bytes(bytes.try_into().ok()?))
}

/// When the entry of a record was stored, in microseconds since 1970, without a look at whether it is whole.
pub(super) fn stored_at(record: &[u8]) -> Option<u64> {
    let (tag, bytes) = fields(record.get(HEAD + ID..)?).next()?.ok()?;
    (tag == tag::STORED_AT)
        .then(|| number_of(bytes).ok())
        .flatten()
}

mod tag {
    pub(super) const STORED_AT: u8 = 1;
    pub(super) const TTL: u8 = 2;
    pub(super) const QUESTION: u8 = 3;
    pub(super) const ENDPOINT: u8 = 4;
    pub(super) const STREAMED: u8 = 5;
    pub(super) const CONTENT_TYPE: u8 = 6;
    pub(super) const BODY: u8 = 7;
    pub(super) const INPUT_TOKENS: u8 = 8;
    pub(super) const OUTPUT_TOKENS: u8 = 9;
    pub(super) const MODEL: u8 = 10;
    pub(super) const SCOPE: u8 = 11;
    pub(super) const TENANT: u8 = 12;
    pub(super) const ROUTE: u8 = 13;
    pub(super) const ASKED: u8 = 14;
    pub(super) const NAMESPACE: u8 = 15;
    pub(super) const TAG: u8 = 16;
}

/// The record of an entry.
pub(super) fn of_entry(entry: &Entry, clock: &Clock) -> Vec<u8> {
    let answer = &entry.answer;
    let mut fields = Writer(Vec::with_capacity(answer.body.len() + 256));
    fields.0.extend_from_slice(&entry.number().to_le_bytes());
    fields.number(tag::STORED_AT, micros(clock.wall(entry.stored_at)));
    fields.number(tag::TTL, micros(entry.ttl));
    if let Some(question) = &entry.question {
        fields.put(tag::QUESTION, question.as_bytes());
    }
    fields.put(tag::ENDPOINT, answer.endpoint.as_bytes());
    fields.put(tag::STREAMED, &[u8::from(answer.streamed)]);
    fields.put(tag::CONTENT_TYPE, answer.content_type.as_bytes());
    fields.put(tag::BODY, &answer.body);
    fields.number(tag::INPUT_TOKENS, answer.input_tokens);
    fields.number(tag::OUTPUT_TOKENS, answer.output_tokens);
    fields.put(tag::MODEL, answer.model.as_bytes());
    fields.origin(&entry.origin);
    seal(Kind::Entry, &entry.exact, &fields.0)
}

/// The entry of a record.
pub(super) fn to_entry(
    key: &[u8; 32],
    record: &[u8],
    clock: &Clock,
    now: Instant,
) -> Result<Entry, Unreadable> {
    let payload = open(Kind::Entry, key, record)?;
    let number = id(record).ok_or(Unreadable::Damaged)?;
    let (mut stored_at, mut ttl) = (None, None);
    let mut question = None;
    let (mut endpoint, mut body) = (None, None);
    let mut answer = Answer {
        endpoint: "",
        streamed: false,
        content_type: Arc::default(),
        body: Bytes::new(),
        input_tokens: 0,
        output_tokens: 0,
        model: Arc::default(),
    };
    let mut origin = Origin::default();
    for field in fields(payload.get(ID..).ok_or(Unreadable::Damaged)?) {
        let (tag, bytes) = field?;
        match tag {
            tag::STORED_AT => stored_at = Some(duration(bytes)?),
            tag::TTL => ttl = Some(duration(bytes)?),
            tag::QUESTION => question = Some(text(bytes)?),
            tag::ENDPOINT => endpoint = names::known(&text(bytes)?),
            tag::STREAMED => answer.streamed = bytes == [1],
            tag::CONTENT_TYPE => answer.content_type = name(bytes)?,
            tag::BODY => body = Some(Bytes::copy_from_slice(bytes)),
            tag::INPUT_TOKENS => answer.input_tokens = number_of(bytes)?,
            tag::OUTPUT_TOKENS => answer.output_tokens = number_of(bytes)?,
            tag::MODEL => answer.model = name(bytes)?,
            tag::SCOPE => origin.scope = text(bytes)?,
            tag::TENANT => origin.tenant = Some(text(bytes)?),
            tag::ROUTE => origin.route = text(bytes)?,
            tag::ASKED => origin.model = text(bytes)?,
            tag::NAMESPACE => origin.namespace = text(bytes)?,
            tag::TAG => origin.tags.push(pair(bytes)?),
            _ => {}
        }
    }
    answer.endpoint = endpoint.ok_or(Unreadable::Version)?;
    answer.body = body.ok_or(Unreadable::Damaged)?;
    Ok(Entry {
        number,
        stored_at: clock
            .instant(stored_at.ok_or(Unreadable::Damaged)?, now)
            .ok_or(Unreadable::Ancient)?,
        ttl: ttl.ok_or(Unreadable::Damaged)?,
        exact: *key,
        question,
        answer,
        origin: origin.shared(),
        class: AnswerClass::default(),
        stamp: OnceLock::new(),
    })
}

/// A vector as it is stored: of which entry, in which class, of which model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// Id of the entry, as a number.
    pub id: u128,
    /// Class that it may be searched in.
    pub class: [u8; 32],
    /// What tells the model's vectors from another's.
    pub model: [u8; 32],
    /// Its components: [`crate::cache::index::pack`].
    pub packed: Vec<i16>,
}

/// The record of a vector.
pub(super) fn of_vector(key: &[u8; 32], vector: &Vector) -> Vec<u8> {
    let mut payload = Vec::with_capacity(ID + 64 + 2 * vector.packed.len());
    payload.extend_from_slice(&vector.id.to_le_bytes());
    payload.extend_from_slice(&vector.class);
    payload.extend_from_slice(&vector.model);
    for component in &vector.packed {
        payload.extend_from_slice(&component.to_le_bytes());
    }
    seal(Kind::Vector, key, &payload)
}

/// The vector of a record.
pub(super) fn to_vector(key: &[u8; 32], record: &[u8]) -> Result<Vector, Unreadable> {
    let payload = open(Kind::Vector, key, record)?;
    let id = id(record).ok_or(Unreadable::Damaged)?;
    let rest = payload.get(ID..).ok_or(Unreadable::Damaged)?;
    let (class, rest) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
    let (model, rest) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
    let packed = rest
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    Ok(Vector {
        id,
        class: *class,
        model: *model,
        packed,
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, tag: u8, bytes: &[u8]) {
        self.0.push(tag);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, tag: u8, number: u64) {
        self.put(tag, &number.to_le_bytes());
    }

    fn origin(&mut self, origin: &Origin) {
        self.put(tag::SCOPE, origin.scope.as_bytes());
        if let Some(tenant) = &origin.tenant {
            self.put(tag::TENANT, tenant.as_bytes());
        }
        self.put(tag::ROUTE, origin.route.as_bytes());
        self.put(tag::ASKED, origin.model.as_bytes());
        self.put(tag::NAMESPACE, origin.namespace.as_bytes());
        for (name, value) in &origin.tags {
            let mut pair = Writer(Vec::new());
            pair.put(0, name.as_bytes());
            pair.put(0, value.as_bytes());
            self.put(tag::TAG, &pair.0);
        }
    }
}

fn pair(bytes: &[u8]) -> Result<(String, String), Unreadable> {
    let mut fields = fields(bytes);
    let mut next = || text(fields.next().ok_or(Unreadable::Damaged)??.1);
    Ok((next()?, next()?))
}

fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Unreadable>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = (|| {
            let (&tag, after) = rest.split_first()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (bytes, after) = after.split_at_checked(length)?;
            rest = after;
            Some((tag, bytes))
        })();
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or(Unreadable::Damaged))
    })
}

fn number_of(bytes: &[u8]) -> Result<u64, Unreadable> {
    bytes
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| Unreadable::Damaged)
}

fn duration(bytes: &[u8]) -> Result<Duration, Unreadable> {
    number_of(bytes).map(Duration::from_micros)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn name(bytes: &[u8]) -> Result<Arc<str>, Unreadable> {
    let name = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged)?;
    Ok(shared(name))
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable::Damaged)
}

#[cfg(test)]
mod tests;
