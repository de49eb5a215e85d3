use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn near(value: u64, wanted: u64, share: f64) -> bool {
    (value as f64 - wanted as f64).abs() <= share * wanted as f64
}

#[test]
fn an_unknown_model_is_taken_for_four_bytes_a_token() {
    let estimator = Estimator::default();
    assert_eq!(estimator.prompt_tokens("m", 4000, 0), 1000);
    assert_eq!(estimator.prompt_tokens("m", 3000, 3000), 1000);
    assert_eq!(estimator.prompt_tokens("m", 1, 0), 1);
    assert_eq!(estimator.prompt_tokens("m", 0, 0), 0);
}

#[test]
fn tokens_per_byte_are_learnt_per_model() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for _ in 0..50 {
        estimator.learn("dense", 4000, 0, 2000, 10, now);
        estimator.learn("sparse", 4000, 0, 500, 10, now);
    }
    assert!(near(estimator.prompt_tokens("dense", 8000, 0), 4000, 0.02));
    assert!(near(estimator.prompt_tokens("sparse", 8000, 0), 1000, 0.02));
}

#[test]
fn ascii_and_other_bytes_are_learnt_apart_also_from_mixed_texts() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    let truth = |bytes: u64, other: u64| (bytes - other) / 5 + other / 2;
    for n in 0..2000u64 {
        let other = (n * 397) % 4001;
        estimator.learn("m", 4000, other, truth(4000, other), 10, now);
    }
    for other in [0, 1000, 2000, 4000] {
        let estimate = estimator.prompt_tokens("m", 4000, other);
        assert!(
            near(estimate, truth(4000, other), 0.05),
            "{other}: {estimate}"
        );
    }
}

#[test]
fn one_strange_sample_changes_little() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for _ in 0..100 {
        estimator.learn("m", 4000, 0, 1000, 10, now);
    }
    estimator.learn("m", 4000, 0, 1_000_000, 10, now);
    assert!(near(estimator.prompt_tokens("m", 4000, 0), 1000, 0.06));
}

#[test]
fn short_prompts_teach_little_about_long_ones() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    estimator.learn("m", 20, 0, 30, 10, now);
    assert!(near(estimator.prompt_tokens("m", 100_000, 0), 25_000, 0.1));
}

#[test]
fn without_experience_an_answer_is_of_the_order_of_its_prompt() {
    let estimator = Estimator::default();
    assert_eq!(estimator.output_tokens("m", 400, None), 600);
    assert_eq!(estimator.output_tokens("m", 400, Some(100)), 100);
    assert_eq!(estimator.output_tokens("m", 1, None), 64);
    assert_eq!(estimator.output_tokens("m", 1_000_000, None), 1024);
}

#[test]
fn expected_output_follows_the_size_of_the_prompt() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for _ in 0..500 {
        estimator.learn("m", 400, 0, 100, 800, now);
        estimator.learn("m", 40_000, 0, 10_000, 50, now);
    }
    assert!(near(estimator.output_tokens("m", 100, None), 800, 0.02));
    assert!(near(estimator.output_tokens("m", 10_000, None), 50, 0.2));
    assert_eq!(estimator.output_tokens("m", 100, Some(16)), 16);
}

#[test]
fn the_ninth_decile_is_found_within_its_size_class() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for n in 0..1000 {
        estimator.learn("m", 400, 0, 100, n, now);
    }
    let p90 = estimator.output_p90("m", 100, None);
    assert!(near(p90, 900, 0.05), "{p90}");
    assert!(estimator.output_p90("m", 100, None) > estimator.output_tokens("m", 100, None));
    assert_eq!(estimator.output_p90("m", 100, Some(200)), 200);
}

#[test]
fn old_answers_fade() {
    let (estimator, start) = (Estimator::default(), Instant::now());
    for _ in 0..200 {
        estimator.learn("m", 400, 0, 100, 1000, start);
    }
    let later = start + Duration::from_secs(3600);
    for _ in 0..200 {
        estimator.learn("m", 400, 0, 100, 100, later);
    }
    assert!(near(estimator.output_tokens("m", 100, None), 100, 0.1));
}

#[test]
fn a_new_model_starts_from_what_all_others_taught() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for _ in 0..500 {
        estimator.learn("a", 4000, 0, 2000, 300, now);
    }
    assert!(near(estimator.prompt_tokens("new", 4000, 0), 2000, 0.02));
    assert!(near(estimator.output_tokens("new", 2000, None), 300, 0.02));
}

#[test]
fn the_number_of_models_is_bounded_and_the_longest_silent_one_leaves() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    for _ in 0..100 {
        estimator.learn("kept", 4000, 0, 4000, 10, now);
    }
    for n in 0..2 * MAX_MODELS {
        estimator.learn(&format!("m{n}"), 4000, 0, 1000, 10, now);
        estimator.learn("kept", 4000, 0, 4000, 10, now);
    }
    assert_eq!(estimator.models(), MAX_MODELS);
    assert!(near(estimator.prompt_tokens("kept", 4000, 0), 4000, 0.02));
}

#[test]
fn threads_that_learn_the_same_model_at_once_do_not_lose_it() {
    let (estimator, now) = (Estimator::default(), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let estimator = &estimator;
            scope.spawn(move || {
                for n in 0..200 {
                    estimator.learn(&format!("m{}", (n + thread) % 20), 4000, 0, 2000, 10, now);
                }
            });
        }
    });
    assert_eq!(estimator.models(), 20);
    assert!(near(estimator.prompt_tokens("m0", 4000, 0), 2000, 0.05));
}

proptest! {
    #[test]
    fn estimates_stay_sane_whatever_is_learnt(
        samples in proptest::collection::vec((0u64..u64::MAX, 0u64..u64::MAX, 0u64..u64::MAX, 0u64..u64::MAX), 0..40),
        bytes in 0u64..1 << 32, cap in proptest::option::of(0u64..1 << 20),
    ) {
        let (estimator, now) = (Estimator::default(), Instant::now());
        for (bytes, other, input, output) in samples {
            estimator.learn("m", bytes, other, input, output, now);
        }
        let prompt = estimator.prompt_tokens("m", bytes, bytes / 2);
        prop_assert!(prompt <= 4 * bytes && (bytes < 100 || prompt >= bytes / 51));
        let output = estimator.output_tokens("m", prompt, cap);
        prop_assert!(output <= cap.unwrap_or(u64::MAX));
        prop_assert!(estimator.output_p90("m", prompt, cap) <= cap.unwrap_or(u64::MAX));
    }
}
