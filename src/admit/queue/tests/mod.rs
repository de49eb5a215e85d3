//! What the waiting room promises.

mod bounds;
mod properties;
mod threads;
mod turns;

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::Wake;

use super::*;

fn bounds(max_requests: usize, max_bytes: u64) -> model::Queue {
    model::Queue {
        max_requests,
        max_bytes,
        max_wait: Duration::from_secs(1),
    }
}

fn queue(max_requests: usize) -> Arc<Queue> {
    Arc::new(Queue::new(&bounds(max_requests, u64::MAX)))
}

fn join(queue: &Arc<Queue>, class: Priority) -> Place {
    queue.join(class, 0, Instant::now()).unwrap()
}

/// Remembers that it was called.
#[derive(Default)]
struct Bell(AtomicBool);

impl Bell {
    fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks once whether it is the turn of `place`; if not, `bell` rings when it may be.
fn asks(place: &mut Place, bell: &Arc<Bell>) -> bool {
    let waker = Waker::from(Arc::clone(bell));
    let turn = pin!(place.turn());
    turn.poll(&mut Context::from_waker(&waker)).is_ready()
}
