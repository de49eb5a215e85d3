//! A message that comes over and over is said a few times, then counted, then summed up.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use log::Level;

/// So often within `WINDOW` the same message is written.
const OFTEN: u64 = 5;
/// How long a message is counted before its sum is written.
const WINDOW: Duration = Duration::from_secs(10);
/// Different messages that are watched; beyond them all are written.
const MOST_WATCHED: usize = 256;
/// Bytes of a message that a sum repeats.
const SHOWN: usize = 500;

/// Messages of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: HashMap<(Level, String), Seen>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    times: u64,
    target: String,
}

/// What was not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) level: Level,
    pub(super) target: String,
    text: String,
    times: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.text.floor_char_boundary(SHOWN);
        write!(f, "{} more times: {}", self.times, &self.text[..end])
    }
}

impl Repeats {
    /// Whether a message is written now, and the sums that are due before it.
    pub(super) fn judge(
        &mut self,
        level: Level,
        target: &str,
        text: &str,
        now: Instant,
    ) -> (bool, Vec<Summary>) {
        let due = self.take(|seen| now.saturating_duration_since(seen.since) >= WINDOW);
        let key = (level, text.to_owned());
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.times += 1;
            return (seen.times <= OFTEN, due);
        }
        if self.seen.len() < MOST_WATCHED {
            let seen = Seen {
                since: now,
                times: 1,
                target: target.to_owned(),
            };
            self.seen.insert(key, seen);
        }
        (true, due)
    }

    /// The sums of everything withheld until now.
    pub(super) fn all(&mut self) -> Vec<Summary> {
        self.take(|_| true)
    }

    fn take(&mut self, due: impl Fn(&Seen) -> bool) -> Vec<Summary> {
        self.seen
            .extract_if(|_, seen| due(seen))
            .filter(|(_, seen)| seen.times > OFTEN)
            .map(|((level, text), seen)| Summary {
                level,
                target: seen.target,
                text,
                times: seen.times - OFTEN,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_endless_repetition_is_written_five_times_and_then_summed_up() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut said = 0;
        for second in 0..9 {
            for _ in 0..1000 {
                let now = start + Duration::from_secs(second);
                let (say, due) = repeats.judge(Level::Warn, "t", "peer is dead", now);
                said += u64::from(say);
                assert!(due.is_empty());
            }
        }
        assert_eq!(said, OFTEN);
        let (say, due) = repeats.judge(Level::Warn, "t", "other", start + WINDOW);
        assert!(say);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].to_string(), "8995 more times: peer is dead");
        let (say, due) = repeats.judge(Level::Warn, "t", "peer is dead", start + WINDOW);
        assert!(say && due.is_empty(), "a new window begins");
    }

    #[test]
    fn different_messages_are_all_written_and_memory_stays_bounded() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for n in 0..10 * MOST_WATCHED {
            assert!(repeats.judge(Level::Error, "t", &n.to_string(), now).0);
        }
        assert_eq!(repeats.seen.len(), MOST_WATCHED);
        assert!(repeats.all().is_empty(), "nothing was withheld");
    }
}
