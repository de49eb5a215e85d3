use super::*;
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        path: "/health".into(),
        interval: 5 * S,
        timeout: 2 * S,
        unhealthy_after: 3,
        healthy_after: 2,
    }
}

fn eject() -> Eject {
    Eject {
        after: 3,
        base: 10 * S,
        max: 60 * S,
        max_ejected: 1.0,
    }
}

fn cooldown() -> Cooldown {
    Cooldown {
        default: 2 * S,
        max: 60 * S,
    }
}

fn pause(time: Duration) -> Pause {
    Pause {
        status: 429,
        time: Some(time),
    }
}

fn ejected(health: &mut Health, now: Instant) -> Duration {
    while !health.failed(Failure::Reset, &eject()) {}
    match health.eject(&eject(), Others::Usable, 0.5, now) {
        Change::Ejected(time) => time,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_is_usable_until_probes_prove_it_bad() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    for _ in 0..2 {
        assert_eq!(
            health.probed(Probe::Failed, &rules(), None, now),
            Change::None
        );
        assert!(!health.unhealthy());
    }
    assert_eq!(
        health.probed(Probe::Failed, &rules(), None, now),
        Change::ProbedDown
    );
    assert!(health.unhealthy());
    assert_eq!(
        health.probed(Probe::Passed, &rules(), None, now),
        Change::None
    );
    assert!(health.unhealthy());
    let later = now + S;
    assert_eq!(
        health.probed(Probe::Passed, &rules(), None, later),
        Change::ProbedUp
    );
    assert!(!health.unhealthy());
    assert_eq!(health.ramp_from(), Some(later));
}

#[test]
fn a_passed_probe_breaks_the_row_of_failures() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    for probe in [Probe::Failed, Probe::Failed, Probe::Passed].repeat(5) {
        assert_eq!(health.probed(probe, &rules(), None, now), Change::None);
    }
    assert!(!health.unhealthy());
}

#[test]
fn flowing_bytes_outrank_a_failed_probe() {
    let start = Instant::now();
    let mut health = Health::new(Joining::AtStart, start);
    for n in 0..20 {
        let now = start + n * 5 * S;
        assert_eq!(
            health.probed(Probe::Failed, &rules(), Some(now - 6 * S.min(n * S)), now),
            Change::None
        );
    }
    let quiet = start + 200 * S;
    for n in 0..3 {
        let now = quiet + n * 5 * S;
        let _ = health.probed(Probe::Failed, &rules(), Some(quiet - 8 * S), now);
    }
    assert!(health.unhealthy());
}

#[test]
fn a_success_breaks_the_row_of_failed_requests() {
    let mut health = Health::new(Joining::AtStart, Instant::now());
    for _ in 0..10 {
        assert!(!health.failed(Failure::Reset, &eject()));
        assert!(!health.failed(Failure::Reset, &eject()));
        health.succeeded();
    }
}

#[test]
fn ejection_can_be_switched_off() {
    let mut health = Health::new(Joining::AtStart, Instant::now());
    let off = Eject {
        after: 0,
        ..eject()
    };
    assert!((0..100).all(|_| !health.failed(Failure::Reset, &off)));
}

#[test]
fn failures_of_older_requests_do_not_prolong_an_ejection() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    let _ = ejected(&mut health, now);
    let until = health.ejected_until();
    for _ in 0..10 {
        assert!(!health.failed(Failure::Reset, &eject()));
        assert_eq!(
            health.eject(&eject(), Others::Usable, 0.5, now + S),
            Change::None
        );
    }
    assert_eq!(health.ejected_until(), until);
}

