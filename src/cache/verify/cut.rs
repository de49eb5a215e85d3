//! Where to cut: the largest region of scores whose error keeps the promise, by a bound and not by a guess.
//!
//! Regions are tried at sizes that grow by steps, each with its share of the doubt allowed, so that trying many does not
//! find one that only looks good (Bonferroni). Two counts are taken of each. The plain one counts the region's labels as
//! they came: where hits are served fewer labels come from its safe top than from its edge, so it errs towards caution.
//! The weighted one counts them by blocks, each as heavy as its share of the questions asked lately.

use super::bound;

/// Chance, at most, that a region chosen breaks the promise, given that the labels are those of the questions asked.
pub const DOUBT: f64 = 0.05;

/// How much larger than the last the next region tried is.
const STEP: f64 = 1.3;

/// Labels of a block that is weighted on its own.
const BLOCK: usize = 40;

/// Smallest region shown in a curve.
const SMALLEST: usize = 20;

/// A region of scores and what is known of the answers in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Least score of it.
    pub from: f64,
    /// Share of the questions asked lately that lie in it.
    pub share: f64,
    /// Estimated share of its answers that are wrong.
    pub error: f64,
    /// Upper bound of that share.
    pub bound: f64,
    /// Labels that this rests on.
    pub labels: usize,
}

/// What a look at all labels gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// The largest region that keeps the promise, if any does.
    pub serve: Option<Region>,
    /// Regions from the smallest to all.
    pub curve: Vec<Region>,
}

/// Chooses a region. `labels` are scores and whether the answer was right, `asked` the scores of the questions asked
/// lately, labelled or not, both in any order.
#[must_use]
pub fn choose(mut labels: Vec<(f64, bool)>, mut asked: Vec<f64>, most: f64) -> Choice {
    labels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    asked.sort_unstable_by(f64::total_cmp);
    let mut wrong = Vec::with_capacity(labels.len() + 1);
    wrong.push(0_usize);
    for (_, right) in &labels {
        wrong.push(wrong.last().copied().unwrap_or(0) + usize::from(!right));
    }
    let sizes = sizes(labels.len());
    let tested = |size: usize, tests: usize| size >= bound::fewest(most, DOUBT / whole(tests));
    // A region that even without a wrong label is too small to pass is not a test.
    let tests = sizes.iter().filter(|&&size| tested(size, 1)).count().max(1);
    let doubt = DOUBT / whole(tests);
    let look = Look {
        labels: &labels,
        wrong: &wrong,
        asked: &asked,
        doubt,
    };
    let mut choice = Choice::default();
    for size in sizes {
        let region = look.at(size);
        if region.bound <= most {
            choice.serve = Some(region);
        }
        choice.curve.push(region);
    }
    choice
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and at most `all`"
)]
fn sizes(all: usize) -> Vec<usize> {
    let grow = |size: &f64| Some(size * STEP);
    std::iter::successors(Some(whole(SMALLEST)), grow)
        .map(|size| size as usize)
        .take_while(|size| *size < all)
        .chain((all >= SMALLEST).then_some(all))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few thousand")]
fn whole(count: usize) -> f64 {
    count as f64
}

struct Look<'a> {
    labels: &'a [(f64, bool)],
    /// Wrong labels among the first n.
    wrong: &'a [usize],
    asked: &'a [f64],
    doubt: f64,
}

