//! Serving by meaning with a promise: the neighbourhood of a question, what the verifier says of it, and labels.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::index::Neighbour;
use super::meaning::{Meaning, SemanticOutcome, differs};
use super::verify::answer::{SHORT, words};
use super::verify::{Case, Dispute, Due, FEATURES, Near, Place, Report, Verdict, Verifier};
use super::{Cache, Directives, Entry, Identity, guard};
use crate::config::model::{self, Decision, Semantic, SemanticMode};

/// Promise that a curve is drawn for where none was made.
const USUAL: f64 = 0.02;

/// Cosine similarity of two long answers that say the same. Rather too strict: an answer taken for another one by mistake
/// costs hits, two taken for one cost the promise.
const SAME: f32 = 0.92;

/// Two texts of which one is so much longer do not say the same.
const LONGER: usize = 2;

/// Time a comparison may take; nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept on disk begins its name so.
const NAME: &str = "verify/";

/// An answer that was, or could have been, served: for [`Cache::learn`], once a fresh one is there.
#[derive(Debug, Clone)]
pub struct Sighting {
    place: Place,
    route: String,
    features: [f32; FEATURES],
    winner: Arc<Entry>,
}

impl Sighting {
    /// What a judge is asked about it, once a fresh answer is there.
    #[must_use]
    pub fn dispute(&self, fresh: &Entry) -> Option<Dispute> {
        Dispute::between(&self.winner, fresh)
    }
}

impl Meaning {
    pub(super) fn verifier(config: &Semantic) -> Option<Arc<Verifier>> {
        let verifier = match (config.decision, config.mode) {
            (
                Decision::Verified {
                    max_error_rate,
                    explore,
                },
                _,
            ) => Verifier::new(max_error_rate, explore),
            (Decision::Threshold(_), SemanticMode::Shadow) => Verifier::new(USUAL, 0.0),
            (Decision::Threshold(_), SemanticMode::Serve) => return None,
        };
        Some(Arc::new(verifier))
    }
}

impl Cache {
    /// Decides a lookup by the verifier's word.
    pub(super) fn verified(
        &self,
        meaning: &Meaning,
        verifier: &Verifier,
        asked: (&Identity, &Directives, &str),
        found: &[Neighbour],
        vector: Arc<[f32]>,
        now: Instant,
    ) -> SemanticOutcome {
        let (identity, directives, question) = asked;
        let mut entries = Vec::with_capacity(found.len());
        let mut near = Vec::with_capacity(found.len());
        for neighbour in found {
            let Some(entry) = self.exact.get(&neighbour.exact, now, None) else {
                meaning.index.remove(neighbour.number);
                continue;
            };
            if entry.fresh(now, directives.max_age) {
                near.push(Near {
                    similarity: neighbour.similarity.min(1.0),
                    answer: entry.class.of(&entry.answer),
                });
                entries.push(entry);
            }
        }
        let nearest = near.first().map(|one| one.similarity);
        let miss = |sighting, refused| SemanticOutcome::Miss {
            vector: Arc::clone(&vector),
            nearest,
            sighting,
            refused,
        };
        let Some(case) = Case::of(&near) else {
            return miss(None, None);
        };
        // Of those with the winning answer, the nearest that the guard lets pass.
        let facts = meaning.config.guard.then(|| guard::Facts::of(question));
        let winning = near.get(case.winner).map(|one| one.answer);
        let mut refused = None;
        let mut passes = |entry: &Entry| {
            let difference = differs(facts.as_ref(), entry);
            refused = refused.or(difference);
            difference.is_none()
        };
        let served = near
            .iter()
            .zip(&entries)
            .find(|(one, entry)| Some(one.answer) == winning && passes(entry));
        let Some((one, entry)) = served else {
            return miss(None, refused);
        };
        let place = Place {
            ground: ground(entry),
            class: identity.compat,
        };
        let route = &entry.origin.route;
        let verdict = verifier.decide(&place, route, &case, fastrand::f64());
        let sighting = || Sighting {
            place,
            route: route.clone(),
            features: case.features,
            winner: Arc::clone(entry),
        };
        let asked_for_more = directives.threshold.is_some_and(|t| one.similarity < t);
        let serve = meaning.config.mode == SemanticMode::Serve
            && matches!(meaning.config.decision, Decision::Verified { .. })
            && !asked_for_more;
        match verdict {
            Verdict::Serve | Verdict::ServeAndCheck if serve => {
                let check = (verdict == Verdict::ServeAndCheck).then(|| Box::new(sighting()));
                verifier.served(&entry.id(), &place, route, &case, check.is_some());
                SemanticOutcome::Hit {
                    entry: Arc::clone(entry),
                    similarity: one.similarity,
                    vector: Arc::clone(&vector),
                    check,
                }
            }
            _ => miss(Some(Box::new(sighting())), None),
        }
    }

