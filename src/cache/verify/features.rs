//! What the neighbourhood of a question says about an answer.
//!
//! One near entry says little. Of the nearest, how many carry the same answer, how near they lie together, and how far the
//! nearest is that answers otherwise: that tells a dense neighbourhood of one answer from the border between two.

/// Numbers that describe a case.
pub const FEATURES: usize = 8;

/// How fast a neighbour's vote fades with its distance: at 0.05 less similarity it is a third. Measured on `banking77` and
/// `clinc150`: 10 to 40 do about the same.
const FADING: f32 = 20.0;

/// Agreeing neighbours whose similarity is averaged.
const CLOSEST: usize = 3;

/// Neighbours from which on more of them say nothing new about how well the place is known.
const KNOWN: usize = 8;

/// An entry near a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Cosine similarity of the two questions.
    pub similarity: f32,
    /// Equal for entries with the same answer.
    pub answer: u64,
}

/// A question with entries near it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Which of the neighbours would be served: the nearest of those with the answer that won the vote.
    pub winner: usize,
    /// What is known of it.
    pub features: [f32; FEATURES],
}

impl Case {
    /// Reads a neighbourhood, nearest first; `None` if it is empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a handful of neighbours")]
    pub fn of(near: &[Near]) -> Option<Self> {
        let first = near.first()?;
        let vote = |one: &Near| (FADING * (one.similarity - first.similarity)).exp();
        let votes = |answer: u64| -> f32 {
            let agreeing = near.iter().filter(|one| one.answer == answer);
            agreeing.map(vote).sum()
        };
        let (mut winner, mut most) = (0, 0.0);
        for (n, one) in near.iter().enumerate() {
            let votes = votes(one.answer);
            if votes > most * 1.000_001 {
                (winner, most) = (n, votes);
            }
        }
        let best = near.get(winner)?;
        let agrees = |one: &&Near| one.answer == best.answer;
        let agreeing = near.iter().filter(agrees).count();
        let closest: Vec<f32> = near
            .iter()
            .filter(agrees)
            .take(CLOSEST)
            .map(|one| one.similarity)
            .collect();
        let other = near.iter().find(|one| !agrees(one));
        // Where none disagrees, the border lies beyond the farthest.
        let border = other.or(near.last()).map_or(0.0, |one| one.similarity);
        let all: f32 = near.iter().map(vote).sum();
        let count = near.len() as f32;
        Some(Self {
            winner,
            features: [
                best.similarity,
                most / all,
                agreeing as f32 / count,
                closest.iter().sum::<f32>() / closest.len() as f32,
                best.similarity - border,
                if agreeing == near.len() { 1.0 } else { 0.0 },
                near.len().min(KNOWN) as f32 / KNOWN as f32,
                closest.len() as f32 / CLOSEST as f32,
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(list: &[(f32, u64)]) -> Vec<Near> {
        let near = |&(similarity, answer)| Near { similarity, answer };
        list.iter().map(near).collect()
    }

    #[test]
    fn many_near_entries_outvote_one_nearer() {
        let case = Case::of(&near(&[(0.91, 1), (0.90, 2), (0.90, 2), (0.89, 2)])).unwrap();
        assert_eq!(case.winner, 1);
        assert!((case.features[2] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn one_much_nearer_outvotes_many() {
        let case = Case::of(&near(&[(0.99, 1), (0.70, 2), (0.70, 2), (0.70, 2)])).unwrap();
        assert_eq!(case.winner, 0);
        assert!((case.features[4] - 0.29).abs() < 1e-6);
    }

    #[test]
    fn a_neighbourhood_of_one_is_known_for_what_it_is() {
        let case = Case::of(&near(&[(0.97, 5)])).unwrap();
        assert_eq!(case.winner, 0);
        assert_eq!(
            case.features,
            [0.97, 1.0, 1.0, 0.97, 0.0, 1.0, 0.125, 1.0 / 3.0]
        );
    }

    #[test]
    fn no_neighbours_are_no_case() {
        assert_eq!(Case::of(&[]), None);
    }

    proptest::proptest! {
        #[test]
        fn features_are_finite_and_the_winner_is_one_of_them(
            list in proptest::collection::vec((-1.0f32..=1.0, 0u64..4), 1..20),
        ) {
            let mut list = near(&list);
            list.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            let case = Case::of(&list).unwrap();
            proptest::prop_assert!(case.winner < list.len());
            proptest::prop_assert!(case.features.iter().all(|f| f.is_finite()));
            // Nobody with the same answer is nearer than the winner.
            let best = list[case.winner];
            proptest::prop_assert!(list[..case.winner].iter().all(|one| one.answer != best.answer));
        }
    }
}
