//! One place's calibration: what it has seen, what it concluded, and whether that may be served yet.

use super::bound;
use super::cut::{self, Choice, Region};
use super::features::FEATURES;
use super::ledger::{Fate, Ledger};
use super::model::Model;
use super::watch::{Aim, Alarm, Trial};

/// Labels after which a conclusion is drawn anew, at least.
const EVERY: usize = 100;

/// The more labels it rests on, the more new ones it takes to change: this part of them. To look more often would be to
/// wait for a stroke of luck.
const PART: usize = 40;

/// Labels of its own from which on a learner that serves nothing is not overruled by its parent.
const OF_AGE: usize = 1500;

/// Questions that are enough where those before them were about another world.
const RECENT: usize = 4096;

/// How unlikely the old labels must be, were the world the same, for them to be set aside.
const CHANGE: f64 = 0.001;

/// Fewest labels that a conclusion is drawn from.
const FEWEST: usize = 150;

/// What a place's learner says of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// It has not seen enough to say.
    Unsure,
    /// The answer may be served.
    Good,
    /// It may not.
    Bad,
}

/// Learns one place.
#[derive(Debug)]
pub struct Learner {
    most: f64,
    ledger: Ledger,
    concluded: Option<Concluded>,
    standing: Standing,
    alarm: Alarm,
    aim: Aim,
    alarms: u64,
    /// What it borrowed went wrong.
    barred: bool,
    fresh: usize,
}

/// What the labels so far say.
#[derive(Debug, Clone)]
struct Concluded {
    model: Model,
    choice: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    /// No region keeps the promise.
    Closed,
    /// One seems to, and is being tried.
    Trial(Trial),
    /// One does.
    Open,
}

/// Work for a thread that may take its time: drawing a conclusion from some thousand labels takes milliseconds.
#[derive(Debug)]
pub struct Work {
    questions: Vec<([f32; FEATURES], Fate)>,
    most: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Done(Concluded);

impl Work {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> Done {
        let whole = Concluded::from(&self.questions, self.most);
        let (old, new) = self
            .questions
            .split_at(self.questions.len().saturating_sub(RECENT));
        if old.is_empty() || whole.choice.serve.is_some() {
            return Done(whole);
        }
        let recent = Concluded::from(new, self.most);
        let changed = recent.is_news(old, self.most);
        Done(if changed { recent } else { whole })
    }
}

impl Concluded {
    fn from(questions: &[([f32; FEATURES], Fate)], most: f64) -> Self {
        let label = |(features, fate): &([f32; FEATURES], Fate)| Some((*features, fate.label()?));
        let labels: Vec<_> = questions.iter().filter_map(label).collect();
        let model = Model::fit(&labels);
        let score =
            |(features, fate): &([f32; FEATURES], Fate)| (model.score(features), fate.label());
        let scored: Vec<_> = questions.iter().map(score).collect();
        let choice = cut::choose(&scored, most);
        Self { model, choice }
    }

    /// Whether what it would serve was wrong so often before that chance does not explain it: the world has changed, and the
    /// old labels are about another one.
    fn is_news(&self, old: &[([f32; FEATURES], Fate)], most: f64) -> bool {
        let labels = old
            .iter()
            .filter(|(features, _)| self.serves(features))
            .filter_map(|(_, fate)| fate.label());
        let (wrong, seen) = labels.fold((0.0, 0.0), |(wrong, seen), right| {
            (wrong + if right { 0.0 } else { 1.0 }, seen + 1.0)
        });
        bound::exceeds(wrong, seen, most, CHANGE)
    }

    fn serves(&self, features: &[f32; FEATURES]) -> bool {
        let serve = self.choice.serve.as_ref();
        serve.is_some_and(|region| self.model.score(features) >= region.from)
    }
}

impl Learner {
    /// One that knows nothing and promises that at most `most` of what is served is wrong.
    #[must_use]
    pub fn new(most: f64) -> Self {
        Self::from(Ledger::default(), most)
    }

