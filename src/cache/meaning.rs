//! Looking for an answer by meaning: the question's vector, the nearest of its class, and whether one of them will do.

use std::sync::Arc;
use std::time::Instant;

use super::embed::{EmbedFailure, Embedder};
use super::entry::Entry;
use super::index::Neighbour;
use super::rerank::Reranker;
use super::semantic::{SearchFailure, Semantic};
use super::verified::Sighting;
use super::verify::Verifier;
use super::{Cache, Directives, Identity, guard};
use crate::config::model;
use crate::metrics::events;

/// What answering by meaning takes.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) config: model::Semantic,
    pub(super) embedder: Arc<Embedder>,
    pub(super) index: Arc<Semantic>,
    /// Decides where a promise was made, and learns where one might be.
    pub(super) verifier: Option<Arc<Verifier>>,
    pub(super) reranker: SecondLook,
}

/// Who takes a second look.
#[derive(Debug)]
pub(super) enum SecondLook {
    /// Nobody is asked to.
    None,
    By(Reranker),
    /// One is wanted and could not be had, so where it would be asked nothing is served.
    Missing(model::Reranker),
}

/// What came of a lookup by meaning.
#[derive(Debug)]
pub enum SemanticOutcome {
    /// An answer to a request near enough.
    Hit {
        /// The answer.
        entry: Arc<Entry>,
        /// Cosine similarity of the two questions.
        similarity: f32,
        /// The question's vector.
        vector: Arc<[f32]>,
        /// It is to be asked upstream all the same, and compared.
        check: Option<Box<Sighting>>,
    },
    /// None is near enough.
    Miss {
        /// The question's vector, for [`Cache::put`].
        vector: Arc<[f32]>,
        /// Similarity of the nearest answer that could have been served, if there is one.
        nearest: Option<f32>,
        /// What could have been served, to be compared with the fresh answer.
        sighting: Option<Box<Sighting>>,
        /// What the guard saw in the nearest one that was near enough.
        refused: Option<guard::Difference>,
    },
    /// It was not looked for.
    Skipped {
        /// Why not.
        reason: Skip,
        /// The question's vector, where only the search failed.
        vector: Option<Arc<[f32]>>,
    },
}

/// Why nothing was looked for by meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// This cache does not serve by meaning, or has no model to do it with.
    Off,
    /// The request has no question.
    NoQuestion,
    /// No vector was to be had.
    Embed(EmbedFailure),
    /// The index did not answer.
    Search(SearchFailure),
}

impl Skip {
    /// Short name for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoQuestion => "no_question",
            Self::Embed(failure) => failure.name(),
            Self::Search(SearchFailure::Busy) => "index_busy",
            Self::Search(SearchFailure::TimedOut) => "timed_out",
            Self::Search(SearchFailure::Failed) => "index_failed",
        }
    }
}

