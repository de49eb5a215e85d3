//! Requests that are ready together leave together.
//!
//! A busy thread finds many requests at once. If each left as soon as it is ready, each would wake whoever serves the peer, who would
//! be asleep again before the next one comes; so one that is ready lets all that has come be read first, and they leave in a
//! row. A thread with little to do finds none to wait for, and soon sends at once: only one request in [`MOST_ALONE`] looks
//! whether that has changed.

use std::cell::RefCell;

use tokio::task::yield_now;

/// So many must leave in a row for the next ones to wait for each other.
const COMPANY: u32 = 3;
/// Most requests that leave at once before one waits again.
const MOST_ALONE: u32 = 64;

thread_local! {
    static TURNS: RefCell<Turns> = const { RefCell::new(Turns::new()) };
}

/// Waits until what has come to this thread is read, if requests lately left it in a row.
pub(super) async fn turn() {
    if TURNS.with_borrow_mut(Turns::waits) {
        yield_now().await;
        TURNS.with_borrow_mut(Turns::over);
    }
}

/// Whether the requests of a thread wait for each other. An estimate: a request that is dropped while it waits, or goes on on
/// another thread, is counted in the next row.
#[derive(Debug)]
struct Turns {
    waiting: u32,
    /// So many leave at once from now on.
    at_once: u32,
    /// How many did the last time.
    alone: u32,
}

impl Turns {
    const fn new() -> Self {
        Self {
            waiting: 0,
            at_once: 0,
            alone: 0,
        }
    }

    fn waits(&mut self) -> bool {
        if self.at_once > 0 {
            self.at_once -= 1;
            return false;
        }
        self.waiting += 1;
        true
    }

    /// One that waited leaves.
    fn over(&mut self) {
        match std::mem::take(&mut self.waiting) {
            // The first of its row has counted it.
            0 => {}
            COMPANY.. => self.alone = 0,
            _ => {
                self.alone = (2 * self.alone).clamp(1, MOST_ALONE);
                self.at_once = self.alone;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use tokio::task::LocalSet;

    /// What `count` requests that come at once do, in its order: `false` for one that is ready, `true` for one that leaves.
    async fn together(count: usize) -> Vec<bool> {
        let done = Rc::new(RefCell::new(Vec::new()));
        let local = LocalSet::new();
        for _ in 0..count {
            let done = Rc::clone(&done);
            local.spawn_local(async move {
                done.borrow_mut().push(false);
                turn().await;
                done.borrow_mut().push(true);
            });
        }
        local.await;
        done.take()
    }

    #[tokio::test]
    async fn requests_that_come_together_are_all_read_before_the_first_leaves() {
        for _ in 0..10 {
            let done = together(20).await;
            assert_eq!(done, [[false; 20], [true; 20]].concat());
        }
    }

    #[test]
    fn a_thread_with_little_to_do_sends_nearly_all_at_once() {
        let mut turns = Turns::new();
        let waited = (0..1000).filter(|_| {
            let waits = turns.waits();
            if waits {
                turns.over();
            }
            waits
        });
        // Behind them 1, 2, 4 and so on to 32 leave at once, then 64 each time.
        assert_eq!(waited.count(), 6 + (1000_usize - 69).div_ceil(65));
    }

    #[test]
    fn a_thread_that_becomes_busy_sends_in_rows_after_a_while() {
        let mut turns = Turns::new();
        while turns.alone < MOST_ALONE {
            turns.waits();
            turns.over();
        }
        let row = |turns: &mut Turns| {
            let waiting = (0..10).filter(|_| turns.waits()).count();
            (0..waiting).for_each(|_| turns.over());
            waiting
        };
        let rows: Vec<usize> = (0..20).map(|_| row(&mut turns)).collect();
        assert_eq!(rows[0], 0);
        assert!(rows[8..].iter().all(|row| *row == 10), "{rows:?}");
    }

    #[test]
    fn a_request_that_never_leaves_disturbs_nobody_for_long() {
        let mut turns = Turns::new();
        assert!(turns.waits());
        for _ in 0..10 {
            while !turns.waits() {}
            turns.over();
        }
        assert!(turns.alone > 8);
    }
}