    /// One that knows what a ledger does. It serves once it has drawn a conclusion from it.
    #[must_use]
    pub fn from(ledger: Ledger, most: f64) -> Self {
        Self {
            most,
            ledger,
            concluded: None,
            standing: Standing::Closed,
            alarm: Alarm::new(most),
            aim: Aim::new(most),
            alarms: 0,
            barred: false,
            fresh: 0,
        }
    }

    /// Notes that the answer of a case was served unseen.
    pub fn served(&mut self, features: &[f32; FEATURES]) {
        self.ledger.note(features, Fate::Unseen);
    }

    /// Whether the answer of a case may be served.
    #[must_use]
    pub fn opinion(&self, features: &[f32; FEATURES]) -> Opinion {
        match (self.standing, self.within(features)) {
            (Standing::Open, true) => Opinion::Good,
            (Standing::Open, false) => Opinion::Bad,
            _ => Opinion::Unsure,
        }
    }

    /// Whether it decides alone, even where it is unsure.
    #[must_use]
    pub fn stands_alone(&self) -> bool {
        self.barred || self.ledger.labels() >= OF_AGE
    }

    /// Notes whether an answer was right that its parent's word would have served.
    pub fn borrowed(&mut self, right: bool) {
        self.barred |= self.alarm.take(right).is_some();
    }

    /// Notes whether the answer of a case was right. Gives the work that is due.
    pub fn label(&mut self, features: [f32; FEATURES], right: bool) -> Option<Work> {
        let within = self.within(&features);
        let fate = if right { Fate::Right } else { Fate::Wrong };
        self.ledger.note(&features, fate);
        self.fresh += 1;
        if within {
            match &mut self.standing {
                Standing::Closed => {}
                Standing::Trial(trial) => {
                    if trial.take(right) {
                        self.standing = Standing::Open;
                        self.alarm = Alarm::new(self.most);
                    }
                }
                Standing::Open => {
                    self.aim.take(right);
                    if let Some(keep) = self.alarm.take(right) {
                        self.start_over(keep);
                    }
                }
            }
        }
        let labels = self.ledger.labels();
        let due = self.fresh >= EVERY.max(labels / PART) && labels >= FEWEST;
        due.then(|| self.work())
    }

    /// The work that drawing a conclusion takes.
    pub fn work(&mut self) -> Work {
        self.fresh = 0;
        Work {
            questions: self.ledger.rows().collect(),
            most: self.aim.step(),
        }
    }

    /// Takes a conclusion over.
    pub fn conclude(&mut self, done: Done) {
        self.standing = match (self.standing, &done.0.choice.serve) {
            (_, None) => Standing::Closed,
            (Standing::Closed, Some(_)) => Standing::Trial(Trial::new(self.most)),
            (standing, Some(_)) => standing,
        };
        self.concluded = Some(done.0);
    }

    /// Takes a conclusion over from labels that had passed their trial before they were saved.
    pub fn resume(&mut self, done: Done) {
        if done.0.choice.serve.is_some() {
            self.standing = Standing::Open;
        }
        self.conclude(done);
    }

    /// Whether anything is served.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }

    /// The region that is served, or would be, were it not on trial.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        self.concluded.as_ref()?.choice.serve
    }

    /// Precision against hit ratio.
    #[must_use]
    pub fn curve(&self) -> &[Region] {
        self.concluded
            .as_ref()
            .map_or(&[], |concluded| &concluded.choice.curve)
    }

    /// What it has seen.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often errors rose suddenly.
    #[must_use]
    pub fn alarms(&self) -> u64 {
        self.alarms
    }

    /// What was learnt is no longer so: all but what raised the alarm is forgotten.
    fn start_over(&mut self, keep: usize) {
        self.alarms += 1;
        self.ledger.forget(keep);
        self.concluded = None;
        self.standing = Standing::Closed;
    }

    fn within(&self, features: &[f32; FEATURES]) -> bool {
        self.concluded
            .as_ref()
            .is_some_and(|concluded| concluded.serves(features))
    }
}