    /// Learns from a fresh answer whether the stored one would have been right. Takes its time.
    pub async fn learn(&self, sighting: &Sighting, fresh: &Arc<Entry>) -> Option<bool> {
        let right = self.same(&sighting.winner, fresh).await?;
        self.told(sighting, fresh, right).await?;
        Some(right)
    }

    /// The judge that is to say whether a fresh answer says the same as the stored one; `None` where their words say so, or
    /// nobody is to be asked: then [`Self::learn`] tells.
    #[must_use]
    pub fn judge_of(&self, sighting: &Sighting, fresh: &Entry) -> Option<&model::Judge> {
        let judge = self.meaning.as_ref()?.config.judge.as_ref()?;
        (!same_words(&sighting.winner, fresh)).then_some(judge)
    }

    /// Takes someone's word on whether a fresh answer says the same as the stored one.
    pub async fn told(&self, sighting: &Sighting, fresh: &Entry, right: bool) -> Option<()> {
        let verifier = self.meaning.as_ref()?.verifier.clone()?;
        if right {
            fresh
                .class
                .set(sighting.winner.class.of(&sighting.winner.answer));
        }
        let due = verifier.label(&sighting.place, &sighting.route, sighting.features, right);
        self.conclude(verifier, due).await;
        Some(())
    }

    /// Takes someone's word on the answer of entry `id`: `None` if it was not served by meaning lately.
    pub(super) async fn heard(&self, id: &str, right: bool) -> Option<()> {
        let verifier = self.meaning.as_ref()?.verifier.clone()?;
        let due = verifier.feedback(id, right)?;
        self.conclude(verifier, due).await;
        Some(())
    }

    /// What was learnt of each scope and class.
    #[must_use]
    pub fn calibration(&self) -> Vec<Report> {
        let verifier = self.meaning.as_ref().and_then(|m| m.verifier.as_ref());
        verifier
            .map(|verifier| verifier.reports())
            .unwrap_or_default()
    }

    /// Has what was learnt read from the store, as soon as that is open.
    pub(super) fn recall(&self) {
        let verifier = self.meaning.as_ref().and_then(|m| m.verifier.clone());
        let (Some(verifier), Some(filler)) = (verifier, &self.filler) else {
            return;
        };
        filler.listen(Box::new(move |blobs| {
            for (name, value) in blobs {
                let key = name.strip_prefix(NAME).and_then(bytes);
                if let Some(due) = key.and_then(|key| verifier.load(&key, value)) {
                    verifier.carry_out(&due);
                }
            }
        }));
    }

    async fn conclude(&self, verifier: Arc<Verifier>, due: Vec<Due>) {
        if due.is_empty() {
            return;
        }
        let work = tokio::task::spawn_blocking(move || {
            due.iter().for_each(|due| verifier.carry_out(due));
            verifier.save()
        });
        if let (Ok(saved), Some(store)) = (work.await, &self.store) {
            for (key, value) in saved {
                store.put_blob(&format!("{NAME}{}", hex(&key)), &value);
            }
        }
    }

    /// Whether two answers say the same; `None` where that cannot be told.
    async fn same(&self, stored: &Entry, fresh: &Entry) -> Option<bool> {
        if same_words(stored, fresh) {
            return Some(true);
        }
        let (a, b) = (words(&stored.answer), words(&fresh.answer));
        if a.len().min(b.len()) <= SHORT || a.len().max(b.len()) > LONGER * a.len().min(b.len()) {
            return Some(false);
        }
        let meaning = self.meaning.as_ref()?;
        let deadline = Instant::now() + PATIENCE;
        let a = meaning.embedder.embed(&a, deadline).await.ok()?;
        let b = meaning.embedder.embed(&b, deadline).await.ok()?;
        let similarity: f32 = a.iter().zip(b.iter()).map(|(a, b)| a * b).sum();
        Some(similarity >= SAME)
    }
}

/// Whether two answers have the same words, or are known to say the same.
fn same_words(stored: &Entry, fresh: &Entry) -> bool {
    stored.class.of(&stored.answer) == fresh.class.of(&fresh.answer)
}

/// Whom an entry's answers are shared with, and the route.
fn ground(entry: &Entry) -> [u8; 32] {
    let origin = &entry.origin;
    let mut hasher = blake3::Hasher::new();
    for part in [&origin.scope, &origin.route, &origin.namespace] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks_exact(2);
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.len()
        .is_multiple_of(2)
        .then(|| pairs.map(pair).collect())?
}
