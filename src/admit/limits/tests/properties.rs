//! What holds for every sequence of requests.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

// Primes, so that refills do not fall on whole nanoseconds.
const AMOUNT: u64 = 97;
const REQUESTS: u64 = 7;

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        need: Need,
    },
    /// Comes back when told to.
    Insist {
        need: Need,
    },
    SettleAsReserved(usize),
    Settle(usize, u64),
    Progress(usize, u64),
    Drop(usize),
    Cached(usize),
    Refund(usize),
    Wait(Duration),
}

fn insist() -> impl Strategy<Value = Step> {
    reserve().prop_map(|step| match step {
        Step::Reserve { need } => Step::Insist { need },
        other => other,
    })
}

fn reserve() -> impl Strategy<Value = Step> {
    (0..=AMOUNT / 2, 0..=AMOUNT / 2).prop_map(|(input, output)| Step::Reserve {
        need: need(input, output),
    })
}

fn wait() -> impl Strategy<Value = Step> {
    (0..20_000_000_000u64).prop_map(|nanos| Step::Wait(Duration::from_nanos(nanos)))
}

/// Steps where everything that is reserved is also used.
fn honest() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => reserve(),
        2 => insist(),
        2 => any::<usize>().prop_map(Step::SettleAsReserved),
        1 => wait(),
    ]
}

fn wild() -> impl Strategy<Value = Step> {
    let index = any::<usize>;
    prop_oneof![
        4 => reserve(),
        1 => index().prop_map(Step::SettleAsReserved),
        1 => (index(), 0..1000u64).prop_map(|(index, tokens)| Step::Settle(index, tokens)),
        2 => (index(), 0..1000u64).prop_map(|(index, tokens)| Step::Progress(index, tokens)),
        1 => index().prop_map(Step::Drop),
        1 => index().prop_map(Step::Cached),
        1 => index().prop_map(Step::Refund),
        1 => wait(),
    ]
}

struct Run {
    limiter: Limiter,
    now: Instant,
    open: Vec<(Reservation, u64)>,
    admitted: Vec<(Instant, u64)>,
}

impl Run {
    fn new() -> Self {
        let both = Limit {
            requests: a_minute(REQUESTS),
            ..tokens(AMOUNT)
        };
        Self {
            limiter: Limiter::new(&[both]),
            now: Instant::now(),
            open: Vec::new(),
            admitted: Vec::new(),
        }
    }

    fn take(&mut self, index: usize) -> Option<(Reservation, u64)> {
        let count = self.open.len();
        (count > 0).then(|| self.open.swap_remove(index % count))
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Reserve { need } => {
                if let Ok(reservation) = self.limiter.reserve(&WEB, need, now) {
                    let tokens = need.input + need.output;
                    self.open.push((reservation, tokens));
                    self.admitted.push((now, tokens));
                }
            }
            Step::Insist { need } => {
                match self.limiter.reserve(&WEB, need, now) {
                    Ok(mut probe) => probe.refund_all(),
                    Err(denied) => self.now += denied.retry_after,
                }
                self.step(Step::Reserve { need });
            }
            Step::SettleAsReserved(index) => {
                if let Some((mut reservation, tokens)) = self.take(index) {
                    reservation.settle(tokens, now);
                }
            }
            Step::Settle(index, tokens) => {
                if let Some((mut reservation, _)) = self.take(index) {
                    reservation.settle(tokens, now);
                }
            }
            Step::Progress(index, tokens) => {
                let count = self.open.len().max(1);
                if let Some((reservation, _)) = self.open.get_mut(index % count) {
                    reservation.progress(tokens, now);
                }
            }
            Step::Drop(index) => drop(self.take(index)),
            Step::Cached(index) => {
                if let Some((mut reservation, _)) = self.take(index) {
                    reservation.answered_from_cache();
                }
            }
            Step::Refund(index) => {
                if let Some((mut reservation, _)) = self.take(index) {
                    reservation.refund_all();
                }
            }
            Step::Wait(time) => self.now += time,
        }
    }
}

proptest! {
    #[test]
    fn no_window_admits_more_than_the_bucket_and_its_refill(steps in vec(honest(), 1..120)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        for (first, (from, _)) in run.admitted.iter().enumerate() {
            let (mut requests, mut used) = (0u128, 0u128);
            for (to, tokens) in &run.admitted[first..] {
                requests += 1;
                used += u128::from(*tokens);
                let (window, minute) = ((*to - *from).as_nanos(), MINUTE.as_nanos());
                prop_assert!(used * minute <= u128::from(AMOUNT) * (minute + window));
                prop_assert!(requests * minute <= u128::from(REQUESTS) * (minute + window));
            }
        }
    }

    #[test]
    fn after_any_sequence_nothing_is_held_and_time_fills_every_bucket(steps in vec(wild(), 1..120)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
            prop_assert_eq!(run.limiter.in_use(), run.open.len());
            prop_assert_eq!(live(&run.limiter) as usize, run.open.len());
        }
        run.open.clear();
        prop_assert_eq!(run.limiter.in_use(), 0);
        prop_assert_eq!(live(&run.limiter), 0);
        let full = run.now + 120 * 1100 / (AMOUNT as u32) * MINUTE;
        prop_assert_eq!(left(&run.limiter, &WEB, full), (Some(REQUESTS), Some(AMOUNT)));
    }

    #[test]
    fn the_time_to_come_back_is_exact_to_the_nanosecond(
        steps in vec(wild(), 1..60),
        input in 0..3 * AMOUNT,
    ) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        if let Err(denied) = run.limiter.reserve(&WEB, need(input, 0), run.now) {
            let back = run.now + denied.retry_after;
            let early = back - Duration::from_nanos(1);
            prop_assert!(run.limiter.reserve(&WEB, need(input, 0), early).is_err());
            prop_assert!(run.limiter.reserve(&WEB, need(input, 0), back).is_ok());
        }
    }
}
