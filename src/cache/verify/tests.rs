use super::*;

const PROMISE: f64 = 0.02;

fn place(ground: u8, class: u8) -> Place {
    Place {
        ground: [ground; 32],
        class: [class; 32],
    }
}

/// A neighbourhood with a similarity, alone.
fn case(similarity: f32) -> Case {
    Case::of(&[Near {
        similarity,
        answer: 1,
    }])
    .unwrap()
}

/// Asks and answers: what is served, and how much of it was wrong. An answer is wrong with the chance that `error` gives for
/// its similarity.
fn live(
    verifier: &Verifier,
    place: &Place,
    rng: &mut fastrand::Rng,
    questions: usize,
    error: impl Fn(f32) -> f64,
) -> (usize, usize) {
    let (mut served, mut wrong) = (0, 0);
    for _ in 0..questions {
        let case = case(rng.f32());
        let right = rng.f64() >= error(case.features[0]);
        let verdict = verifier.decide(place, "route", &case, rng.f64());
        if verdict != Verdict::Refuse {
            served += 1;
            wrong += usize::from(!right);
            verifier.served("", place, "route", &case, verdict == Verdict::ServeAndCheck);
        }
        if verdict != Verdict::Serve {
            for due in verifier.label(place, "route", case.features, right) {
                verifier.carry_out(&due);
            }
        }
    }
    (served, wrong)
}

fn mostly_right_when_near(similarity: f32) -> f64 {
    if similarity > 0.5 { 0.004 } else { 0.5 }
}

#[test]
fn it_serves_what_is_right_often_enough_and_keeps_its_promise() {
    for seed in 0..5 {
        let verifier = Verifier::new(PROMISE, 0.05);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (served, wrong) = live(
            &verifier,
            &place(1, 1),
            &mut rng,
            8000,
            mostly_right_when_near,
        );
        assert!(served > 1500, "{served}");
        assert!(
            wrong as f64 <= PROMISE * served as f64,
            "{wrong} of {served}"
        );
    }
}

#[test]
fn what_is_wrong_more_often_than_promised_is_never_served() {
    for seed in 0..5 {
        let verifier = Verifier::new(PROMISE, 0.05);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (served, _) = live(&verifier, &place(1, 1), &mut rng, 5000, |_| 0.05);
        assert_eq!(served, 0);
    }
}

#[test]
fn one_scope_teaches_no_other() {
    let verifier = Verifier::new(PROMISE, 0.05);
    let mut rng = fastrand::Rng::with_seed(1);
    live(
        &verifier,
        &place(1, 1),
        &mut rng,
        6000,
        mostly_right_when_near,
    );
    assert_ne!(
        verifier.decide(&place(1, 1), "route", &case(0.95), 0.9),
        Verdict::Refuse
    );
    // The same class in another scope, and a scope that lies about everything, change nothing.
    assert_eq!(
        verifier.decide(&place(2, 1), "route", &case(0.95), 0.9),
        Verdict::Refuse
    );
    live(&verifier, &place(2, 1), &mut rng, 6000, |_| 1.0);
    assert_eq!(
        verifier.decide(&place(1, 1), "route", &case(0.95), 0.9),
        Verdict::Serve
    );
    assert_eq!(
        verifier.decide(&place(2, 1), "route", &case(0.95), 0.9),
        Verdict::Refuse
    );
}

#[test]
fn a_class_borrows_from_its_ground_until_it_knows_better() {
    let verifier = Verifier::new(PROMISE, 1.0);
    let mut rng = fastrand::Rng::with_seed(1);
    live(
        &verifier,
        &place(1, 1),
        &mut rng,
        6000,
        mostly_right_when_near,
    );
    let other = place(1, 2);
    assert_eq!(
        verifier.decide(&other, "route", &case(0.95), 0.0),
        Verdict::ServeAndCheck
    );
    let (served, _) = live(&verifier, &other, &mut rng, 600, |_| 1.0);
    assert!(served < 30, "{served}");
    assert_eq!(
        verifier.decide(&other, "route", &case(0.95), 0.0),
        Verdict::Refuse
    );
}

#[test]
fn answers_that_change_are_noticed_and_learnt_anew() {
    let verifier = Verifier::new(PROMISE, 0.05);
    let mut rng = fastrand::Rng::with_seed(1);
    live(
        &verifier,
        &place(1, 1),
        &mut rng,
        8000,
        mostly_right_when_near,
    );
    // All of a sudden all is wrong: a handful of checked answers tells, that is a hundred served or so.
    let (served, _) = live(&verifier, &place(1, 1), &mut rng, 4000, |_| 1.0);
    assert!(served < 400, "{served}");
    // Only the nearest are right now.
    let error = |similarity| if similarity > 0.8 { 0.001 } else { 0.7 };
    live(&verifier, &place(1, 1), &mut rng, 9000, error);
    let (served, wrong) = live(&verifier, &place(1, 1), &mut rng, 4000, error);
    assert!(
        served > 200 && wrong as f64 <= PROMISE * served as f64,
        "{wrong} of {served}"
    );
}

#[test]
fn what_was_learnt_is_there_after_a_restart() {
    let verifier = Verifier::new(PROMISE, 0.05);
    let mut rng = fastrand::Rng::with_seed(1);
    live(
        &verifier,
        &place(1, 1),
        &mut rng,
        6000,
        mostly_right_when_near,
    );
    live(
        &verifier,
        &place(1, 2),
        &mut rng,
        300,
        mostly_right_when_near,
    );
    let saved = verifier.save();
    assert_eq!(saved.len(), 2);
    assert_eq!(verifier.save(), []);
    let again = Verifier::new(PROMISE, 0.05);
    for (key, value) in &saved {
        again.carry_out(&again.load(key, value).unwrap());
        assert!(again.load(key, &value[..value.len() - 1]).is_none());
        assert!(again.load(&key[1..], value).is_none());
    }
    assert_eq!(
        again.decide(&place(1, 1), "route", &case(0.95), 0.9),
        Verdict::Serve
    );
    let (before, after) = (verifier.reports(), again.reports());
    assert_eq!(before.len(), after.len());
    assert_eq!(before[0].labels, after[0].labels);
}

#[test]
fn complaints_are_labels() {
    let verifier = Verifier::new(PROMISE, 0.0);
    let mut rng = fastrand::Rng::with_seed(1);
    live(
        &verifier,
        &place(1, 1),
        &mut rng,
        6000,
        mostly_right_when_near,
    );
    let near = case(0.95);
    assert!(verifier.feedback("e1", false).is_none());
    for _ in 0..5 {
        assert_eq!(
            verifier.decide(&place(1, 1), "route", &near, 0.5),
            Verdict::Serve
        );
        verifier.served("e1", &place(1, 1), "route", &near, false);
        verifier.feedback("e1", false).unwrap();
        if verifier.reports()[0].alarms > 0 {
            break;
        }
    }
    assert_eq!(
        verifier.decide(&place(1, 1), "route", &near, 0.5),
        Verdict::Refuse
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]

    #[test]
    fn no_world_makes_it_serve_before_it_can_know(seed: u64, most in 0.005f64..0.2, error in 0.0f64..1.0) {
        let verifier = Verifier::new(most, 0.05);
        let mut rng = fastrand::Rng::with_seed(seed);
        let few = bound::fewest(most, cut::DOUBT);
        let (served, _) = live(&verifier, &place(1, 1), &mut rng, few, |_| error);
        proptest::prop_assert_eq!(served, 0);
    }
}
