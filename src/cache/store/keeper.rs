//! The store's thread: opens the file, fills the cache from it, and writes what changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::aside::move_aside;
use super::disk::{Change, Disk, Failure};
use super::queue::{Order, Reply, Which};
use super::record::{Unreadable, Vector};
use super::{NotDurable, Shared, Sink, State};

/// A file that another process has is tried again so often: at an upgrade the old one gives it up within a moment.
const RETRY_BUSY: Duration = Duration::from_millis(100);
/// A file that cannot be used is tried again so often.
const RETRY_FAILED: Duration = Duration::from_secs(10);
/// While there are changes, what takes long to make anew is kept so often. What is missing in it is made anew.
const SAVE_EVERY: Duration = Duration::from_secs(15 * 60);
/// Entries read at a time, between writes.
const CHUNK: usize = 512;
/// Where the index has no room for more vectors.
const INDEX_BUSY: Duration = Duration::from_millis(10);
/// Removals that are kept while the file fails.
const MOST_OWED: usize = 1 << 20;

/// What the thread holds.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    filling: Filling,
    bars: Vec<Bar>,
    /// Changes that are to go first into the next write.
    owed: Vec<Change>,
    /// What was said last, so as not to say it again at each try.
    said: Option<Failure>,
}

/// How far reading back is.
enum Filling {
    Entries(Option<[u8; 32]>),
    Vectors(Option<[u8; 32]>, Vec<([u8; 32], Vector)>),
    Done,
}

