//! A text cut into words, numbers and marks, in small letters, without one allocation a word.

use super::lexicon::{Sense, sense};

/// A text in pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// The text in small letters, full-width forms made plain.
    text: String,
    pieces: Vec<Piece>,
}

/// One word, number or mark.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    start: u32,
    end: u32,
    pub(super) kind: Kind,
    /// How it is written.
    pub(super) case: Case,
    /// Whether it begins a sentence.
    pub(super) opens: bool,
    /// Whether nothing stands between it and the piece before.
    pub(super) glued: bool,
    /// What it may stand for.
    pub(super) sense: Sense,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, with apostrophes inside; or one character of a script that has no spaces.
    Word,
    /// Digits, with points and commas inside.
    Number,
    /// Anything else, one character.
    Mark(char),
}

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// In small letters, or in a script that has no others.
    Small,
    /// With a capital at the beginning.
    Capital,
    /// In capitals, at least two.
    Capitals,
    /// With a capital inside: `iPhone`, `camelCase`.
    Inner,
}

impl Words {
    /// Cuts a text.
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self {
            text: String::with_capacity(text.len() + 8),
            pieces: Vec::with_capacity(text.len() / 4 + 1),
        };
        let mut chars = text.chars().map(plain).peekable();
        let (mut opens, mut glued) = (true, false);
        while let Some(c) = chars.next() {
            if c.is_whitespace() {
                words.text.push(' ');
                glued = false;
                opens |= c == '\n';
                continue;
            }
            let start = words.text.len();
            let mut case = Case::Small;
            let kind = if let Some(digit) = digit(c) {
                words.text.push(digit);
                while let Some(&next) = chars.peek() {
                    if let Some(digit) = digit_of(next) {
                        words.text.push(digit);
                    } else if matches!(next, '.' | ',') {
                        let mut ahead = chars.clone();
                        ahead.next();
                        if ahead.peek().is_none_or(|&after| digit_of(after).is_none()) {
                            break;
                        }
                        words.text.push(next);
                    } else {
                        break;
                    }
                    chars.next();
                }
                Kind::Number
            } else if unspaced(c) {
                words.text.push(c);
                Kind::Word
            } else if c.is_alphabetic() {
                let mut shape = Shape::default();
                shape.letter(c);
                words.text.extend(c.to_lowercase());
                while let Some(&next) = chars.peek() {
                    let inside = next == '\'' && {
                        let mut ahead = chars.clone();
                        ahead.next();
                        ahead.peek().is_some_and(|after| after.is_alphabetic())
                    };
                    if inside {
                        words.text.push('\'');
                    } else if (next.is_alphabetic() && !unspaced(next)) || combining(next) {
                        shape.letter(next);
                        words.text.extend(next.to_lowercase());
                    } else {
                        break;
                    }
                    chars.next();
                }
                case = shape.case();
                Kind::Word
            } else {
                words.text.push(c);
                Kind::Mark(c)
            };
            words.pieces.push(Piece {
                start: u32::try_from(start).unwrap_or(u32::MAX),
                end: u32::try_from(words.text.len()).unwrap_or(u32::MAX),
                kind,
                case,
                opens,
                glued,
                sense: words.text.get(start..).map(sense).unwrap_or_default(),
            });
            opens = match kind {
                Kind::Mark('.' | '!' | '?' | ':' | ';' | '。' | '！' | '？' | '…') => true,
                Kind::Mark(_) => opens,
                Kind::Word | Kind::Number => false,
            };
            glued = true;
        }
        words
    }

    /// The pieces, in order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What a piece says, in small letters.
    pub(super) fn said(&self, piece: &Piece) -> &str {
        self.text
            .get(piece.start as usize..piece.end as usize)
            .unwrap_or_default()
    }

    /// What the piece at a place says; nothing behind the end.
    pub(super) fn at(&self, at: usize) -> &str {
        self.pieces.get(at).map_or("", |piece| self.said(piece))
    }

    /// What the two pieces from a place on stand for together.
    pub(super) fn pair(&self, at: usize) -> Option<Sense> {
        let (first, second) = (self.pieces.get(at)?, self.pieces.get(at + 1)?);
        first
            .sense
            .leads
            .then(|| sense(&format!("{} {}", self.said(first), self.said(second))))
    }

    /// The whole text, in small letters.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A word without what grammar hangs on it: possessive and plural endings.