impl Cache {
    /// The answer to the nearest question of the same class, if it is near enough. Takes at most the configured deadline.
    /// `directives.threshold` can only raise the configured one.
    pub async fn get_semantic(
        &self,
        identity: &Identity,
        directives: &Directives,
        now: Instant,
    ) -> SemanticOutcome {
        let skipped = |reason, vector| SemanticOutcome::Skipped { reason, vector };
        let Some(meaning) = &self.meaning else {
            return skipped(Skip::Off, None);
        };
        let Some(question) = &identity.question else {
            return skipped(Skip::NoQuestion, None);
        };
        let deadline = now + meaning.config.deadline;
        let vector = match meaning.embedder.embed(question, deadline).await {
            Ok(vector) => vector,
            Err(failure) => return skipped(Skip::Embed(failure), None),
        };
        let asked = Instant::now();
        let found = meaning
            .index
            .nearest(identity.compat, vector.clone(), deadline)
            .await;
        events::index_searched(asked.elapsed());
        let found = match found {
            Ok(found) => found,
            Err(failure) => return skipped(Skip::Search(failure), Some(vector)),
        };
        if let Some(verifier) = &meaning.verifier {
            let asked = (identity, directives, question.as_str());
            let outcome = self.verified(meaning, verifier, asked, &found, vector, now);
            if let SemanticOutcome::Hit {
                entry,
                similarity,
                vector,
                ..
            } = &outcome
                && !meaning
                    .bears_second_look(question, entry, *similarity, deadline)
                    .await
            {
                return SemanticOutcome::Miss {
                    vector: Arc::clone(vector),
                    nearest: Some(*similarity),
                    sighting: None,
                    refused: None,
                };
            }
            return outcome;
        }
        let threshold = directives
            .threshold
            .map_or(meaning.config.floor(), |t| t.max(meaning.config.floor()));
        let facts = meaning.config.guard.then(|| guard::Facts::of(question));
        let (mut nearest, mut refused) = (None, None);
        for neighbour in found {
            // Without an age bound, an answer that cannot be had is gone for good.
            let Some(entry) = self.exact.get(&neighbour.exact, now, None) else {
                meaning.index.remove(neighbour.number);
                continue;
            };
            if !entry.fresh(now, directives.max_age) {
                continue;
            }
            let similarity = neighbour.similarity.min(1.0);
            if similarity >= threshold {
                if let Some(difference) = differs(facts.as_ref(), &entry) {
                    refused.get_or_insert(difference);
                    continue;
                }
                if meaning
                    .bears_second_look(question, &entry, similarity, deadline)
                    .await
                {
                    return SemanticOutcome::Hit {
                        entry,
                        similarity,
                        vector,
                        check: None,
                    };
                }
            }
            nearest = Some(similarity);
            break;
        }
        SemanticOutcome::Miss {
            vector,
            nearest,
            sighting: None,
            refused,
        }
    }

    /// The nearest of a request's class to a vector, nearest first, whether or not their answers may still be served.
    ///
    /// # Errors
    /// [`SearchFailure`], at `deadline` at the latest; also where this cache does not serve by meaning.
    pub async fn neighbours(
        &self,
        identity: &Identity,
        vector: Arc<[f32]>,
        deadline: Instant,
    ) -> Result<Vec<Neighbour>, SearchFailure> {
        let meaning = self.meaning.as_ref().ok_or(SearchFailure::Failed)?;
        let found = meaning.index.nearest(identity.compat, vector, deadline);
        found.await
    }
}

/// What keeps the question that an entry answers from being the same, if the guard looks.
pub(super) fn differs(facts: Option<&guard::Facts>, entry: &Entry) -> Option<guard::Difference> {
    let stored = entry.question.as_deref().unwrap_or_default();
    facts?.same(&guard::Facts::of(stored)).err()
}

impl SecondLook {
    fn of(config: &model::Semantic) -> Self {
        let Some(wanted) = &config.reranker else {
            return Self::None;
        };
        match Reranker::start(wanted, &config.embedder) {
            Ok(reranker) => Self::By(reranker),
            Err(error) => {
                let (above, below) = wanted.band;
                log::warn!("reranker: {error}; serving nothing by meaning from {above} to {below}");
                Self::Missing(wanted.clone())
            }
        }
    }
}

impl Meaning {
    /// Starts an index, empty.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(
        config: &model::Semantic,
        embedder: Arc<Embedder>,
    ) -> std::io::Result<Self> {
        Ok(Self {
            config: config.clone(),
            embedder,
            index: Arc::new(Semantic::start(config.max_entries)?),
            verifier: Self::verifier(config),
            reranker: SecondLook::of(config),
        })
    }

    /// Whether a question may have the answer to another after a second look at both, if they deserve one.
    async fn bears_second_look(
        &self,
        question: &str,
        entry: &Entry,
        similarity: f32,
        deadline: Instant,
    ) -> bool {
        match (&self.reranker, &entry.question) {
            (SecondLook::None, _) => true,
            (SecondLook::By(reranker), _) if !reranker.wanted(similarity) => true,
            (SecondLook::By(reranker), Some(other)) => {
                let look = reranker.look(question, other, deadline).await;
                look.is_ok_and(|look| look.accepted)
            }
            (SecondLook::By(_), None) => false,
            (SecondLook::Missing(wanted), _) => {
                let (above, below) = wanted.band;
                !(above..=below).contains(&similarity)
            }
        }
    }
}