#[test]
fn each_failed_trial_doubles_the_time_up_to_the_maximum() {
    let mut now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    let mut times = vec![ejected(&mut health, now).as_secs()];
    for _ in 0..4 {
        now = health.ejected_until().unwrap();
        match health.trial_failed(Failure::Reset, &eject(), Others::Usable, 0.5, now) {
            Change::Ejected(time) => times.push(time.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(times, [10, 20, 40, 60, 60]);
}

#[test]
fn a_relapse_doubles_but_a_peer_that_held_starts_anew() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    assert_eq!(ejected(&mut health, now), 10 * S);
    let back = now + 10 * S;
    assert_eq!(health.trial_passed(back), Change::Returned);
    assert_eq!(health.ramp_from(), Some(back));
    assert_eq!(ejected(&mut health, back + 5 * S), 20 * S);
    let back = back + 25 * S;
    assert_eq!(health.trial_passed(back), Change::Returned);
    assert_eq!(ejected(&mut health, back + 21 * S), 10 * S);
}

#[test]
fn the_last_usable_peer_is_spared() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    while !health.failed(Failure::Reset, &eject()) {}
    assert_eq!(
        health.eject(&eject(), Others::None, 0.5, now),
        Change::Spared
    );
    assert_eq!(health.ejected_until(), None);
    assert!(
        health.failed(Failure::Reset, &eject()),
        "the next failure asks again, others may be back"
    );
}

#[test]
fn a_trial_that_fails_while_all_are_out_waits_the_shortest_time() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    let _ = ejected(&mut health, now);
    health.try_now(now + S);
    assert_eq!(health.ejected_until(), Some(now + S));
    for n in 1..5 {
        let at = now + n * 100 * S;
        assert_eq!(
            health.trial_failed(Failure::Reset, &eject(), Others::None, 0.5, at),
            Change::Ejected(10 * S)
        );
    }
}

#[test]
fn a_longer_cool_down_wins_and_all_are_bounded() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    let mut ask = |time, at| health.cool_down(pause(time), &cooldown(), Others::Usable, at);
    assert_eq!(ask(Duration::ZERO, now), Change::None);
    assert_eq!(ask(20 * S, now), Change::CoolingDown(20 * S));
    assert_eq!(ask(5 * S, now + S), Change::None);
    assert_eq!(ask(Duration::MAX, now), Change::CoolingDown(60 * S));
    assert_eq!(health.cool_until(), Some(now + 60 * S));
    assert_eq!(health.cooling(now + 59 * S), Some(429));
    assert_eq!(health.cooling(now + 60 * S), None);
}

#[test]
fn a_time_that_the_peer_named_is_kept_even_by_the_last_one_and_a_guess_is_not() {
    let now = Instant::now();
    let mut health = Health::new(Joining::AtStart, now);
    let guess = Pause {
        status: 429,
        time: None,
    };
    let mut ask = |pause, others| health.cool_down(pause, &cooldown(), others, now);
    assert_eq!(ask(guess, Others::None), Change::None);
    assert_eq!(ask(guess, Others::Usable), Change::CoolingDown(2 * S));
    assert_eq!(ask(pause(5 * S), Others::None), Change::CoolingDown(5 * S));
}

proptest! {
    #[test]
    fn every_ejection_ends_within_the_maximum(
        base in 0u64..1_000_000, max in 0u64..u64::MAX, in_a_row in 1u32..100, jitter in 0.0f64..1.0,
    ) {
        let rules = Eject { after: 1, base: Duration::from_millis(base), max: Duration::from_secs(max), max_ejected: 1.0 };
        let time = ejection_time(&rules, in_a_row, jitter);
        let plain = rules.base.saturating_mul(1 << (in_a_row - 1).min(31)).min(rules.max);
        prop_assert!(time >= plain - plain / 10 && time <= plain.saturating_add(plain / 10));
    }

    #[test]
    fn whatever_happens_a_peer_that_answers_again_comes_back(events in proptest::collection::vec(0u8..7, 0..60)) {
        let mut now = Instant::now();
        let mut health = Health::new(Joining::Later, now);
        for event in events {
            now += S;
            match event {
                0 => { let _ = health.probed(Probe::Failed, &rules(), None, now); }
                1 => { let _ = health.probed(Probe::Passed, &rules(), None, now); }
                2 => if health.failed(Failure::Reset, &eject()) { let _ = health.eject(&eject(), Others::Usable, 0.1, now); },
                3 => health.succeeded(),
                4 => { let _ = health.trial_failed(Failure::Reset, &eject(), Others::Usable, 0.9, now); }
                5 => { let _ = health.trial_passed(now); }
                _ => { let _ = health.cool_down(pause(300 * S), &cooldown(), Others::Usable, now); }
            }
            let horizon = now + 301 * S;
            prop_assert!(health.ejected_until().is_none_or(|until| until <= horizon));
            prop_assert!(health.cool_until().is_none_or(|until| until <= horizon));
        }
        now += 301 * S;
        for _ in 0..2 { let _ = health.probed(Probe::Passed, &rules(), None, now); }
        let _ = health.trial_passed(now);
        prop_assert!(!health.unhealthy() && health.ejected_until().is_none());
    }
}
