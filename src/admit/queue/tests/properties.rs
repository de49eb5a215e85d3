//! What holds for every sequence of arrivals, departures and wakes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MAX_REQUESTS: usize = 6;
const MAX_BYTES: u64 = 100;

#[derive(Debug, Clone)]
enum Step {
    /// A request comes; it may take the fast path.
    Arrive(Priority, u64),
    /// A waiting client goes away.
    GiveUp(usize),
    /// A running request ends; the queue hears of it.
    End,
    /// A waiting task runs, if it was woken.
    Run(usize),
    /// All woken tasks run until none is woken.
    RunAll,
}

fn class() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::High),
        Just(Priority::Normal),
        Just(Priority::Low)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (class(), 0..60u64).prop_map(|(class, bytes)| Step::Arrive(class, bytes)),
        1 => any::<usize>().prop_map(Step::GiveUp),
        3 => Just(Step::End),
        3 => any::<usize>().prop_map(Step::Run),
        1 => Just(Step::RunAll),
    ]
}

/// A waiting task. It runs only when woken, as under a real executor.
struct Task {
    place: Place,
    bell: Arc<Bell>,
    class: Priority,
    bytes: u64,
    arrival: usize,
}

struct Model {
    queue: Arc<Queue>,
    free: usize,
    running: usize,
    arrivals: usize,
    tasks: Vec<Task>,
}

impl Model {
    fn new(capacity: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(&bounds(MAX_REQUESTS, MAX_BYTES))),
            free: capacity,
            running: 0,
            arrivals: 0,
            tasks: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Arrive(class, bytes) => self.arrive(class, bytes)?,
            Step::GiveUp(index) => {
                if !self.tasks.is_empty() {
                    drop(self.tasks.remove(index % self.tasks.len()));
                }
            }
            Step::End => {
                if self.running > 0 {
                    self.running -= 1;
                    self.free += 1;
                    self.queue.wake();
                }
            }
            Step::Run(index) => {
                if !self.tasks.is_empty() {
                    self.run(index % self.tasks.len())?;
                }
            }
            Step::RunAll => self.run_all()?,
        }
        Ok(())
    }

    fn arrive(&mut self, class: Priority, bytes: u64) -> Result<(), TestCaseError> {
        let nobody_before = self.tasks.iter().all(|task| task.class > class);
        prop_assert_eq!(self.queue.may_pass(class), nobody_before);
        if nobody_before && self.free > 0 {
            self.dispatch();
            return Ok(());
        }
        let count_fits = self.tasks.len() < MAX_REQUESTS;
        let bytes_fit = self.bytes() + bytes <= MAX_BYTES;
        match self.queue.join(class, bytes, Instant::now()) {
            Ok(place) => {
                prop_assert!(count_fits && bytes_fit);
                self.arrivals += 1;
                let bell: Arc<Bell> = Arc::default();
                // A new task is polled once without being woken.
                bell.0.store(true, Ordering::SeqCst);
                let arrival = self.arrivals;
                self.tasks.push(Task {
                    place,
                    bell,
                    class,
                    bytes,
                    arrival,
                });
            }
            Err(Full::Requests) => prop_assert!(!count_fits),
            Err(Full::Bytes) => prop_assert!(count_fits && !bytes_fit),
        }
        Ok(())
    }

    fn run(&mut self, index: usize) -> Result<(), TestCaseError> {
        let bell = Arc::clone(&self.tasks[index].bell);
        if !bell.rang() {
            return Ok(());
        }
        while asks(&mut self.tasks[index].place, &bell) {
            let rank = |task: &Task| (task.class, task.arrival);
            let first = self.tasks.iter().map(rank).min();
            prop_assert_eq!(Some(rank(&self.tasks[index])), first, "out of order");
            if self.free > 0 {
                self.dispatch();
                self.tasks.remove(index).place.leave(Instant::now());
                return Ok(());
            }
        }
        Ok(())
    }

    fn run_all(&mut self) -> Result<(), TestCaseError> {
        let woken = |task: &Task| task.bell.0.load(Ordering::SeqCst);
        while let Some(index) = self.tasks.iter().position(woken) {
            self.run(index)?;
        }
        prop_assert!(
            self.free == 0 || self.tasks.is_empty(),
            "a peer has room, somebody waits, and nobody was woken"
        );
        Ok(())
    }

    fn dispatch(&mut self) {
        self.free -= 1;
        self.running += 1;
    }

    fn bytes(&self) -> u64 {
        self.tasks.iter().map(|task| task.bytes).sum()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.queue.len(), self.tasks.len());
        prop_assert_eq!(self.queue.bytes(), self.bytes());
        prop_assert_eq!(self.queue.is_empty(), self.tasks.is_empty());
        let of = |class| self.tasks.iter().filter(|task| task.class == class).count();
        let expected = Waiting {
            high: of(Priority::High),
            normal: of(Priority::Normal),
            low: of(Priority::Low),
        };
        prop_assert_eq!(self.queue.len_by_class(), expected);
        prop_assert!(self.tasks.len() <= MAX_REQUESTS && self.bytes() <= MAX_BYTES);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn order_is_kept_bounds_hold_and_no_free_peer_goes_unseen(
        capacity in 0..4usize,
        steps in vec(step(), 1..150),
    ) {
        let mut model = Model::new(capacity);
        for step in steps {
            model.step(step)?;
            model.check()?;
        }
        model.run_all()?;
        while model.running > 0 {
            model.step(Step::End)?;
            model.run_all()?;
        }
        prop_assert!(capacity == 0 || model.tasks.is_empty());
        model.tasks.clear();
        model.check()?;
    }
}
