//! The threads of an index. Each ends when the other end of its queue is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc as chores;
use std::thread;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Counts, Fill, Order};
use crate::cache::index::{Index, unpack};

/// Threads that search.
const SEARCHERS: usize = 4;

/// Threads that add what comes back from disk.
const FILLERS: usize = 16;

/// How much those give way to others, as `nice` counts it.
const NICE: i32 = 10;

/// What the thread that keeps graphs is to do.
#[derive(Debug)]
pub(super) enum Chore {
    Settle,
    Save {
        folder: PathBuf,
        model: [u8; 32],
        reply: chores::SyncSender<std::io::Result<usize>>,
    },
}

fn cores(most: usize) -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(most))
}

type Inbox<T> = Arc<Mutex<mpsc::Receiver<T>>>;

/// The lock is held while waiting, so the others wait for it: each order wakes one.
fn next<T>(inbox: &Inbox<T>) -> Option<T> {
    inbox.lock().blocking_recv()
}

pub(super) fn searchers(
    index: &Arc<Index>,
    counts: &Arc<Counts>,
    inbox: mpsc::Receiver<Order>,
) -> std::io::Result<()> {
    let inbox = Arc::new(Mutex::new(inbox));
    // Two at least, so that one long search does not stop all.
    for n in 0..cores(SEARCHERS).max(2) {
        let (index, counts, inbox) = (Arc::clone(index), Arc::clone(counts), Arc::clone(&inbox));
        let search = move || {
            while let Some(order) = next(&inbox) {
                carry_out(&index, &counts, order);
            }
        };
        thread::Builder::new()
            .name(format!("semantic-{n}"))
            .spawn(search)?;
    }
    Ok(())
}

pub(super) fn carry_out(index: &Index, counts: &Counts, order: Order) {
    match order {
        // Its client is gone or past its deadline.
        Order::Search { reply, .. } if reply.is_closed() => {}
        Order::Search {
            class,
            vector,
            reply,
        } => {
            let found = index.nearest(&class, &vector);
            drop(reply.send(found.map_err(|error| counts.failed("searching", &error))));
        }
        Order::Within { reply, .. } if reply.is_closed() => {}
        Order::Within {
            vector,
            radius,
            reply,
        } => {
            let found = index.within(&vector, radius);
            drop(reply.send(found.map_err(|error| counts.failed("looking around", &error))));
        }
    }
}

pub(super) fn fillers(
    index: &Arc<Index>,
    counts: &Arc<Counts>,
    chores: &chores::SyncSender<Chore>,
    inbox: mpsc::Receiver<Fill>,
) -> std::io::Result<()> {
    let inbox = Arc::new(Mutex::new(inbox));
    for n in 0..cores(FILLERS) {
        let (index, counts, inbox) = (Arc::clone(index), Arc::clone(counts), Arc::clone(&inbox));
        let chores = chores.clone();
        let fill = move || {
            // On Linux this is the thread's own. Without it filling only takes more of the processor.
            let _ = rustix::process::setpriority_process(None, NICE);
            while let Some(Fill { exact, vector }) = next(&inbox) {
                let unpacked = unpack(&vector.packed);
                if let Err(error) = index.insert(vector.class, exact, &unpacked) {
                    counts.failed("filling", &error);
                }
                let last = counts.filling.fetch_sub(1, Ordering::Relaxed) == 1;
                // The first ones of a class went into its list, and nobody else may come by for long.
                if last && index.is_due() {
                    drop(chores.try_send(Chore::Settle));
                }
            }
        };
        thread::Builder::new()
            .name(format!("semantic-fill-{n}"))
            .spawn(fill)?;
    }
    Ok(())
}

pub(super) fn settler(
    index: &Arc<Index>,
    counts: &Arc<Counts>,
    inbox: chores::Receiver<Chore>,
) -> std::io::Result<()> {
    let (index, counts) = (Arc::clone(index), Arc::clone(counts));
    let settle = move || {
        for chore in inbox {
            if let Err(error) = index.settle() {
                counts.failed("moving vectors", &error);
            }
            if let Chore::Save {
                folder,
                model,
                reply,
            } = chore
            {
                drop(reply.send(index.save(&folder, &model)));
            }
        }
    };
    thread::Builder::new()
        .name("semantic-graphs".into())
        .spawn(settle)?;
    Ok(())
}
