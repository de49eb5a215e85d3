//! Three watches over what is served: one before it begins, two while it goes on.

use std::collections::VecDeque;

use super::bound;

/// How many times the promise a sudden rise of errors is expected to be.
const RISE: f64 = 5.0;

/// Sum of evidence at which the alarm sounds: a rise 200 times as likely as none.
const ALARM: f64 = 5.3;

/// Labels of a trial, in errors that the promise allows.
const TRIAL: f64 = 2.0;

/// Adds up evidence that errors have risen: the likelihood ratio's cumulative sum (Page, Biometrika 41, 1954).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    wrong: f64,
    right: f64,
    sum: f64,
    since: usize,
}

impl Alarm {
    /// An alarm that has seen nothing yet.
    #[must_use]
    pub fn new(most: f64) -> Self {
        let risen = (RISE * most).min(f64::midpoint(1.0, most));
        Self {
            wrong: (risen / most).ln(),
            right: ((1.0 - risen) / (1.0 - most)).ln(),
            sum: 0.0,
            since: 0,
        }
    }

    /// Takes the label of an answer that was, or would have been, served. Gives the number of labels over which the
    /// evidence grew, once it is enough.
    pub fn take(&mut self, right: bool) -> Option<usize> {
        self.sum = (self.sum + if right { self.right } else { self.wrong }).max(0.0);
        if self.sum <= 0.0 {
            self.since = 0;
            return None;
        }
        self.since += 1;
        (self.sum > ALARM).then(|| {
            self.sum = 0.0;
            std::mem::take(&mut self.since)
        })
    }
}

/// A region chosen from labels looks better in them than it is. Before it is served it must hold on labels that came
/// after it was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    most: f64,
    seen: f64,
    wrong: f64,
}

impl Trial {
    /// A trial that has seen nothing yet.
    #[must_use]
    pub fn new(most: f64) -> Self {
        Self {
            most,
            seen: 0.0,
            wrong: 0.0,
        }
    }

    /// Takes a label of the region. Gives whether the trial is passed.
    pub fn take(&mut self, right: bool) -> bool {
        self.seen += 1.0;
        self.wrong += if right { 0.0 } else { 1.0 };
        self.seen >= TRIAL / self.most && self.wrong <= self.most * self.seen
    }
}

/// Labels of answers served that steer the aim.
const RECENT: usize = 500;

/// How unlikely so many errors must be, were the promise kept, before the aim is lowered.
const DOUBT: f64 = 0.1;

/// Steps down and up.
const DOWN: f64 = 0.7;
const UP: f64 = 1.1;

/// Lowest aim, as a part of the promise.
const LOWEST: f64 = 0.1;

/// What is aimed at so that the promise is kept. Where questions come in another order than by chance, by topic perhaps,
/// labels from the past promise too much: what the answers served turned out to be then corrects it.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim {
    most: f64,
    aim: f64,
    recent: VecDeque<bool>,
}

impl Aim {
    /// Aims at the promise itself.
    #[must_use]
    pub fn new(most: f64) -> Self {
        Self {
            most,
            aim: most,
            recent: VecDeque::new(),
        }
    }

    /// Takes the label of an answer that was served.
    pub fn take(&mut self, right: bool) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(right);
    }

    /// Share of wrong answers to aim at next. Each call is a step: down where too many were wrong, back up where not.
    #[expect(clippy::cast_precision_loss, reason = "at most some hundred")]
    pub fn step(&mut self) -> f64 {
        let wrong = self.recent.iter().filter(|right| !**right).count();
        let seen = self.recent.len() as f64;
        let change = if bound::exceeds(wrong as f64, seen, self.most, DOUBT) {
            // Judged by what comes after.
            self.recent.clear();
            DOWN
        } else {
            UP
        };
        self.aim = (self.aim * change).clamp(LOWEST * self.most, self.most);
        self.aim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aim_falls_while_too_much_is_wrong_and_comes_back() {
        let mut aim = Aim::new(0.02);
        assert!((aim.step() - 0.02).abs() < 1e-9);
        for _ in 0..3 {
            (0..100).for_each(|n| aim.take(n % 10 != 0));
            aim.step();
        }
        let low = aim.step();
        assert!((0.005..0.01).contains(&low), "{low}");
        let back = (0..50).map(|_| aim.step()).last().unwrap();
        assert!((back - 0.02).abs() < 1e-9);
    }

    #[test]
    fn a_few_errors_close_together_sound_the_alarm() {
        let mut alarm = Alarm::new(0.02);
        let alarms: Vec<_> = (0..8).filter_map(|_| alarm.take(false)).collect();
        assert_eq!(alarms, [4, 4]);
    }

    #[test]
    fn errors_as_rare_as_promised_hardly_ever_do() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut alarm = Alarm::new(0.02);
        let alarms = (0..20_000)
            .filter_map(|_| alarm.take(rng.f64() >= 0.01))
            .count();
        assert!(alarms <= 2, "{alarms}");
    }

    #[test]
    fn a_trial_is_passed_on_enough_labels_and_few_errors_only() {
        let mut trial = Trial::new(0.02);
        assert!((0..99).all(|_| !trial.take(true)));
        assert!(trial.take(true));
        let mut trial = Trial::new(0.02);
        assert!((0..10_000).all(|n| !trial.take(n % 20 != 0)));
    }
}
