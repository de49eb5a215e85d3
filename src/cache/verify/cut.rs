//! Where to cut: the largest region of scores whose error keeps the promise, by a bound and not by a guess.
//!
//! Regions are tried at sizes that grow by steps. Trying many would find one that only looks good, so the doubt allowed is
//! shared among some of them, and what a region that holds was given goes on to the next larger one (the fallback procedure
//! of Wiens, Pharmaceutical Statistics 2, 2003): whichever regions break the promise, the chance that one of them is taken
//! for good stays within the whole doubt.
//!
//! Two counts are taken of each. The plain one counts the region's labels as they came: where hits are served fewer labels
//! come from its safe top than from its edge, so it errs towards caution. The weighted one counts them by blocks, each as
//! heavy as its share of the questions asked. Since what is stored and asked changes, no region is taken of which more
//! than promised was wrong among the newest.

use super::bound;

/// Chance, at most, that a region chosen breaks the promise, given that the labels are those of the questions asked.
pub const DOUBT: f64 = 0.05;

/// How much larger than the last the next region tried is.
const STEP: f64 = 1.3;

/// Each how many-th region gets doubt of its own, the others only what is passed on to them.
const OWN: usize = 3;

/// Labels of a block that is weighted on its own.
const BLOCK: usize = 40;

/// Part of the questions that are the newest.
const NEWEST: usize = 3;

/// Smallest region shown in a curve.
const SMALLEST: usize = 20;

/// A region of scores and what is known of the answers in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Least score of it.
    pub from: f64,
    /// Share of the questions asked that lie in it.
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

/// Chooses a region. `questions` are all that were asked, the oldest first: scores, and whether the answer was right where
/// that is known.
#[must_use]
pub fn choose(questions: &[(f64, Option<bool>)], most: f64) -> Choice {
    let newest = questions.len() - questions.len() / NEWEST;
    let newest = Look::at(questions.get(newest..).unwrap_or_default());
    let look = Look::at(questions);
    let sizes = sizes(look.labels.len());
    let own = own_doubts(&sizes, most);
    let (mut choice, mut passed_on) = (Choice::default(), 0.0);
    for (size, own) in sizes.into_iter().zip(own) {
        let doubt: f64 = own + passed_on;
        // The curve shows a bound for those too that are not tested.
        let region = look.region(size, if doubt > 0.0 { doubt } else { DOUBT });
        passed_on = 0.0;
        if doubt > 0.0 && region.bound <= most && newest.allows(region.from, most) {
            choice.serve = Some(region);
            passed_on = doubt;
        }
        choice.curve.push(region);
    }
    choice
}