impl Look<'_> {
    /// The region of the `size` best scores.
    fn at(&self, size: usize) -> Region {
        let plain = whole(self.wrong(0, size)) / whole(size);
        let cautious = bound::upper(whole(self.wrong(0, size)), whole(size), self.doubt);
        let (error, bound) = match self.weighted(size) {
            Some((error, labels)) => {
                let weighted = bound::upper(error * labels, labels, self.doubt);
                // The plain count is cautious only where the labels do come from the worse part of the region.
                let both = if error <= plain {
                    weighted.min(cautious)
                } else {
                    weighted
                };
                (error, both)
            }
            None => (plain, cautious),
        };
        let from = self.score(size - 1);
        Region {
            from,
            share: whole(self.asked_from(from)) / whole(self.asked.len().max(1)),
            error,
            bound,
            labels: size,
        }
    }

    /// Error of the region with each block as heavy as what was asked in it, and the number of labels counted alike that
    /// would be as sure (Kish, Survey Sampling, 1965).
    fn weighted(&self, size: usize) -> Option<(f64, f64)> {
        let blocks = (size / BLOCK).max(1);
        let edge = |n: usize| n * size / blocks;
        let asked = whole(self.asked_from(self.score(size - 1)));
        if asked == 0.0 {
            return None;
        }
        let (mut error, mut spread, mut before) = (0.0, 0.0, 0);
        for n in 0..blocks {
            let (first, end) = (edge(n), edge(n + 1));
            let until = self.asked_from(self.score(end - 1));
            let weight = whole(until - before) / asked;
            before = until;
            let labels = whole(end - first);
            error += weight * whole(self.wrong(first, end)) / labels;
            spread += weight * weight / labels;
        }
        Some((error, 1.0 / spread))
    }

    fn wrong(&self, first: usize, end: usize) -> usize {
        let until = |n: usize| self.wrong.get(n).copied().unwrap_or(0);
        until(end) - until(first)
    }

    fn score(&self, n: usize) -> f64 {
        self.labels.get(n).map_or(f64::INFINITY, |label| label.0)
    }

    fn asked_from(&self, score: f64) -> usize {
        self.asked.len() - self.asked.partition_point(|asked| *asked < score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels with this chance of being wrong at each score from 0 to 1.
    fn world(seed: u64, count: usize, error: impl Fn(f64) -> f64) -> (Vec<(f64, bool)>, Vec<f64>) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut label = || {
            let score = rng.f64();
            (score, rng.f64() >= error(score))
        };
        let labels: Vec<_> = (0..count).map(|_| label()).collect();
        let asked = labels.iter().map(|label| label.0).collect();
        (labels, asked)
    }

    #[test]
    fn too_few_labels_serve_nothing_even_if_all_are_right() {
        for most in [0.01, 0.02, 0.05] {
            let few = bound::fewest(most, DOUBT) - 1;
            let (labels, asked) = world(1, few, |_| 0.0);
            assert_eq!(choose(labels, asked, most).serve, None);
        }
    }

    #[test]
    fn what_is_always_right_is_served_whole() {
        let (labels, asked) = world(1, 2000, |_| 0.0);
        let region = choose(labels, asked, 0.02).serve.unwrap();
        assert_eq!(region.labels, 2000);
        assert!((region.share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_region_that_breaks_the_promise_is_rarely_chosen() {
        // Wrong twice as often as promised, at every score: no region is good. 200 worlds, one doubt in twenty.
        let chosen = (0..200)
            .filter(|seed| {
                let (labels, asked) = world(*seed, 3000, |_| 0.04);
                choose(labels, asked, 0.02).serve.is_some()
            })
            .count();
        assert!(chosen <= 4, "{chosen} of 200");
    }

    #[test]
    fn of_two_halves_the_good_one_is_served() {
        let (labels, asked) = world(5, 4000, |score| if score > 0.5 { 0.002 } else { 0.5 });
        let region = choose(labels, asked, 0.02).serve.unwrap();
        assert!((0.3..0.56).contains(&region.share), "{region:?}");
        assert!(region.error <= 0.02 && region.bound <= 0.02);
    }

    #[test]
    fn a_well_known_edge_does_not_hide_a_safe_top() {
        // Where it serves, one label in twenty is seen; the edge below is seen whole, and is worse.
        let mut rng = fastrand::Rng::with_seed(9);
        let (labels, asked) = world(9, 8000, |score| if score > 0.3 { 0.002 } else { 0.05 });
        let seen: Vec<_> = labels
            .into_iter()
            .filter(|(score, _)| *score <= 0.3 || rng.f64() < 0.25)
            .collect();
        let region = choose(seen, asked, 0.02).serve.unwrap();
        assert!(region.share > 0.7, "{region:?}");
    }

    proptest::proptest! {
        #[test]
        fn what_is_chosen_keeps_its_bound_and_lies_on_the_curve(
            labels in proptest::collection::vec((-5.0f64..5.0, proptest::bool::weighted(0.97)), 0..800),
            asked in proptest::collection::vec(-5.0f64..5.0, 0..300),
            most in 0.005f64..0.3,
        ) {
            let choice = choose(labels, asked, most);
            if let Some(region) = choice.serve {
                proptest::prop_assert!(region.bound <= most && region.error <= region.bound + 1e-6);
                proptest::prop_assert!(choice.curve.contains(&region));
                proptest::prop_assert!(region.labels >= bound::fewest(most, DOUBT));
            }
            proptest::prop_assert!(choice.curve.iter().all(|r| (0.0..=1.0).contains(&r.share) && r.bound.is_finite()));
        }
    }
}
