//! Questions seen and what became of them, the newest, and their form on disk.
//!
//! One list for all of them: what is labelled and what is not then cover the same time, so that the share of the questions
//! which a label stands for can be counted and need not be guessed.

use std::collections::VecDeque;

use super::features::FEATURES;

/// Questions kept: what is older is forgotten, so that drift is followed. 17 bytes each. Where one question in thirty is
/// like enough to a stored one, fewer would never hold the some hundred labels that a bound needs.
pub const QUESTIONS: usize = 16_384;

/// First byte of a saved ledger; another form has another one. 1 had labels and questions apart.
const VERSION: u8 = 2;

/// Features lie between -2 and 2 and are kept in steps of this.
const FINE: f32 = 1.0 / 16_000.0;

type Features = [f32; FEATURES];

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was served, and nobody looked whether that was right.
    Unseen,
    /// The answer was right, or would have been.
    Right,
    /// It was wrong, or would have been.
    Wrong,
}

impl Fate {
    /// Whether the answer was right, where that is known.
    #[must_use]
    pub fn label(self) -> Option<bool> {
        match self {
            Self::Unseen => None,
            Self::Right => Some(true),
            Self::Wrong => Some(false),
        }
    }
}

/// What was learnt about a place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    rows: VecDeque<([i16; FEATURES], Fate)>,
    labels: usize,
}

impl Ledger {
    /// Labels held.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Notes a question.
    pub fn note(&mut self, features: &Features, fate: Fate) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "such a cast stops at the ends"
        )]
        self.push(features.map(|value| (value / FINE).round() as i16), fate);
    }

    fn push(&mut self, row: [i16; FEATURES], fate: Fate) {
        if self.rows.len() >= QUESTIONS {
            self.drop_oldest();
        }
        self.rows.push_back((row, fate));
        self.labels += usize::from(fate != Fate::Unseen);
    }

    fn drop_oldest(&mut self) {
        if let Some((_, fate)) = self.rows.pop_front() {
            self.labels -= usize::from(fate != Fate::Unseen);
        }
    }

    /// Forgets all but the newest questions, of which `keep` are labelled.
    pub fn forget(&mut self, keep: usize) {
        while self.labels > keep {
            self.drop_oldest();
        }
    }

    /// The questions, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = (Features, Fate)> {
        let value = |row: &[i16; FEATURES]| row.map(|value| f32::from(value) * FINE);
        self.rows.iter().map(move |(row, fate)| (value(row), *fate))
    }

    /// Its form on disk.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(5 + self.rows.len() * (1 + FEATURES * 2));
        bytes.push(VERSION);
        bytes.extend(u32::try_from(self.rows.len()).unwrap_or(0).to_le_bytes());
        for (row, fate) in &self.rows {
            bytes.push(match fate {
                Fate::Wrong => 0,
                Fate::Right => 1,
                Fate::Unseen => 2,
            });
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// Reads that form; `None` if it is another's or damaged.
    #[must_use]
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let rows = reader.count()?;
        if rows > QUESTIONS {
            return None;
        }
        let mut ledger = Self::default();
        for _ in 0..rows {
            let fate = match reader.byte()? {
                0 => Fate::Wrong,
                1 => Fate::Right,
                2 => Fate::Unseen,
                _ => return None,
            };
            ledger.push(reader.row()?, fate);
        }
        reader.0.is_empty().then_some(ledger)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take()?)).ok()
    }

    fn row(&mut self) -> Option<[i16; FEATURES]> {
        let mut row = [0; FEATURES];
        for value in &mut row {
            *value = i16::from_le_bytes(self.take()?);
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(questions: usize) -> Ledger {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut ledger = Ledger::default();
        for n in 0..questions {
            let fate = [Fate::Right, Fate::Wrong, Fate::Unseen][n % 3];
            ledger.note(&[0.0; FEATURES].map(|_: f32| rng.f32()), fate);
        }
        ledger
    }

    #[test]
    fn a_ledger_comes_back_as_it_was_saved() {
        for ledger in [filled(0), filled(17), filled(QUESTIONS)] {
            assert_eq!(Ledger::load(&ledger.save()), Some(ledger));
        }
    }

    #[test]
    fn what_another_version_saved_is_nothing() {
        let mut bytes = filled(17).save();
        bytes[0] = 1;
        assert_eq!(Ledger::load(&bytes), None);
    }

    #[test]
    fn it_never_grows_beyond_its_bounds_and_the_oldest_leave() {
        let mut ledger = filled(QUESTIONS + 500);
        assert_eq!(ledger.rows().count(), QUESTIONS);
        let labelled = ledger.rows().filter(|row| row.1.label().is_some()).count();
        assert_eq!(ledger.labels(), labelled);
        ledger.note(&[0.5; FEATURES], Fate::Right);
        let (last, fate) = ledger.rows().last().unwrap();
        assert!((last[0] - 0.5).abs() < 1e-4 && fate == Fate::Right);
        ledger.forget(3);
        assert_eq!(ledger.labels(), 3);
    }

    #[test]
    fn similarities_come_back_finer_than_they_matter() {
        let mut ledger = Ledger::default();
        for value in [-2.0, -1.0, 0.0, 0.951_23, 1.0, 2.0] {
            ledger.note(&[value; FEATURES], Fate::Unseen);
            let back = ledger.rows().last().unwrap().0[0];
            assert!((back - value).abs() < 1e-4, "{value}: {back}");
        }
    }

    proptest::proptest! {
        #[test]
        fn damage_is_noticed_or_harmless(at in 0usize..800, byte: u8, cut in 0usize..800) {
            let mut bytes = filled(25).save();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(ledger) = Ledger::load(&bytes) {
                proptest::prop_assert!(ledger.labels() <= QUESTIONS);
            }
            let whole = filled(25).save();
            let cut = cut % whole.len();
            proptest::prop_assert_eq!(Ledger::load(&whole[..cut]), None);
        }
    }
}