/// The doubt that each region is given as its own. One that even without a wrong label is too small to pass gets none.
fn own_doubts(sizes: &[usize], most: f64) -> Vec<f64> {
    let owners = |doubt: f64| {
        let least = bound::fewest(most, doubt);
        let first = sizes.partition_point(|size| *size < least);
        (first..sizes.len()).step_by(OWN)
    };
    let parts = whole(owners(DOUBT).count().max(1));
    let owners = owners(DOUBT / parts);
    let part = DOUBT / whole(owners.len().max(1));
    let mut doubts = vec![0.0; sizes.len()];
    for owner in owners {
        if let Some(doubt) = doubts.get_mut(owner) {
            *doubt = part;
        }
    }
    doubts
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

/// Questions by their scores.
struct Look {
    /// Those that are labelled, best first.
    labels: Vec<(f64, bool)>,
    /// Wrong labels among the first n.
    wrong: Vec<usize>,
    /// Scores of all, worst first.
    asked: Vec<f64>,
}

impl Look {
    fn at(questions: &[(f64, Option<bool>)]) -> Self {
        let label = |(score, right): &(f64, Option<bool>)| Some((*score, (*right)?));
        let mut labels: Vec<_> = questions.iter().filter_map(label).collect();
        labels.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut asked: Vec<_> = questions.iter().map(|(score, _)| *score).collect();
        asked.sort_unstable_by(f64::total_cmp);
        let wrong = labels.iter().scan(0, |wrong, (_, right)| {
            *wrong += usize::from(!right);
            Some(*wrong)
        });
        Self {
            wrong: std::iter::once(0).chain(wrong).collect(),
            labels,
            asked,
        }
    }

    /// Whether, as far as is known, at most this share of what scores so well is wrong.
    fn allows(&self, from: f64, most: f64) -> bool {
        let size = self.labels.partition_point(|label| label.0 >= from);
        let plain = || whole(self.wrong(0, size)) / whole(size);
        let weighted = || self.weighted(size).is_some_and(|(error, _)| error <= most);
        size == 0 || plain() <= most || weighted()
    }

    /// The region of the `size` best scores, its bound wrong with a chance of `doubt` at most.
    fn region(&self, size: usize, doubt: f64) -> Region {
        let plain = whole(self.wrong(0, size)) / whole(size);
        let cautious = bound::upper(whole(self.wrong(0, size)), whole(size), doubt);
        let (error, bound) = match self.weighted(size) {
            Some((error, labels)) => {
                let weighted = bound::upper(error * labels, labels, doubt);
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

    /// Questions with this chance of being wrong at each score from 0 to 1, all labelled.
    fn world(seed: u64, count: usize, error: impl Fn(f64) -> f64) -> Vec<(f64, Option<bool>)> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut question = || {
            let score = rng.f64();
            (score, Some(rng.f64() >= error(score)))
        };
        (0..count).map(|_| question()).collect()
    }

    #[test]
    fn too_few_labels_serve_nothing_even_if_all_are_right() {
        for most in [0.01, 0.02, 0.05] {
            let few = bound::fewest(most, DOUBT) - 1;
            assert_eq!(choose(&world(1, few, |_| 0.0), most).serve, None);
        }
    }

    #[test]
    fn what_is_always_right_is_served_whole() {
        let region = choose(&world(1, 2000, |_| 0.0), 0.02).serve.unwrap();
        assert_eq!(region.labels, 2000);
        assert!((region.share - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_region_that_breaks_the_promise_is_rarely_chosen() {
        // Wrong a little or much more often than promised, at every score: no region is good. 200 worlds, one doubt in
        // twenty.
        for error in [0.022, 0.04] {
            let chosen = (0..200)
                .filter(|seed| {
                    let world = world(*seed, 3000, |_| error);
                    choose(&world, 0.02).serve.is_some()
                })
                .count();
            assert!(chosen <= 10, "{chosen} of 200");
        }
    }

    #[test]
    fn of_two_halves_the_good_one_is_served() {
        let world = world(5, 4000, |score| if score > 0.5 { 0.002 } else { 0.5 });
        let region = choose(&world, 0.02).serve.unwrap();
        assert!((0.3..0.56).contains(&region.share), "{region:?}");
        assert!(region.error <= 0.02 && region.bound <= 0.02);
    }

    #[test]
    fn what_holds_passes_its_doubt_on_to_the_next_region() {
        // One test at the whole doubt would allow 3 of 167, a ninth of it not even 1: the safe smaller regions pay.
        let error = |score: f64| if score > 0.2 { 0.0 } else { 0.05 };
        let region = choose(&world(3, 4000, error), 0.02).serve.unwrap();
        assert_eq!(region.labels, 4000);
        let alone = region.error * whole(region.labels);
        assert!(bound::holds(alone, 4000.0, 0.02, DOUBT));
    }

    #[test]
    fn a_region_whose_newest_answers_are_wrong_is_not_taken() {
        let mut questions = world(7, 6000, |_| 0.001);
        assert!(choose(&questions, 0.02).serve.is_some());
        questions.extend(world(8, 1000, |score| if score < 0.5 { 0.2 } else { 0.0 }));
        let region = choose(&questions, 0.02).serve.unwrap();
        assert!(region.from > 0.3, "{region:?}");
    }

    #[test]
    fn a_well_known_edge_does_not_hide_a_safe_top() {
        // Where it serves, one question in four is labelled; the edge below is labelled whole, and is worse.
        let mut rng = fastrand::Rng::with_seed(9);
        let mut questions = world(9, 8000, |score| if score > 0.3 { 0.002 } else { 0.05 });
        for (score, label) in &mut questions {
            if *score > 0.3 && rng.f64() >= 0.25 {
                *label = None;
            }
        }
        let region = choose(&questions, 0.02).serve.unwrap();
        assert!(region.share > 0.7, "{region:?}");
    }

    proptest::proptest! {
        #[test]
        fn what_is_chosen_keeps_its_bound_and_lies_on_the_curve(
            questions in proptest::collection::vec(
                (-5.0f64..5.0, proptest::option::weighted(0.7, proptest::bool::weighted(0.97))), 0..1000),
            most in 0.005f64..0.3,
        ) {
            let choice = choose(&questions, most);
            if let Some(region) = choice.serve {
                proptest::prop_assert!(region.bound <= most && region.error <= region.bound + 1e-6);
                proptest::prop_assert!(choice.curve.contains(&region));
                proptest::prop_assert!(region.labels >= bound::fewest(most, DOUBT));
            }
            proptest::prop_assert!(choice.curve.iter().all(|r| (0.0..=1.0).contains(&r.share) && r.bound.is_finite()));
        }
    }
}
