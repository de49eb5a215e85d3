//! Texts that wait for a vector: each once, however many ask for it, and no more than fit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::EmbedFailure;

/// Hash of a text.
pub(super) type Key = [u8; 32];

/// What comes of a text, for everybody who asked.
pub(super) type Outcome = Result<Arc<[f32]>, EmbedFailure>;

/// Where an outcome will show.
pub(super) type Answer = watch::Receiver<Option<Outcome>>;

/// A place in the queue.
#[derive(Debug)]
pub(super) enum Joined {
    /// Nobody else asks for this text.
    First(Answer),
    /// It was on its way already.
    Another(Answer),
}

/// How many texts are taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// At most so many.
    pub(super) most: usize,
    /// Threads that share what waits.
    pub(super) threads: usize,
}

/// A text that was taken, and whose outcome is owed.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) key: Key,
    pub(super) text: Arc<str>,
}

/// A bounded queue. Its texts stay known from the first asking until their outcome is there.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// A text came, or the queue closed.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    /// In the order of their coming.
    waiting: VecDeque<Key>,
    /// Those that wait and those that are being computed.
    jobs: HashMap<Key, Job>,
    capacity: usize,
    closed: bool,
}

#[derive(Debug)]
struct Job {
    text: Arc<str>,
    /// The latest of all who ask.
    deadline: Instant,
    answer: watch::Sender<Option<Outcome>>,
}

impl Job {
    /// Nobody waits for it any more: the time is better spent on the next.
    fn is_over(&self, now: Instant) -> bool {
        self.answer.receiver_count() == 0 || self.deadline <= now
    }
}

impl Queue {
    /// A queue in which at most `capacity` texts wait.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                jobs: HashMap::new(),
                capacity,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Texts that wait.
    pub(super) fn waiting(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    /// Asks for a text's vector.
    pub(super) fn join(
        &self,
        key: Key,
        text: &str,
        deadline: Instant,
    ) -> Result<Joined, EmbedFailure> {
        let mut inner = self.inner.lock();
        if let Some(job) = inner.jobs.get_mut(&key) {
            job.deadline = job.deadline.max(deadline);
            return Ok(Joined::Another(job.answer.subscribe()));
        }
        if inner.waiting.len() >= inner.capacity {
            // Those whose clients left or gave up do not keep others out.
            inner.drop_those_over(Instant::now());
        }
        if inner.waiting.len() >= inner.capacity {
            return Err(EmbedFailure::Busy);
        }
        let (answer, receiver) = watch::channel(None);
        let job = Job {
            text: text.into(),
            deadline,
            answer,
        };
        inner.jobs.insert(key, job);
        inner.waiting.push_back(key);
        drop(inner);
        self.changed.notify_one();
        Ok(Joined::First(receiver))
    }

    /// Waits for texts and takes the first, with others of about its length; `None` when the queue is closed.
    pub(super) fn take(&self, batch: Batch) -> Option<Vec<Taken>> {
        let mut inner = self.inner.lock();
        loop {
            if inner.closed {
                return None;
            }
            let taken = inner.take(batch, Instant::now());
            if !taken.is_empty() {
                return Some(taken);
            }
            self.changed.wait(&mut inner);
        }
    }

    /// Gives an outcome to all who asked.
    pub(super) fn answer(&self, key: &Key, outcome: Outcome) {
        if let Some(job) = self.inner.lock().jobs.remove(key) {
            job.answer.send_replace(Some(outcome));
        }
    }

    /// Lets go of everything and everybody.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.waiting.clear();
        inner.jobs.clear();
        drop(inner);
        self.changed.notify_all();
    }
}

impl Inner {
    fn take(&mut self, batch: Batch, now: Instant) -> Vec<Taken> {
        let mut taken: Vec<Taken> = Vec::new();
        let mut most = 1;
        let mut at = 0;
        while let Some(key) = self.waiting.get(at).copied()
            && taken.len() < most
        {
            let Some(job) = self.jobs.get(&key).filter(|job| !job.is_over(now)) else {
                self.waiting.remove(at);
                give_up(&mut self.jobs, &key);
                continue;
            };
            match taken.first() {
                None => {
                    let share = self.waiting.len().div_ceil(batch.threads.max(1));
                    most = batch.most.min(share).max(1);
                }
                // Padding a short text to a long one's length would cost more than the batch saves.
                Some(first) if !alike(first.text.len(), job.text.len()) => {
                    at += 1;
                    continue;
                }
                Some(_) => {}
            }
            let text = job.text.clone();
            taken.push(Taken { key, text });
            self.waiting.remove(at);
        }
        taken
    }

    fn drop_those_over(&mut self, now: Instant) {
        let Self { waiting, jobs, .. } = self;
        waiting.retain(|key| {
            let over = jobs.get(key).is_none_or(|job| job.is_over(now));
            if over {
                give_up(jobs, key);
            }
            !over
        });
    }
}

fn give_up(jobs: &mut HashMap<Key, Job>, key: &Key) {
    if let Some(job) = jobs.remove(key) {
        job.answer.send_replace(Some(Err(EmbedFailure::TimedOut)));
    }
}

/// Whether two texts, by their bytes, may be padded to one length.
fn alike(a: usize, b: usize) -> bool {
    a.max(b) <= 2 * a.min(b) + 16
}

#[cfg(test)]
mod tests;
