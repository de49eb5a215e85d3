use super::*;
use proptest::prelude::*;

fn job(prompt: u32, output: u32) -> Job {
    Job {
        prompt,
        output,
        blocks: Vec::new(),
    }
}

/// Runs an engine dry; every report in order.
fn drain(engine: &mut Engine<usize>) -> Vec<(usize, Progress)> {
    let mut seen = Vec::new();
    while let Some(at) = engine.next_at() {
        engine.advance(at, |tag, progress| seen.push((*tag, progress)));
    }
    seen
}

fn at(progress: &[(usize, Progress)], tag: usize, token: u32) -> Duration {
    progress
        .iter()
        .find(|(t, p)| *t == tag && p.emitted == token)
        .unwrap()
        .1
        .at
}

#[test]
fn a_lone_request_gets_its_first_token_after_its_prefill_and_the_rest_step_by_step() {
    let rates = Rates::default();
    let mut engine = Engine::new(rates.clone());
    engine.submit(Duration::ZERO, job(5000, 3), 0).unwrap();
    let seen = drain(&mut engine);
    let prefill = rates.step(0, 0, 2048) * 2 + rates.step(0, 0, 5000 - 2 * 2048);
    assert_eq!(at(&seen, 0, 1), prefill);
    assert_eq!(at(&seen, 0, 2), prefill + rates.step(1, 5001, 0));
    assert_eq!(
        at(&seen, 0, 3),
        prefill + rates.step(1, 5001, 0) + rates.step(1, 5002, 0)
    );
    assert_eq!(seen.last().unwrap().1.stage, Stage::Finished);
}

#[test]
fn a_long_prompt_slows_the_tokens_of_those_that_run() {
    let mut engine = Engine::new(Rates::default());
    engine.submit(Duration::ZERO, job(16, 50), 0).unwrap();
    let start = Duration::from_millis(100);
    engine.advance(start, |_, _| {});
    engine.submit(start, job(20_000, 1), 1).unwrap();
    let seen = drain(&mut engine);
    let gap = |token| at(&seen, 0, token + 1) - at(&seen, 0, token);
    let slowest = (20..49).map(gap).max().unwrap();
    assert!(
        slowest > Duration::from_millis(250),
        "a 2,047-token chunk shares the step: {slowest:?}"
    );
    assert!(gap(49) < Duration::from_millis(7));
}

#[test]
fn a_step_grows_with_the_batch() {
    let gap = |sequences: usize| {
        let mut engine = Engine::new(Rates::default());
        for tag in 0..sequences {
            engine.submit(Duration::ZERO, job(1, 10), tag).unwrap();
        }
        let seen = drain(&mut engine);
        at(&seen, 0, 9) - at(&seen, 0, 8)
    };
    assert!(gap(2) > gap(1));
    assert!(gap(200) > gap(2) * 10);
}

