//! The members of one limit: a map in shards, each bounded.
//!
//! Members come by themselves (without keys each client address is one), so they must not add up. A member whose
//! buckets are full and whose requests are over is forgotten: a fresh one would stand the same. Where all of a shard
//! still count for something and it is at its bound, newcomers share one member, the crowd, until there is room: the
//! limit then holds for all of them together. That is strict for the newcomers, but it is bounded and never open.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::member::Member;
use crate::util::hash::Map;

/// Most members of one limit that are counted apart, about 300 bytes each.
pub(super) const MAX_MEMBERS: usize = 65_536;

const SHARDS: usize = 16;
const FIRST_SWEEP: usize = 64;
// A sweep of a full shard that finds nothing is not repeated at each newcomer.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Members {
    /// The order in which members of several limits are locked, the same for every limiter.
    pub(super) id: u64,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    crowd: Arc<Member>,
    bound: usize,
}

struct Shard {
    members: Map<Arc<str>, Arc<Member>>,
    sweep_at: usize,
    swept: Option<Instant>,
}

impl Members {
    pub(super) fn new(max_members: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let bound = (max_members / SHARDS).max(1);
        let shard = || Shard {
            members: Map::default(),
            sweep_at: FIRST_SWEEP.min(bound),
            swept: None,
        };
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            hasher: RandomState::default(),
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            crowd: Arc::new(Member::new("*".into())),
            bound,
        }
    }

    /// The member of that name, or the crowd.
    pub(super) fn get(&self, name: &str, now: Instant) -> Arc<Member> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        let mut shard = self.shards[shard].lock();
        if let Some(member) = shard.members.get(name) {
            return Arc::clone(member);
        }
        shard.make_room(self.bound, now);
        if shard.members.len() >= self.bound {
            return Arc::clone(&self.crowd);
        }
        let name: Arc<str> = name.into();
        let member = Arc::new(Member::new(Arc::clone(&name)));
        shard.members.insert(name, Arc::clone(&member));
        member
    }

    pub(super) fn len(&self) -> usize {
        let sizes = self.shards.iter().map(|shard| shard.lock().members.len());
        sizes.sum()
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> u32 {
        let shards = self.shards.iter().map(|shard| {
            let shard = shard.lock();
            let lives = shard
                .members
                .values()
                .map(|member| member.usage.lock().live());
            lives.sum::<u32>()
        });
        shards.sum::<u32>() + self.crowd.usage.lock().live()
    }
}

impl Shard {
    // The next sweep comes when the shard has doubled, so its cost is spread over as many newcomers.
    fn make_room(&mut self, bound: usize, now: Instant) {
        if self.members.len() < self.sweep_at {
            return;
        }
        let lately = |swept: Instant| now.saturating_duration_since(swept) < SWEEP_EVERY;
        if self.members.len() >= bound && self.swept.is_some_and(lately) {
            return;
        }
        // A count of 1 is the map's own: under the shard's lock nobody can come to hold the member.
        self.members.retain(|_, member| {
            Arc::strong_count(member) > 1 || !member.usage.lock().is_blank(now)
        });
        self.swept = Some(now);
        self.sweep_at = (2 * self.members.len()).max(FIRST_SWEEP).min(bound);
        self.members.shrink_to(self.sweep_at);
    }
}
