//! One place's calibration: what it has seen, what it concluded, and whether that may be served yet.

use super::cut::{self, Choice, Region};
use super::features::FEATURES;
use super::ledger::Ledger;
use super::model::Model;
use super::watch::{Aim, Alarm, Trial};

/// Labels after which a conclusion is drawn anew.
const EVERY: usize = 100;

/// Labels of its own from which on a learner that serves nothing is not overruled by its parent.
const OF_AGE: usize = 1500;

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
    labels: Vec<([f32; FEATURES], bool)>,
    asked: Vec<[f32; FEATURES]>,
    most: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Done(Concluded);

impl Work {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> Done {
        let model = Model::fit(&self.labels);
        let labels = self.labels.iter();
        let scored = labels.map(|(features, right)| (model.score(features), *right));
        let asked = self.asked.iter().map(|features| model.score(features));
        let choice = cut::choose(scored.collect(), asked.collect(), self.most);
        Done(Concluded { model, choice })
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

    /// Notes that a question was asked.
    pub fn ask(&mut self, features: [f32; FEATURES]) {
        self.ledger.ask(features);
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
        self.ledger.label(features, right);
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
        let due = self.fresh >= EVERY && self.ledger.labels() >= FEWEST;
        due.then(|| self.work())
    }

    /// The work that drawing a conclusion takes.
    pub fn work(&mut self) -> Work {
        self.fresh = 0;
        Work {
            labels: self.ledger.all_labels(),
            asked: self.ledger.all_asked(),
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
        self.concluded.as_ref().is_some_and(|concluded| {
            let serve = concluded.choice.serve.as_ref();
            serve.is_some_and(|region| concluded.model.score(features) >= region.from)
        })
    }
}
