//! Knows an event again that differs from an earlier one in nothing but its text.
//!
//! Nearly all events of a stream are the same but for a few letters. One that has been read in full, and did nothing but
//! bring text, need not be read again when only that text has changed: it is compared with what stood before and behind
//! the text. The text itself must be the inside of a JSON string, so that the whole is the JSON it seems to be.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::wire::Text;

/// Events learnt in vain before it is given up: some streams have a number or a nonce in each event.
const PATIENCE: u8 = 8;

/// What the last event that was learnt looks like around its text.
#[derive(Debug)]
pub(super) struct Alike {
    before: Vec<u8>,
    after: Vec<u8>,
    patience: u8,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    choices: Option<[Choice<'a>; 1]>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
}

impl Alike {
    pub(super) fn new() -> Self {
        Self {
            before: Vec::new(),
            after: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Knows nothing and learns nothing: every event is read in full.
    #[cfg(test)]
    pub(super) fn never() -> Self {
        Self {
            patience: 0,
            ..Self::new()
        }
    }

    /// Whether this event is the one learnt, with another text that is not empty.
    pub(super) fn knows(&mut self, data: &[u8]) -> bool {
        if self.before.is_empty() {
            return false;
        }
        let text = data
            .strip_prefix(self.before.as_slice())
            .and_then(|rest| rest.strip_suffix(self.after.as_slice()));
        let knows = text.is_some_and(|text| !text.is_empty() && is_inside_of_string(text));
        if knows {
            self.patience = PATIENCE;
        }
        knows
    }

    /// Learns an event that was read, and brought one text and nothing else.
    pub(super) fn learn(&mut self, data: &[u8]) {
        if self.patience == 0 {
            return;
        }
        self.patience -= 1;
        self.before.clear();
        self.after.clear();
        if let Some((before, after)) = around_text(data) {
            self.before.extend_from_slice(before);
            self.after.extend_from_slice(after);
        }
    }
}

/// What stands before and behind the text that an event brings.
fn around_text(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let event: Event<'_> = serde_json::from_slice(data).ok()?;
    let texts = match (event.choices, event.delta) {
        (Some([choice]), _) => [choice.text, choice.delta.and_then(text)],
        (None, delta) => [None, delta.and_then(text)],
    };
    let filled = |text: &Text<'_>| !text.0.is_empty();
    let Cow::Borrowed(text) = texts.into_iter().flatten().find(filled)?.0 else {
        return None;
    };
    let start = text.as_ptr().addr().checked_sub(data.as_ptr().addr())?;
    let (before, rest) = data.split_at_checked(start)?;
    Some((before, rest.get(text.len()..)?))
}

fn text(delta: Delta<'_>) -> Option<Text<'_>> {
    let texts = [
        delta.content,
        delta.reasoning_content,
        delta.reasoning,
        delta.text,
        delta.thinking,
        delta.partial_json,
    ];
    texts.into_iter().flatten().find(|text| !text.0.is_empty())
}

/// Whether quotes around these bytes would make a JSON string. Escapes by number are left to the full reader.
fn is_inside_of_string(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'"' | 0..0x20 => false,
            b'\\' => matches!(
                bytes.next(),
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
            ),
            _ => true,
        };
        if !fits {
            return false;
        }
    }
    std::str::from_utf8(text).is_ok()
}
