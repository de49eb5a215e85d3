//! Saying no.

use super::lexicon::sense;
use super::words::{Kind, Words, stem};

/// Whether a text denies something. A complaint or a doubt is none ("I can't find", "not sure"), since others put it
/// without one, and neither is "or not".
pub(super) fn denies(words: &Words) -> bool {
    let pieces = words.pieces();
    let said = |at: usize| {
        pieces
            .get(at)
            .map(|piece| words.said(piece))
            .unwrap_or_default()
    };
    (0..pieces.len()).any(|at| {
        let word = said(at);
        if !(word.ends_with("n't") || sense(word).denies) {
            return false;
        }
        let before = at.checked_sub(1).map(said).unwrap_or_default();
        let number = word == "no" && said(at + 1) == ".";
        let idle = matches!(before, "or" | "why" | "if") && word == "not";
        // A word may stand between: "not quite sure", "can't I find".
        let soothed = (at + 1..at + 4).any(|at| sense(said(at)).soothes);
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
            .map(|piece| words.said(piece))
            .filter(|word| {
                let sense = sense(word);
                !(sense.common || sense.denies || word.ends_with("n't"))
            })
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
