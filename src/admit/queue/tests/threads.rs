//! The waiting room under real threads.

use super::*;
use std::sync::atomic::AtomicUsize;

const PEERS: usize = 3;
const TASKS: usize = 64;
const ROUNDS: usize = 200;

/// A pool with room for `PEERS` requests, which wakes the queue when one ends.
struct Pool {
    queue: Arc<Queue>,
    free: AtomicUsize,
}

struct Lease<'a>(&'a Pool);

impl Pool {
    // Relaxed, so that only the queue's own fences order a look for a peer against a wake.
    fn try_lease(&self) -> Option<Lease<'_>> {
        let one_less = |free: usize| free.checked_sub(1);
        let order = Ordering::Relaxed;
        let taken = self.free.try_update(order, order, one_less);
        taken.ok().map(|_| Lease(self))
    }

    async fn lease(&self, class: Priority, patience: Option<usize>) -> Option<Lease<'_>> {
        if self.queue.may_pass(class)
            && let Some(lease) = self.try_lease()
        {
            return Some(lease);
        }
        let mut place = self.queue.join(class, 1, Instant::now()).ok()?;
        loop {
            tokio::select! {
                biased;
                () = place.turn() => {}
                () = patience_ends(patience) => return None,
            }
            if let Some(lease) = self.try_lease() {
                place.leave(Instant::now());
                return Some(lease);
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let before = self.0.free.fetch_add(1, Ordering::Relaxed);
        assert!(before < PEERS, "more given back than taken");
        self.0.queue.wake();
    }
}

// An endless wait asks for nothing, so that only a wake can end it.
async fn patience_ends(patience: Option<usize>) {
    match patience {
        Some(count) => yields(count).await,
        None => std::future::pending().await,
    }
}

async fn yields(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

async fn works(pool: Arc<Pool>, task: usize) -> usize {
    let class = [Priority::High, Priority::Normal, Priority::Low][task % 3];
    let mut served = 0;
    for round in 0..ROUNDS {
        // Every fifth loses patience at some moment, the others never.
        let patience = (task + round).is_multiple_of(5).then_some(round % 7);
        if let Some(lease) = pool.lease(class, patience).await {
            served += 1;
            yields(round % 3).await;
            drop(lease);
        }
    }
    served
}

#[test]
fn on_many_threads_everybody_who_waits_is_served_and_nothing_stays_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let pool = Arc::new(Pool {
        queue: queue(TASKS),
        free: AtomicUsize::new(PEERS),
    });
    let all = async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(works(Arc::clone(&pool), task));
        }
        tasks.join_all().await
    };
    let served = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(60), all).await })
        .expect("a wake-up was lost: somebody still waits");
    let patient = TASKS * ROUNDS * 4 / 5;
    assert!(served.iter().sum::<usize>() >= patient);
    assert_eq!(pool.free.load(Ordering::SeqCst), PEERS);
    assert_eq!((pool.queue.len(), pool.queue.bytes()), (0, 0));
}