pub(super) fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    let plural = word.len() > 3 && word.is_ascii();
    match word.strip_suffix('s') {
        Some(bare) if plural && !bare.ends_with(['s', 'u', 'i', '\'']) => bare,
        _ => word,
    }
}

/// Whether a script writes without spaces, each character a word or part of one.
pub(in crate::cache) fn unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}')
}

fn combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}')
}

/// Full-width forms and typographic apostrophes as their plain fellows.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '’' | 'ʼ' => '\'',
        '\u{2010}' | '\u{2011}' | '−' => '-',
        c => c,
    }
}

fn digit_of(c: char) -> Option<char> {
    digit(plain(c))
}

/// A decimal digit of the widespread scripts, as an ASCII one.
fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => return Some(c),
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        '\u{966}'..='\u{96f}' => 0x966,
        '\u{9e6}'..='\u{9ef}' => 0x9e6,
        '\u{e50}'..='\u{e59}' => 0xe50,
        _ => return None,
    };
    char::from_digit(c as u32 - zero, 10)
}

#[derive(Default)]
struct Shape {
    letters: usize,
    capitals: usize,
    begins: bool,
}

impl Shape {
    fn letter(&mut self, c: char) {
        let capital = c.is_uppercase();
        self.begins |= capital && self.letters == 0;
        self.letters += 1;
        self.capitals += usize::from(capital);
    }

    fn case(&self) -> Case {
        match self.capitals {
            0 => Case::Small,
            1 if self.begins => Case::Capital,
            n if n == self.letters => Case::Capitals,
            _ => Case::Inner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let words = Words::of(text);
        words
            .pieces()
            .iter()
            .map(|piece| words.said(piece).to_owned())
            .collect()
    }

    #[test]
    fn a_text_is_cut_into_words_numbers_and_marks() {
        assert_eq!(
            cut("Don’t pay $1,234.50, please."),
            ["don't", "pay", "$", "1,234.50", ",", "please", "."]
        );
        assert_eq!(cut("iPhone7 at 5kg"), ["iphone", "7", "at", "5", "kg"]);
        assert_eq!(cut("法国 ٣"), ["法", "国", "3"]);
        assert_eq!(cut("rock 'n' roll"), ["rock", "'", "n", "'", "roll"]);
    }

    #[test]
    fn a_word_knows_how_it_was_written() {
        let words = Words::of("The iPhone of IBM in Rome. It A");
        let cases: Vec<_> = words.pieces().iter().map(|piece| piece.case).collect();
        use Case::{Capital, Capitals, Inner, Small};
        assert_eq!(
            cases,
            [
                Capital, Inner, Small, Capitals, Small, Capital, Small, Capital, Capital
            ]
        );
        assert!(words.pieces()[0].opens && words.pieces()[7].opens && !words.pieces()[1].opens);
    }

    #[test]
    fn stems_lose_plural_and_possession_only() {
        for (word, bare) in [
            ("cats", "cat"),
            ("apple's", "apple"),
            ("bus", "bus"),
            ("class", "class"),
            ("paris", "paris"),
        ] {
            assert_eq!(stem(word), bare);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_losing_a_visible_character(text in "\\PC{0,80}") {
            let words = Words::of(&text);
            let said: String = words.pieces().iter().map(|piece| words.said(piece)).collect();
            let seen: String = words.text().chars().filter(|c| !c.is_whitespace()).collect();
            proptest::prop_assert_eq!(said, seen);
        }
    }
}
