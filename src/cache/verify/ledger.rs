//! Labels and questions seen, the newest of each, and their form on disk.

use std::collections::VecDeque;

use super::features::FEATURES;

/// Labels kept: what is older is forgotten, so that drift is followed. 33 bytes each.
pub const LABELS: usize = 4096;

/// Questions kept to know what is asked. 32 bytes each.
pub const ASKED: usize = 2048;

/// First byte of a saved ledger; another form has another one.
const VERSION: u8 = 1;

type Features = [f32; FEATURES];

/// What was learnt about a place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    labels: VecDeque<(Features, bool)>,
    asked: VecDeque<Features>,
}

impl Ledger {
    /// Labels held.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels.len()
    }

    /// Notes a question that was asked.
    pub fn ask(&mut self, features: Features) {
        if self.asked.len() >= ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(features);
    }

    /// Notes whether an answer was right, or would have been.
    pub fn label(&mut self, features: Features, right: bool) {
        if self.labels.len() >= LABELS {
            self.labels.pop_front();
        }
        self.labels.push_back((features, right));
    }

    /// Forgets all labels but the newest `keep`.
    pub fn forget(&mut self, keep: usize) {
        let gone = self.labels.len().saturating_sub(keep);
        self.labels.drain(..gone);
    }

    /// The labels, oldest first.
    #[must_use]
    pub fn all_labels(&self) -> Vec<(Features, bool)> {
        self.labels.iter().copied().collect()
    }

    /// The questions, oldest first.
    #[must_use]
    pub fn all_asked(&self) -> Vec<Features> {
        self.asked.iter().copied().collect()
    }

    /// Its form on disk.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let size = 1 + FEATURES * 4;
        let mut bytes = Vec::with_capacity(9 + (self.labels.len() + self.asked.len()) * size);
        bytes.push(VERSION);
        for count in [self.labels.len(), self.asked.len()] {
            bytes.extend(u32::try_from(count).unwrap_or(0).to_le_bytes());
        }
        for (features, right) in &self.labels {
            bytes.push(u8::from(*right));
            bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
        }
        for features in &self.asked {
            bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
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
        let (labels, asked) = (reader.count()?, reader.count()?);
        if labels > LABELS || asked > ASKED {
            return None;
        }
        let mut ledger = Self::default();
        for _ in 0..labels {
            let right = match reader.byte()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            ledger.label(reader.features()?, right);
        }
        for _ in 0..asked {
            ledger.ask(reader.features()?);
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

    fn features(&mut self) -> Option<Features> {
        let mut features = [0.0; FEATURES];
        for value in &mut features {
            *value = f32::from_le_bytes(self.take()?);
            if !value.is_finite() {
                return None;
            }
        }
        Some(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(labels: usize, asked: usize) -> Ledger {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut ledger = Ledger::default();
        for _ in 0..labels {
            ledger.label([0.0; FEATURES].map(|_: f32| rng.f32()), rng.bool());
        }
        for _ in 0..asked {
            ledger.ask([0.0; FEATURES].map(|_: f32| rng.f32()));
        }
        ledger
    }

    #[test]
    fn a_ledger_comes_back_as_it_was_saved() {
        for ledger in [filled(0, 0), filled(17, 3), filled(LABELS, ASKED)] {
            assert_eq!(Ledger::load(&ledger.save()), Some(ledger));
        }
    }

    #[test]
    fn it_never_grows_beyond_its_bounds_and_the_oldest_leave() {
        let mut ledger = filled(LABELS + 500, ASKED + 500);
        assert_eq!(ledger.labels(), LABELS);
        assert_eq!(ledger.all_asked().len(), ASKED);
        ledger.label([0.5; FEATURES], true);
        assert_eq!(ledger.all_labels().last(), Some(&([0.5; FEATURES], true)));
        ledger.forget(3);
        assert_eq!(ledger.labels(), 3);
    }

    proptest::proptest! {
        #[test]
        fn damage_is_noticed_or_harmless(at in 0usize..800, byte: u8, cut in 0usize..800) {
            let mut bytes = filled(20, 5).save();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(ledger) = Ledger::load(&bytes) {
                proptest::prop_assert!(ledger.labels() <= LABELS);
            }
            let whole = filled(20, 5).save();
            let cut = cut % whole.len();
            proptest::prop_assert_eq!(Ledger::load(&whole[..cut]), None);
        }
    }
}
