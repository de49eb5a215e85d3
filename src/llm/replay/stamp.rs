//! The id and the time of a recorded answer: where they stand, and the same answer with others.
//!
//! Two clients that get one recorded answer get two answers, which tools that go by ids must not take for one. The places
//! are found once, by reading the answer; from then on new values are put there without reading anything. What cannot be told
//! from other text by its bytes alone is left as it is, and so is an answer that its server keeps under its id.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::endpoint::Endpoint;
use super::super::sse::{SseEvent, SseSplitter};
use crate::util::{decimal, hex};

/// Longest id that is replaced, in bytes.
const LONGEST: usize = 256;

/// Where the id and the time of one recorded answer stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    ids: Option<Spots>,
    /// When it was begun, and when it was done.
    times: [Option<Spots>; 2],
}

/// Fields with one name. They are found again by their bytes: no string in JSON holds bare quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spots {
    /// Where the first begins, with the quote of its name.
    first: u32,
    /// Length of what is the same in all.
    alike: u32,
    /// Where the value begins in a field.
    value: u32,
    /// Length of the value; `None` = as many digits as there are.
    length: Option<u32>,
    count: u32,
}

impl Stamp {
    /// Finds the places; `None` where there are none that can be told.
    #[must_use]
    pub fn of(endpoint: Endpoint, streamed: bool, answer: &[u8]) -> Option<Self> {
        let found = Found::read(endpoint, streamed, answer)?;
        let stamp = Self {
            ids: Spots::of_ids(answer, &found.ids),
            times: [
                Spots::of_times(answer, found.began_as, &found.began),
                Spots::of_times(answer, "completed_at", &found.done),
            ],
        };
        let any = stamp.ids.is_some() || stamp.times.iter().any(Option::is_some);
        any.then_some(stamp)
    }

    /// The answer with a new id of the same kind, made of `random`, and the time `now` in seconds since 1970. Every other byte
    /// stays. `answer` is the one that the places were found in.
    #[must_use]
    pub fn renew(&self, answer: &[u8], random: u128, now: SystemTime) -> Vec<u8> {
        let id = self.ids.and_then(|spots| spots.first_value(answer));
        let mut new_id = String::new();
        if let Some(id) = id {
            let kind = kind(id);
            new_id.reserve_exact(kind.len() + 32);
            new_id.push_str(kind);
            hex::push(random, 32, &mut new_id);
        }
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut seconds = String::with_capacity(20);
        decimal::push(since.as_secs(), &mut seconds);
        let spots = [self.ids, self.times[0], self.times[1]];
        let count: u32 = spots.iter().flatten().map(|spots| spots.count).sum();
        let mut edits = Vec::with_capacity(count as usize);
        for (spots, new) in [
            (self.ids, &new_id),
            (self.times[0], &seconds),
            (self.times[1], &seconds),
        ] {
            if let Some(spots) = spots {
                spots.each(answer, |at| edits.push((at, new.as_str())));
            }
        }
        // Each kind came in order already.
        edits.sort_by_key(|(at, _)| at.start);
        let (gone, come) = edits.iter().fold((0, 0), |(gone, come), (at, new)| {
            (gone + at.len(), come + new.len())
        });
        let mut renewed = Vec::with_capacity((answer.len() + come).saturating_sub(gone));
        let mut done = 0;
        for (at, new) in edits {
            renewed.extend_from_slice(answer.get(done..at.start).unwrap_or_default());
            renewed.extend_from_slice(new.as_bytes());
            done = at.end;
        }
        renewed.extend_from_slice(answer.get(done..).unwrap_or_default());
        renewed
    }
}

impl Spots {
    /// Fields `id` with these values, of which some may say nothing.
    fn of_ids(answer: &[u8], values: &[Range<usize>]) -> Option<Self> {
        let is_empty =
            |at: &&Range<usize>| matches!(answer.get((*at).clone()), Some(b"\"\"" | b"null"));
        let named: Vec<_> = values.iter().filter(|at| !is_empty(at)).collect();
        let first = *named.first()?;
        let id = answer.get(first.clone())?;
        let text = id.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if text.len() > LONGEST || !text.iter().all(plain) {
            return None;
        }
        let begins = begins(answer, "id", named.iter().copied())?;
        let start = *begins.first()?;
        let spots = Self {
            first: u32::try_from(start).ok()?,
            alike: u32::try_from(first.end.checked_sub(start)?).ok()?,
            value: u32::try_from((first.start + 1).checked_sub(start)?).ok()?,
            length: Some(u32::try_from(text.len()).ok()?),
            count: u32::try_from(begins.len()).ok()?,
        };
        spots.are_all(answer, &begins).then_some(spots)
    }

    /// Fields `name` with these values, of which some may be null.
    fn of_times(answer: &[u8], name: &str, values: &[Range<usize>]) -> Option<Self> {
        let first = values.first()?;
        let is_time = |at: &Range<usize>| {
            let text = answer.get(at.clone()).unwrap_or_default();
            let (digits, rest) = text.split_at(digits(text));
            let fraction = rest.strip_prefix(b".");
            !digits.is_empty()
                && (rest.is_empty() || fraction.is_some_and(|f| f.iter().all(u8::is_ascii_digit)))
        };
        let is_null = |at: &&Range<usize>| answer.get((*at).clone()) == Some(b"null");
        let mut told = values.iter().filter(|at| !is_null(at)).peekable();
        if told.peek().is_none() || !told.all(is_time) {
            return None;
        }
        let begins = begins(answer, name, values.iter())?;
        let start = *begins.first()?;
        let alike = u32::try_from(first.start.checked_sub(start)?).ok()?;
        let spots = Self {
            first: u32::try_from(start).ok()?,
            alike,
            value: alike,
            length: None,
            count: u32::try_from(begins.len()).ok()?,
        };
        spots.are_all(answer, &begins).then_some(spots)
    }

