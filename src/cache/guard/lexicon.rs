//! What single words and short phrases stand for: the tables, read once.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::{language, tables};

/// What a word may stand for. All may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sense {
    /// A number, written in letters.
    pub(super) number: Option<u32>,
    /// A power of a thousand, or a hundred, that multiplies what stands before.
    pub(super) scale: Option<u64>,
    /// A unit or currency.
    pub(super) unit: Option<u16>,
    /// A day or month.
    pub(super) date: Option<u16>,
    /// A day that most questions mean without naming it.
    pub(super) near: bool,
    /// A word that takes the weight from a denial before it: "not sure", "can't find".
    pub(super) soothes: bool,
    /// A denial.
    pub(super) denies: bool,
    /// One side of a group whose sides exclude each other.
    pub(super) side: Option<Side>,
    /// A name that is known without capitals.
    pub(super) name: Option<u16>,
    /// A word too common to be a name.
    pub(super) common: bool,
    /// Languages of which it is one of the small words, a bit each.
    pub(super) languages: u8,
    /// Whether phrases of two words begin with it.
    pub(super) leads: bool,
}

/// One side of a group of opposites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Side {
    /// Which group.
    pub(super) group: u8,
    /// Which side, one bit of eight.
    pub(super) bit: u8,
}

/// What a word, or two words with a space between, stand for.
pub(super) fn sense(words: &str) -> Sense {
    LEXICON.get(words).copied().unwrap_or_default()
}

/// Its keys are the tables' own, so no one can choose texts that collide.
static LEXICON: LazyLock<Lexicon> = LazyLock::new(read);

type Lexicon = HashMap<&'static str, Sense, FixedState>;

fn read() -> Lexicon {
    let mut lexicon = Lexicon::default();
    for &(word, number) in tables::numbers::WORDS {
        lexicon.entry(word).or_default().number = Some(number);
    }
    for &(word, scale) in tables::numbers::SCALES {
        lexicon.entry(word).or_default().scale = Some(scale);
    }
    each(tables::numbers::UNITS, |line, word| {
        lexicon.entry(word).or_default().unit = Some(line);
    });
    each(tables::numbers::DATES, |line, word| {
        lexicon.entry(word).or_default().date = Some(line);
    });
    each(tables::numbers::NEAR, |_, word| {
        lexicon.entry(word).or_default().near = true;
    });
    each(tables::small::SOOTHING, |_, word| {
        lexicon.entry(word).or_default().soothes = true;
    });
    each(tables::names::NAMES, |line, word| {
        lexicon.entry(word).or_default().name = Some(line);
    });
    each(tables::small::DENIALS, |_, word| {
        lexicon.entry(word).or_default().denies = true;
    });
    each(tables::small::COMMON, |_, word| {
        lexicon.entry(word).or_default().common = true;
    });
    for (group, line) in (0u8..).zip(tables::opposites::GROUPS) {
        for (side, forms) in line.split('|').enumerate() {
            for word in phrases(forms) {
                let bit = 1u8.checked_shl(side as u32).unwrap_or(0);
                lexicon.entry(word).or_default().side = Some(Side { group, bit });
            }
        }
    }
    for (bit, (_, small)) in language::SMALL.iter().enumerate() {
        for word in *small {
            lexicon.entry(word).or_default().languages |= 1 << bit;
        }
    }
    let leading: Vec<_> = lexicon
        .keys()
        .filter_map(|words| words.split_once(' '))
        .map(|(first, _)| first)
        .collect();
    for first in leading {
        lexicon.entry(first).or_default().leads = true;
    }
    lexicon
}

fn each(lines: &[&'static str], mut tell: impl FnMut(u16, &'static str)) {
    for (number, line) in (0u16..).zip(lines) {
        for word in phrases(line) {
            tell(number, word);
        }
    }
}

/// The entries of a line, parted by commas.
fn phrases(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_is_larger_than_its_numbers_reach() {
        assert!(tables::opposites::GROUPS.len() <= usize::from(u8::MAX));
        for line in tables::opposites::GROUPS {
            assert!((2..=8).contains(&line.split('|').count()), "{line}");
        }
    }

    #[test]
    fn no_word_is_on_two_sides() {
        let mut seen = HashMap::new();
        for (group, line) in tables::opposites::GROUPS.iter().enumerate() {
            for (side, forms) in line.split('|').enumerate() {
                for word in phrases(forms) {
                    let before = seen.insert(word, (group, side));
                    assert_eq!(before, None, "{word}");
                }
            }
        }
    }

    #[test]
    fn entries_are_one_or_two_words_in_small_letters() {
        for words in LEXICON.keys() {
            assert!(words.split(' ').count() <= 2, "{words}");
            assert_eq!(*words, words.to_lowercase());
        }
    }
}