#[test]
fn the_queue_is_served_in_order_of_arrival() {
    let mut engine = Engine::new(Rates {
        max_running: 2,
        ..Rates::default()
    });
    for tag in 0..10 {
        engine
            .submit(Duration::from_millis(tag as u64), job(100, 5), tag)
            .unwrap();
    }
    assert_eq!(engine.load().waiting, 9);
    let firsts: Vec<_> = drain(&mut engine)
        .into_iter()
        .filter(|(_, p)| p.emitted == 1)
        .map(|(tag, _)| tag)
        .collect();
    assert_eq!(firsts, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_second_request_with_the_same_prefix_computes_only_what_is_new() {
    let mut engine = Engine::new(Rates::default());
    let blocks: Vec<u64> = (1..=125).collect();
    let same = Job {
        prompt: 2000,
        output: 1,
        blocks,
    };
    engine.submit(Duration::ZERO, same.clone(), 0).unwrap();
    assert_eq!(drain(&mut engine)[0].1.cached, 0);
    let start = Duration::from_secs(10);
    engine.submit(start, same, 1).unwrap();
    let seen = drain(&mut engine);
    assert_eq!(
        seen[0].1.cached, 1999,
        "all but the last token, which is always computed"
    );
    assert_eq!(seen[0].1.at - start, Rates::default().step(0, 0, 1));
    assert_eq!(engine.stats().cached_tokens, 1999);
}

#[test]
fn a_waiting_request_leaves_at_once_and_a_running_one_at_the_end_of_its_step() {
    let mut engine = Engine::new(Rates {
        max_running: 1,
        ..Rates::default()
    });
    let first = engine.submit(Duration::ZERO, job(1600, 100), 0).unwrap();
    let second = engine.submit(Duration::ZERO, job(1600, 100), 1).unwrap();
    assert_eq!(engine.cancel(second), Cancelled::Waiting);
    assert_eq!(engine.load().waiting, 0);
    assert_eq!(engine.cancel(first), Cancelled::Running);
    assert_eq!(engine.cancel(first), Cancelled::Unknown);
    assert_eq!(engine.load().kv_used, 100);
    assert!(
        drain(&mut engine).is_empty(),
        "a cancelled request emits nothing"
    );
    assert_eq!(
        (
            engine.load().running,
            engine.load().kv_used,
            engine.stats().cancelled
        ),
        (0, 0, 2)
    );
}

#[test]
fn a_job_that_can_never_fit_is_refused() {
    let mut engine = Engine::new(Rates {
        kv_tokens: 1600,
        ..Rates::default()
    });
    assert_eq!(
        engine.submit(Duration::ZERO, job(1600, 1), 0),
        Err(Refusal::TooLong { limit: 1600 })
    );
    assert!(engine.submit(Duration::ZERO, job(1600, 0), 0).is_ok());
}

#[test]
fn when_memory_runs_out_the_last_admitted_is_computed_again_and_loses_no_token() {
    let mut engine = Engine::new(Rates {
        kv_tokens: 64 * BLOCK_TOKENS,
        ..Rates::default()
    });
    for tag in 0..2 {
        engine.submit(Duration::ZERO, job(400, 400), tag).unwrap();
    }
    let seen = drain(&mut engine);
    assert!(engine.stats().preempted > 0);
    for tag in 0..2 {
        let emitted: Vec<_> = seen
            .iter()
            .filter(|(t, _)| *t == tag)
            .map(|(_, p)| p.emitted)
            .collect();
        assert_eq!(emitted, (1..=400).collect::<Vec<_>>());
    }
    assert!(at(&seen, 0, 400) < at(&seen, 1, 400));
}

#[test]
fn a_late_caller_gets_the_same_times() {
    let submit = |engine: &mut Engine<usize>| {
        for tag in 0..20 {
            engine.submit(Duration::ZERO, job(700, 30), tag).unwrap();
        }
    };
    let (mut prompt, mut late) = (Engine::new(Rates::default()), Engine::new(Rates::default()));
    submit(&mut prompt);
    submit(&mut late);
    let mut seen = Vec::new();
    late.advance(Duration::from_secs(3600), |tag, progress| {
        seen.push((*tag, progress))
    });
    assert_eq!(drain(&mut prompt), seen);
}

#[derive(Debug, Clone)]
enum Act {
    Submit {
        prompt: u32,
        output: u32,
        family: u64,
    },
    Cancel(usize),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1_u32..900, 0_u32..60, 0_u64..3).prop_map(|(prompt, output, family)| Act::Submit { prompt, output, family }),
        1 => (0_usize..40).prop_map(Act::Cancel),
        3 => (1_u64..200).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..80)
}

proptest! {
    #[test]
    fn whatever_happens_every_sequence_is_in_one_place_and_memory_is_never_exceeded(acts in acts()) {
        let mut engine = Engine::new(Rates { kv_tokens: 2000, max_running: 6, ..Rates::default() });
        let (mut now, mut ids, mut done) = (Duration::ZERO, Vec::new(), 0_u64);
        for act in acts {
            match act {
                Act::Submit { prompt, output, family } => {
                    let blocks = (0..u64::from((prompt + output) / BLOCK_TOKENS)).map(|i| family * 1000 + i).collect();
                    ids.push(engine.submit(now, Job { prompt, output, blocks }, ids.len()).unwrap());
                }
                Act::Cancel(at) => {
                    if let Some(id) = ids.get(at) {
                        engine.cancel(*id);
                    }
                }
                Act::Wait(ms) => {
                    now += Duration::from_millis(ms);
                    engine.advance(now, |_, p| done += u64::from(p.stage == Stage::Finished));
                }
            }
            check(&engine, done);
        }
        while let Some(at) = engine.next_at() {
            engine.advance(at, |_, p| done += u64::from(p.stage == Stage::Finished));
            check(&engine, done);
        }
        let load = engine.load();
        prop_assert_eq!((load.running, load.waiting, load.kv_used), (0, 0, 0));
        prop_assert_eq!(engine.stats().finished + engine.stats().cancelled, engine.stats().arrived);
    }
}

fn check(engine: &Engine<usize>, done: u64) {
    let (load, stats) = (engine.load(), engine.stats());
    let leaving = engine
        .running
        .iter()
        .filter(|s| s.phase == Phase::Cancelled)
        .count();
    let live = (load.running - leaving + load.waiting) as u64;
    assert_eq!(live + stats.finished + stats.cancelled, stats.arrived);
    assert_eq!(done, stats.finished);
    assert!(load.running <= engine.rates.max_running);
    let held: u32 = engine.running.iter().map(|s| s.held.blocks()).sum();
    assert!(engine.kv.resident() <= load.kv_blocks && load.kv_used <= held);
    assert_eq!(load.running == 0, engine.next_at().is_none());
    assert!(
        load.waiting == 0 || load.running > 0,
        "an engine with work is never idle"
    );
}