/// Entries that are not to be filled.
struct Bar {
    which: Which,
    reply: Reply<u64>,
    count: u64,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, sink: Arc<dyn Sink>) -> Self {
        Self {
            shared,
            sink,
            filling: Filling::Entries(None),
            bars: Vec::new(),
            owed: Vec::new(),
            said: None,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            // `redb` may panic on a file that was tampered with.
            let ended = catch_unwind(AssertUnwindSafe(|| self.session())).unwrap_or_else(|_| {
                Err(Failure::Damaged(
                    "it makes no sense to the database".to_owned(),
                ))
            });
            let Err(failure) = ended else { break };
            for bar in self.bars.drain(..) {
                drop(bar.reply.send(Err(NotDurable(failure.to_string()))));
            }
            let wait = self.failed(failure);
            let why = NotDurable(format!(
                "{}: {}",
                self.shared.path.display(),
                self.shared.state.borrow().name()
            ));
            if !self.shared.queue.refuse_until(Instant::now() + wait, &why) {
                break;
            }
        }
        self.shared.state.send_replace(State::Closed);
        self.shared.queue.end();
    }

    /// Says what is wrong; how long to wait before the next try.
    fn failed(&mut self, failure: Failure) -> Duration {
        let path = self.shared.path.display();
        let new = self.said.as_ref() != Some(&failure);
        let wait = match &failure {
            Failure::Busy => {
                if new {
                    log::info!("cache store {path}: another process has it; waiting");
                }
                self.shared.state.send_replace(State::Waiting);
                RETRY_BUSY
            }
            Failure::Io(why) => {
                if new {
                    log::error!(
                        "cache store {path}: {why}; serving from memory, trying again every {RETRY_FAILED:?}"
                    );
                }
                self.shared.state.send_replace(State::Failed(why.clone()));
                RETRY_FAILED
            }
            Failure::Damaged(why) => {
                self.shared.counts.damaged.fetch_add(1, Ordering::Relaxed);
                self.shared.state.send_replace(State::Failed(why.clone()));
                self.filling = Filling::Done;
                match move_aside(&self.shared.path, SystemTime::now()) {
                    Ok(aside) => {
                        log::error!(
                            "cache store {path}: damaged: {why}; moved to {}, beginning anew",
                            aside.display()
                        );
                        // Damaged twice in a row is a disk that does not keep what it is given.
                        if new { Duration::ZERO } else { RETRY_FAILED }
                    }
                    Err(error) => {
                        log::error!(
                            "cache store {path}: damaged: {why}; cannot be moved aside: {error}"
                        );
                        RETRY_FAILED
                    }
                }
            }
        };
        self.said = Some(failure);
        wait
    }

    /// One life of the open file; `Ok` when the store was closed.
    fn session(&mut self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let (mut disk, blobs) = Disk::open(
            &shared.path,
            shared.max_bytes.load(Ordering::Relaxed),
            Instant::now(),
            SystemTime::now(),
        )?;
        shared.counts.bytes.store(disk.bytes(), Ordering::Relaxed);
        self.shared.blobs.lock().clone_from(&blobs);
        self.sink.opened(&blobs);
        self.say_state();
        let mut saved = Instant::now();
        loop {
            let Some(orders) = shared.queue.take(self.patience()) else {
                self.sink.save();
                return disk.close();
            };
            self.carry_out(&mut disk, orders)?;
            self.fill(&mut disk)?;
            if matches!(self.filling, Filling::Done) && saved.elapsed() > SAVE_EVERY {
                self.sink.save();
                saved = Instant::now();
            }
            if self.said.take().is_some() {
                log::info!("cache store {}: works again", shared.path.display());
            }
        }
    }

    /// How long the next orders are waited for.
    fn patience(&self) -> Option<Instant> {
        let now = Instant::now();
        match &self.filling {
            Filling::Done => None,
            Filling::Vectors(_, waiting) if !waiting.is_empty() => Some(now + INDEX_BUSY),
            _ => Some(now),
        }
    }

    fn say_state(&self) {
        let state = match self.filling {
            Filling::Entries(_) => State::Filling,
            Filling::Vectors(..) | Filling::Done => State::Ready,
        };
        self.shared.state.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
    }

    fn carry_out(&mut self, disk: &mut Disk, orders: Vec<Order>) -> Result<(), Failure> {
        let mut changes = std::mem::take(&mut self.owed);
        let mut replies = Vec::new();
        for order in orders {
            match order {
                Order::Change(change) => changes.push(change),
                Order::Durable {
                    changes: more,
                    reply,
                } => {
                    changes.extend(more);
                    replies.push(reply);
                }
                Order::Bar { which, reply } => match self.filling {
                    Filling::Entries(_) => self.bars.push(Bar {
                        which,
                        reply,
                        count: 0,
                    }),
                    _ => drop(reply.send(Ok(0))),
                },
                Order::Refill(sink) => {
                    disk.bound(self.shared.max_bytes.load(Ordering::Relaxed));
                    self.sink = sink;
                    let blobs = self.shared.blobs.lock().clone();
                    self.sink.opened(&blobs);
                    self.filling = Filling::Entries(None);
                    self.say_state();
                }
            }
        }
        let written = self.write(disk, changes);
        for reply in replies {
            let said = match &written {
                Ok(()) => Ok(()),
                Err(failure) => Err(NotDurable(failure.to_string())),
            };
            drop(reply.send(said));
        }
        written
    }

    fn write(&mut self, disk: &mut Disk, changes: Vec<Change>) -> Result<(), Failure> {
        if changes.is_empty() {
            return Ok(());
        }
        // A panic must not lose what is owed any more than an error.
        let applied = catch_unwind(AssertUnwindSafe(|| disk.apply(&changes, Instant::now())))
            .unwrap_or_else(|_| Err(Failure::Damaged("it makes no sense".to_owned())));
        let counts = &self.shared.counts;
        let count = changes.len() as u64;
        if let Err(failure) = applied {
            counts.lost.fetch_add(count, Ordering::Relaxed);
            self.owed = changes.into_iter().map(owed).collect();
            self.owed.truncate(MOST_OWED);
            return Err(failure);
        }
        counts.written.fetch_add(count, Ordering::Relaxed);
        counts.bytes.store(disk.bytes(), Ordering::Relaxed);
        let mut blobs = self.shared.blobs.lock();
        for change in changes {
            match change {
                Change::Blob { name, value } => drop(blobs.insert(name, value)),
                // It may have been filled between its leaving memory and this.
                Change::Take { exact, id: None } if !matches!(self.filling, Filling::Done) => {
                    self.sink.gone(&exact);
                }
                Change::Take { .. } | Change::Put { .. } => {}
            }
        }
        Ok(())
    }

    fn fill(&mut self, disk: &mut Disk) -> Result<(), Failure> {
        match std::mem::replace(&mut self.filling, Filling::Done) {
            Filling::Entries(after) => self.fill_entries(disk, after),
            Filling::Vectors(after, waiting) => self.fill_vectors(disk, after, waiting),
            Filling::Done => Ok(()),
        }
    }

    fn fill_entries(&mut self, disk: &mut Disk, after: Option<[u8; 32]>) -> Result<(), Failure> {
        let now = Instant::now();
        // Put back at once: an error on the way must not end it.
        self.filling = Filling::Entries(after);
        let rows = disk.entries(after.as_ref(), CHUNK, now)?;
        let last = rows.last().map(|row| row.exact);
        let full = rows.len() == CHUNK;
        let mut taken = Vec::new();
        for row in rows {
            let take = Change::Take {
                exact: row.exact,
                id: None,
            };
            match row.entry {
                Err(why) => {
                    self.unreadable(why);
                    taken.push(take);
                }
                Ok(entry) if entry.over(now) => taken.push(take),
                Ok(entry) => {
                    if let Some(bar) = self.bars.iter_mut().find(|bar| (bar.which)(&entry)) {
                        bar.count += 1;
                        taken.push(take);
                        continue;
                    }
                    self.shared.counts.filled.fetch_add(1, Ordering::Relaxed);
                    let left = self.sink.fill(entry, now);
                    taken.extend(left.iter().map(|entry| Change::Take {
                        exact: entry.exact,
                        id: Some(entry.number()),
                    }));
                }
            }
        }
        // What was removed here was never in memory, or has just left it.
        self.filling = Filling::Done;
        let written = self.write(disk, taken);
        self.filling = match last {
            Some(last) if full => Filling::Entries(Some(last)),
            _ => Filling::Vectors(None, Vec::new()),
        };
        written?;
        if matches!(self.filling, Filling::Vectors(..)) {
            for bar in self.bars.drain(..) {
                drop(bar.reply.send(Ok(bar.count)));
            }
            self.say_state();
        }
        Ok(())
    }

    fn fill_vectors(
        &mut self,
        disk: &mut Disk,
        after: Option<[u8; 32]>,
        waiting: Vec<([u8; 32], Vector)>,
    ) -> Result<(), Failure> {
        self.filling = Filling::Vectors(after, Vec::new());
        let (mut batch, mut last, mut full) = (waiting, after, true);
        if batch.is_empty() {
            let rows = disk.vectors(after.as_ref(), CHUNK)?;
            last = rows.last().map(|row| row.exact);
            full = rows.len() == CHUNK;
            for row in rows {
                match row.vector {
                    Ok(vector) => batch.push((row.exact, vector)),
                    Err(why) => self.unreadable(why),
                }
            }
        }
        let back = self.sink.index(batch);
        if last.is_some() && (full || !back.is_empty()) {
            self.filling = Filling::Vectors(last, back);
        } else {
            self.filling = Filling::Done;
            self.sink.filled();
        }
        Ok(())
    }

    fn unreadable(&self, why: Unreadable) {
        if why == Unreadable::Damaged {
            self.shared.counts.damaged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is left to do of a change that was not written: whatever it replaced must not come back.
fn owed(change: Change) -> Change {
    match change {
        Change::Put { entry, .. } => Change::Take {
            exact: entry.exact,
            id: None,
        },
        other => other,
    }
}
