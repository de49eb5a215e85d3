//! Counting what became of the questions.

use tollgate::cache::verify::bound;

use crate::ask::{Kind, Outcome};
use crate::sets::Question;
use crate::way::Way;

/// How unlikely so many wrong answers must be, had the promise been kept, to call it broken.
const CHANCE: f64 = 0.05;

/// What one way made of one set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    pub(crate) way: Way,
    /// Questions that count.
    pub(crate) asked: u64,
    /// Of these, answered from the cache in the same words.
    pub(crate) exact: u64,
    /// Of these, answered by meaning.
    pub(crate) meaning: u64,
    /// Wrong ones among those answered in the same words: the set's own contradictions.
    pub(crate) exact_wrong: u64,
    /// Wrong ones among those answered by meaning.
    pub(crate) meaning_wrong: u64,
    /// Requests that the upstream got beyond the misses.
    pub(crate) shadowed: u64,
    /// All requests, those too that do not count.
    pub(crate) requests: u64,
}

impl Score {
    pub(crate) fn of(way: Way, questions: &[Question], outcomes: &[Outcome], calls: u64) -> Self {
        let mut score = Self {
            way,
            asked: 0,
            exact: 0,
            meaning: 0,
            exact_wrong: 0,
            meaning_wrong: 0,
            shadowed: 0,
            requests: outcomes.len() as u64,
        };
        let misses = outcomes
            .iter()
            .filter(|outcome| outcome.kind == Kind::Miss)
            .count() as u64;
        score.shadowed = calls.saturating_sub(misses);
        for (_, outcome) in questions
            .iter()
            .zip(outcomes)
            .filter(|(question, _)| question.counts)
        {
            let wrong = u64::from(!outcome.right);
            score.asked += 1;
            match outcome.kind {
                Kind::Miss => {}
                Kind::Exact => {
                    score.exact += 1;
                    score.exact_wrong += wrong;
                }
                Kind::Meaning(_) => {
                    score.meaning += 1;
                    score.meaning_wrong += wrong;
                }
            }
        }
        score
    }

    /// Share answered from the cache.
    pub(crate) fn hit_ratio(&self) -> f64 {
        share(self.exact + self.meaning, self.asked).unwrap_or(0.0)
    }

    /// Share answered by meaning.
    pub(crate) fn by_meaning(&self) -> f64 {
        share(self.meaning, self.asked).unwrap_or(0.0)
    }

    /// Wrong ones of those answered by meaning; none without any.
    pub(crate) fn wrong_per_hit(&self) -> Option<f64> {
        share(self.meaning_wrong, self.meaning)
    }

    /// Whether more was wrong than promised.
    pub(crate) fn is_above(&self) -> bool {
        let wrong = self.wrong_per_hit();
        matches!((self.way, wrong), (Way::Verified { most, .. }, Some(wrong)) if wrong > most)
    }

    /// Whether so much more was wrong than promised that chance does not explain it.
    pub(crate) fn is_broken(&self) -> bool {
        let (wrong, hits) = (self.meaning_wrong as f64, self.meaning as f64);
        match self.way {
            Way::Verified { most, .. } => {
                self.is_above() && bound::exceeds(wrong, hits, most, CHANCE)
            }
            Way::Exact | Way::Threshold { .. } => false,
        }
    }

    /// Wrong ones from the cache, of all.
    pub(crate) fn wrong_per_request(&self) -> f64 {
        share(self.exact_wrong + self.meaning_wrong, self.asked).unwrap_or(0.0)
    }

    /// Requests sent upstream besides the misses, of all.
    pub(crate) fn share_shadowed(&self) -> f64 {
        share(self.shadowed, self.requests).unwrap_or(0.0)
    }
}

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Points of precision (of hits by meaning) against hit ratio (by meaning), by rising hit ratio.
pub(crate) fn curve(scores: &[Score], of: impl Fn(Way) -> bool) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = scores
        .iter()
        .filter(|score| of(score.way))
        .filter_map(|score| Some((score.by_meaning(), 1.0 - score.wrong_per_hit()?)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The area under such a curve, from no hits to its last point. Before the first point the precision is that of the first;
/// nothing is added behind the last.
pub(crate) fn area(points: &[(f64, f64)]) -> f64 {
    let mut before = points.first().map_or((0.0, 0.0), |first| (0.0, first.1));
    let mut area = 0.0;
    for point in points {
        area += (point.0 - before.0) * (point.1 + before.1) / 2.0;
        before = *point;
    }
    area
}

/// Whether a way is a point of a curve.
type Belongs = fn(Way) -> bool;

/// The curves that are drawn: their names, and which ways are their points.
pub(crate) const CURVES: [(&str, Belongs); 4] = [
    ("fixed threshold", |way| {
        matches!(way, Way::Threshold { guard: false, .. })
    }),
    ("threshold and guard", |way| {
        matches!(way, Way::Threshold { guard: true, .. })
    }),
    ("verified", |way| {
        matches!(way, Way::Verified { guard: true, .. })
    }),
    ("verified without guard", |way| {
        matches!(way, Way::Verified { guard: false, .. })
    }),
];
