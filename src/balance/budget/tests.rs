use std::time::Duration;

use super::*;
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);

fn rules(share: f64, min_per_second: f64) -> RetryBudget {
    RetryBudget {
        share,
        min_per_second,
    }
}

fn shared(now: Instant) -> Arc<Shared> {
    Arc::new(Shared::new(Arc::new(|| ()), now))
}

/// Takes retries until there are no more.
fn drain(budget: &Budget, rules: &RetryBudget, now: Instant) -> usize {
    std::iter::from_fn(|| budget.withdraw(rules, now).ok()).count()
}

#[test]
fn a_pool_without_traffic_has_its_minimum_and_no_more() {
    let now = Instant::now();
    let budget = Budget::new(now);
    assert_eq!(drain(&budget, &rules(0.2, 10.0), now), 100);
    assert_eq!(drain(&budget, &rules(0.2, 10.0), now + 9 * S), 0);
    assert_eq!(drain(&budget, &rules(0.2, 10.0), now + 10 * S), 100);
}

#[test]
fn traffic_buys_its_share_of_retries_and_the_share_ages_with_it() {
    let now = Instant::now();
    let budget = Budget::new(now);
    for n in 0..1000 {
        budget.request(now + n * S / 250);
    }
    assert_eq!(drain(&budget, &rules(0.2, 0.0), now + 4 * S), 200);
    assert_eq!(
        drain(&budget, &rules(0.2, 0.0), now + 13 * S),
        0,
        "the retries of 4 s ago still count"
    );
    budget.request(now + 100 * S);
    assert_eq!(drain(&budget, &rules(1.0, 0.0), now + 100 * S), 1);
}

#[test]
fn nothing_is_granted_where_nothing_is_allowed() {
    let now = Instant::now();
    let budget = Budget::new(now);
    (0..100).for_each(|_| budget.request(now));
    assert_eq!(drain(&budget, &rules(0.0, 0.0), now), 0);
    assert_eq!(
        drain(&budget, &rules(0.005, 0.0), now),
        0,
        "half a retry is none"
    );
    assert_eq!(drain(&budget, &rules(0.01, 0.0), now), 1);
}

#[test]
fn the_first_refusal_of_a_row_is_told_apart() {
    let now = Instant::now();
    let budget = Budget::new(now);
    let one = rules(0.0, 0.1);
    assert!(budget.withdraw(&one, now).is_ok());
    for newly in [true, false, false] {
        assert_eq!(budget.withdraw(&one, now), Err(BudgetSpent { newly }));
    }
    assert!(budget.withdraw(&one, now + 10 * S).is_ok());
    assert_eq!(
        budget.withdraw(&one, now + 10 * S),
        Err(BudgetSpent { newly: true })
    );
}

#[test]
fn a_grant_that_was_not_used_goes_back() {
    let now = Instant::now();
    let (shared, one) = (shared(now), rules(0.0, 0.1));
    for _ in 0..5 {
        drop(RetryGrant::withdrawn(&shared, &one, now).unwrap());
    }
    RetryGrant::withdrawn(&shared, &one, now).unwrap().used();
    assert!(RetryGrant::withdrawn(&shared, &one, now).is_err());
}

#[test]
fn a_grant_that_outlived_its_window_gives_nothing_back() {
    let now = Instant::now();
    let (shared, one) = (shared(now), rules(0.0, 0.1));
    let old = RetryGrant::withdrawn(&shared, &one, now).unwrap();
    let later = now + 20 * S;
    RetryGrant::withdrawn(&shared, &one, later).unwrap().used();
    drop(old);
    assert!(RetryGrant::withdrawn(&shared, &one, later).is_err());
}

#[test]
fn threads_get_the_budget_exactly_once_between_them() {
    let now = Instant::now();
    let (shared, rules) = (shared(now), rules(0.2, 10.0));
    let start = std::sync::Barrier::new(4);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..250).for_each(|_| shared.budget().request(now));
                    start.wait();
                    (0..500)
                        .filter_map(|_| RetryGrant::withdrawn(&shared, &rules, now).ok())
                        .map(RetryGrant::used)
                        .count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(granted, 300);
}

#[derive(Debug, Clone)]
enum Step {
    Requests(u16),
    Retry { used: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u16..50).prop_map(Step::Requests),
        (0u8..4).prop_map(|n| Step::Retry { used: n > 0 }),
        (0u64..4000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn every_decision_is_that_of_the_formula_over_all_that_happened(
        steps in proptest::collection::vec(step(), 1..200), share in 0.0f64..1.5, min in 0.0f64..3.0,
    ) {
        let start = Instant::now();
        let (shared, rules) = (shared(start), rules(share, min));
        let (mut requests, mut retries) = (Vec::new(), Vec::new());
        let mut millis = 0;
        for step in steps {
            let now = start + Duration::from_millis(millis);
            let recent = |all: &[u64]| all.iter().filter(|at| *at / 1000 + 10 > millis / 1000).count() as f64;
            match step {
                Step::Wait(more) => millis += more,
                Step::Requests(count) => for _ in 0..count {
                    shared.budget().request(now);
                    requests.push(millis);
                },
                Step::Retry { used } => {
                    let allowed = recent(&retries) + 1.0 <= share * recent(&requests) + min * 10.0;
                    match RetryGrant::withdrawn(&shared, &rules, now) {
                        Ok(grant) => {
                            prop_assert!(allowed);
                            if used {
                                grant.used();
                                retries.push(millis);
                            }
                        }
                        Err(_) => prop_assert!(!allowed),
                    }
                }
            }
        }
    }
}