    /// Whether the fields that begin here, and no others, are found by their bytes.
    fn are_all(&self, answer: &[u8], begins: &[usize]) -> bool {
        let Some(alike) = self.alike(answer) else {
            return false;
        };
        memmem::find_iter(answer, alike).eq(begins.iter().copied())
    }

    fn alike<'a>(&self, answer: &'a [u8]) -> Option<&'a [u8]> {
        let first = self.first as usize;
        answer.get(first..first + self.alike as usize)
    }

    fn at(&self, answer: &[u8], begin: usize) -> Range<usize> {
        let start = begin + self.value as usize;
        let length = match self.length {
            Some(length) => length as usize,
            None => digits(answer.get(start..).unwrap_or_default()),
        };
        start..start + length
    }

    fn first_value<'a>(&self, answer: &'a [u8]) -> Option<&'a str> {
        let value = answer.get(self.at(answer, self.first as usize))?;
        std::str::from_utf8(value).ok()
    }

    /// Where each value stands.
    fn each(&self, answer: &[u8], mut found: impl FnMut(Range<usize>)) {
        let mut each = |at: Range<usize>| {
            if !at.is_empty() {
                found(at);
            }
        };
        let first = self.first as usize;
        each(self.at(answer, first));
        if self.count < 2 {
            return;
        }
        let (Some(alike), Some(rest)) = (self.alike(answer), answer.get(first + 1..)) else {
            return;
        };
        for at in memmem::find_iter(rest, alike).take(self.count as usize - 1) {
            each(self.at(answer, first + 1 + at));
        }
    }
}

/// What an id begins with, such as `chatcmpl-` or `msg_`.
fn kind(id: &str) -> &str {
    let words = id.split_inclusive(['-', '_']);
    let named = words.take_while(|word| {
        let letters = word.strip_suffix(['-', '_']).unwrap_or_default();
        !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    let end = named.map(str::len).sum();
    id.get(..end).unwrap_or_default()
}

/// How many digits a text begins with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Where the fields with these values begin; `None` where a name is written in another way, or stands elsewhere.
fn begins<'a>(
    answer: &[u8],
    name: &str,
    values: impl Iterator<Item = &'a Range<usize>>,
) -> Option<Vec<usize>> {
    let begin = |value: &Range<usize>| {
        let before = answer.get(..value.start)?.trim_ascii_end();
        let before = before.strip_suffix(b":")?.trim_ascii_end();
        let before = before.strip_suffix(b"\"")?.strip_suffix(name.as_bytes())?;
        Some(before.strip_suffix(b"\"")?.len())
    };
    values.map(begin).collect()
}

/// What was found in an answer: where values stand, with their quotes.
#[derive(Default)]
struct Found {
    ids: Vec<Range<usize>>,
    began_as: &'static str,
    began: Vec<Range<usize>>,
    done: Vec<Range<usize>>,
}

/// What an answer, or an event of its stream, says of itself.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default, deserialize_with = "there")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    created: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    completed_at: Option<&'a RawValue>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// A field that is there, be it null.
fn there<'de, D: Deserializer<'de>>(field: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

impl Found {
    fn read(endpoint: Endpoint, streamed: bool, answer: &[u8]) -> Option<Self> {
        let mut found = Self {
            began_as: match endpoint {
                Endpoint::Responses => "created_at",
                _ => "created",
            },
            ..Self::default()
        };
        if endpoint == Endpoint::Embeddings {
            return None;
        }
        if !streamed {
            found.told(endpoint, answer, answer)?;
            return Some(found);
        }
        let mut sound = true;
        let mut read = |event: SseEvent<'_>| {
            sound = sound && found.event(endpoint, answer, event.data).is_some();
        };
        let mut splitter = SseSplitter::new(usize::MAX);
        splitter.push(answer, &mut read);
        splitter.finish(&mut read);
        sound.then_some(found)
    }

    fn event(&mut self, endpoint: Endpoint, answer: &[u8], data: &[u8]) -> Option<()> {
        if data.trim_ascii() == b"[DONE]" {
            return Some(());
        }
        let told: Told<'_> = serde_json::from_slice(data).ok()?;
        let inner = match endpoint {
            Endpoint::Messages => told.message,
            Endpoint::Responses => told.response,
            _ => return self.note(answer, endpoint, &told),
        };
        match inner {
            Some(inner) => self.told(endpoint, answer, inner.get().as_bytes()),
            None => Some(()),
        }
    }

    fn told(&mut self, endpoint: Endpoint, answer: &[u8], object: &[u8]) -> Option<()> {
        let told: Told<'_> = serde_json::from_slice(object).ok()?;
        self.note(answer, endpoint, &told)
    }

    fn note(&mut self, answer: &[u8], endpoint: Endpoint, told: &Told<'_>) -> Option<()> {
        // Its server can be asked for it by its id, and go on from it.
        if endpoint == Endpoint::Responses && told.store.is_some_and(|store| store.get() == "true")
        {
            return None;
        }
        let began = match endpoint {
            Endpoint::Responses => told.created_at,
            _ => told.created,
        };
        let done = told
            .completed_at
            .filter(|_| endpoint == Endpoint::Responses);
        for (value, places) in [
            (told.id, &mut self.ids),
            (began, &mut self.began),
            (done, &mut self.done),
        ] {
            if let Some(value) = value {
                places.push(place(answer, value.get().as_bytes())?);
            }
        }
        Some(())
    }
}

/// Where a part of `whole` stands in it; `None` if it is a copy.
fn place(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests;
