//! Saying no.

use super::words::{Kind, Words, stem};

/// Whether a text denies something. A complaint or a doubt is none ("I can't find", "not sure"), since others put it
/// without one, and neither is "or not".
pub(super) fn denies(words: &Words) -> bool {
    let pieces = words.pieces();
    (0..pieces.len()).any(|at| {
        let word = words.at(at);
        let senses = pieces.get(at..).unwrap_or_default();
        let here = senses.first().is_some_and(|piece| piece.sense.denies);
        if !(here || word.ends_with("n't")) {
            return false;
        }
        let before = at.checked_sub(1).map_or("", |at| words.at(at));
        let number = word == "no" && words.at(at + 1) == ".";
        let idle = matches!(before, "or" | "why" | "if") && word == "not";
        // A word may stand between: "not quite sure", "can't I find".
        let soothed = senses
            .iter()
            .skip(1)
            .take(3)
            .any(|piece| piece.sense.soothes);
        !(number || idle || soothed)
    })
}

/// The words of a text that carry its matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Content(Vec<String>);

impl Content {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let mut content: Vec<String> = words
            .pieces()
            .iter()
            .filter(|piece| matches!(piece.kind, Kind::Word | Kind::Number))
            .filter(|piece| !(piece.sense.common || piece.sense.denies))
            .map(|piece| words.said(piece))
            .filter(|word| !word.ends_with("n't"))
            .map(|word| stem(word).to_owned())
            .collect();
        content.sort_unstable();
        content.dedup();
        Self(content)
    }

    /// Whether at least half of all words are in both. A denial in one of two texts that are alike otherwise turns the
    /// meaning round; where the other words differ too they make up for it ("why does it fail", "why doesn't it work").
    pub(super) fn near(&self, other: &Self) -> bool {
        let both = self
            .0
            .iter()
            .filter(|word| other.0.binary_search(word).is_ok())
            .count();
        let all = self.0.len() + other.0.len() - both;
        both * 2 >= all
    }
}
