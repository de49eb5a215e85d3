//! Decides for all places of one cache, and learns from what comes of it.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::features::FEATURES;
use super::learner::{Done, Learner, Opinion, Work};
use super::ledger::Ledger;
use super::places::{Key, Places};
use super::report::{Report, short};
use super::{Case, Place};

/// Hits remembered for feedback.
const SERVED: usize = 4096;

/// First byte of what is saved: 1 where its learner served, 0 where not.
const SERVING: u8 = 1;

/// Length of a saved name's length.
const NAME: usize = 2;

/// What to do with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Serve its answer.
    Serve,
    /// Serve it, and ask upstream all the same, to learn.
    ServeAndCheck,
    /// Ask upstream.
    Refuse,
}

/// Decides and learns.
#[derive(Debug)]
pub struct Verifier {
    most: f64,
    explore: f64,
    places: Mutex<Places>,
    served: Mutex<VecDeque<Served>>,
}

/// A hit by meaning.
#[derive(Debug, Clone)]
struct Served {
    id: String,
    route: String,
    place: Place,
    features: [f32; FEATURES],
}

/// Work that is due, for [`Verifier::carry_out`] on a thread that may take milliseconds.
#[derive(Debug)]
pub struct Due {
    key: Key,
    work: Work,
    resume: bool,
}

impl Verifier {
    /// Promises that at most `most` of what is served is wrong, and has the share `explore` of it checked.
    #[must_use]
    pub fn new(most: f64, explore: f64) -> Self {
        Self {
            most,
            explore,
            places: Mutex::new(Places::default()),
            served: Mutex::new(VecDeque::new()),
        }
    }

    /// Decides a case. `draw` is a random number from 0 to 1, 1 left out.
    #[must_use]
    pub fn decide(&self, place: &Place, route: &str, case: &Case, draw: f64) -> Verdict {
        let mut places = self.places.lock();
        let (ground, class) = keys(place);
        let whole = places.get_or_make(ground, route, self.most);
        let first = *whole.first.get_or_insert(place.class);
        let borrowed = whole.learner.opinion(&case.features);
        let opinion = if first == place.class && places.get(class).is_none() {
            borrowed
        } else {
            let own = &mut places.get_or_make(class, route, self.most).learner;
            match own.opinion(&case.features) {
                Opinion::Unsure if own.stands_alone() => Opinion::Bad,
                Opinion::Unsure => borrowed,
                sure => sure,
            }
        };
        match opinion {
            Opinion::Good if draw < self.explore => Verdict::ServeAndCheck,
            Opinion::Good => Verdict::Serve,
            Opinion::Bad | Opinion::Unsure => Verdict::Refuse,
        }
    }

    /// Notes that the entry `id` was served, and remembers it for [`Self::feedback`]. `checked`: a label follows.
    pub fn served(&self, id: &str, place: &Place, route: &str, case: &Case, checked: bool) {
        if !checked {
            let mut places = self.places.lock();
            let (ground, class) = keys(place);
            for key in [ground, class] {
                if let Some(kept) = places.get(key) {
                    kept.learner.served(&case.features);
                    kept.changed = true;
                }
            }
        }
        let mut served = self.served.lock();
        if served.len() >= SERVED {
            served.pop_front();
        }
        served.push_back(Served {
            id: id.to_owned(),
            route: route.to_owned(),
            place: *place,
            features: case.features,
        });
    }

    /// Learns whether the answer of a case was right, or would have been.
    pub fn label(
        &self,
        place: &Place,
        route: &str,
        features: [f32; FEATURES],
        right: bool,
    ) -> Vec<Due> {
        let mut places = self.places.lock();
        let (ground, class) = keys(place);
        let mut due = Vec::new();
        let mut note = |key, work: Option<Work>| {
            due.extend(work.map(|work| Due {
                key,
                work,
                resume: false,
            }));
        };
        let whole = places.get_or_make(ground, route, self.most);
        let borrowed = whole.learner.opinion(&features);
        whole.changed = true;
        note(ground, whole.learner.label(features, right));
        if let Some(own) = places.get(class) {
            if borrowed == Opinion::Good && own.learner.opinion(&features) == Opinion::Unsure {
                own.learner.borrowed(right);
            }
            own.changed = true;
            note(class, own.learner.label(features, right));
        }
        due
    }

    /// Learns from someone's word on the entry `id`. `None` if it was not served by meaning lately.
    pub fn feedback(&self, id: &str, right: bool) -> Option<Vec<Due>> {
        let served = self.served.lock();
        let hit = served.iter().rev().find(|hit| hit.id == id)?.clone();
        drop(served);
        Some(self.label(&hit.place, &hit.route, hit.features, right))
    }

    /// Does work that is due.
    pub fn carry_out(&self, due: &Due) {
        let done: Done = due.work.run();
        if let Some(kept) = self.places.lock().get(due.key) {
            if due.resume {
                kept.learner.resume(done);
            } else {
                kept.learner.conclude(done);
            }
        }
    }

    /// What is known of each place.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let mut places = self.places.lock();
        let mut reports: Vec<_> = places
            .iter_mut()
            .map(|(key, kept)| Report {
                ground: short(&key.ground),
                class: key.class.as_ref().map(short),
                route: kept.route.clone(),
                open: kept.learner.is_open(),
                labels: kept.learner.ledger().labels(),
                alarms: kept.learner.alarms(),
                serve: kept.learner.region(),
                curve: kept.learner.curve().to_vec(),
            })
            .collect();
        reports
            .sort_by(|a, b| (&a.route, &a.ground, &a.class).cmp(&(&b.route, &b.ground, &b.class)));
        reports
    }

    /// What was learnt since this was called last: a key and a value for each place that changed.
    #[must_use]
    pub fn save(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut places = self.places.lock();
        let changed = places.iter_mut().filter(|(_, kept)| kept.changed);
        changed
            .map(|(key, kept)| {
                kept.changed = false;
                let mut value = vec![u8::from(kept.learner.is_open())];
                let name = kept.route.as_bytes();
                let length = u16::try_from(name.len()).unwrap_or(0);
                value.extend(length.to_le_bytes());
                value.extend(name.iter().take(usize::from(length)));
                value.extend(kept.learner.ledger().save());
                (
                    key.ground
                        .into_iter()
                        .chain(key.class.into_iter().flatten())
                        .collect(),
                    value,
                )
            })
            .collect()
    }

    /// Takes over what was saved. `None` if it is damaged: then nothing is known of its place, and nothing served.
    #[must_use]
    pub fn load(&self, key: &[u8], value: &[u8]) -> Option<Due> {
        let (ground, class) = key.split_first_chunk::<32>()?;
        let class = match class.len() {
            0 => None,
            _ => Some(class.try_into().ok()?),
        };
        let key = Key {
            ground: *ground,
            class,
        };
        let (serving, rest) = value.split_first()?;
        let (length, rest) = rest.split_first_chunk::<NAME>()?;
        let (route, ledger) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let route = std::str::from_utf8(route).ok()?;
        let ledger = Ledger::load(ledger)?;
        let mut places = self.places.lock();
        let kept = places.get_or_make(key, route, self.most);
        kept.learner = Learner::from(ledger, self.most);
        Some(Due {
            key,
            work: kept.learner.work(),
            resume: *serving == SERVING,
        })
    }
}

fn keys(place: &Place) -> (Key, Key) {
    let key = |class| Key {
        ground: place.ground,
        class,
    };
    (key(None), key(Some(place.class)))
}
