//! What a store fills: the answers and the vectors of a cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::embed::{EmbedState, Embedder};
use super::entry::Entry;
use super::exact::Exact;
use super::semantic::Semantic;
use super::store::{Blobs, Sink, Vector};

/// Hears what small values a store has, once it is open.
pub type Listener = Box<dyn Fn(&Blobs) + Send + Sync>;

/// Takes from a store what was kept in it.
pub(super) struct Filler {
    exact: Arc<Exact>,
    index: Option<Index>,
    listeners: Mutex<Listeners>,
    progress: Mutex<Progress>,
}

/// How far filling the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Before,
    Loaded,
    Filled,
}

/// Where vectors go, those of which model, and where the graphs are kept.
pub(super) struct Index {
    pub(super) vectors: Arc<Semantic>,
    pub(super) embedder: Arc<Embedder>,
    pub(super) folder: PathBuf,
}

#[derive(Default)]
struct Listeners {
    waiting: Vec<Listener>,
    opened: Option<Blobs>,
}

impl std::fmt::Debug for Filler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filler").finish_non_exhaustive()
    }
}

impl Filler {
    pub(super) fn new(exact: Arc<Exact>, index: Option<Index>) -> Self {
        Self {
            exact,
            index,
            listeners: Mutex::default(),
            progress: Mutex::new(Progress::Before),
        }
    }

    /// Has `listener` hear of the small values, now or as soon as they are known.
    pub(super) fn listen(&self, listener: Listener) {
        let mut listeners = self.listeners.lock();
        if let Some(blobs) = &listeners.opened {
            listener(blobs);
        }
        listeners.waiting.push(listener);
    }
}

impl Filler {
    fn load(&self, index: &Index, model: &[u8; 32]) {
        let mut progress = self.progress.lock();
        if *progress == Progress::Before {
            *progress = Progress::Loaded;
            let count = index.vectors.load(&index.folder, model);
            if count > 0 {
                log::info!("semantic index: {count} vectors read");
            }
        }
    }
}

impl Sink for Filler {
    fn opened(&self, blobs: &Blobs) {
        let mut listeners = self.listeners.lock();
        for listener in &listeners.waiting {
            listener(blobs);
        }
        listeners.opened = Some(blobs.clone());
    }

    fn fill(&self, entry: Entry, now: Instant) -> Vec<Arc<Entry>> {
        let left = self.exact.put_if_absent(Arc::new(entry), now).left;
        if let Some(index) = &self.index {
            for entry in &left {
                index.vectors.forget(&entry.exact);
            }
        }
        left
    }

    fn index(&self, vectors: Vec<([u8; 32], Vector)>) -> Vec<([u8; 32], Vector)> {
        let Some(index) = &self.index else {
            return Vec::new();
        };
        // Whose vectors they are is not known before the model is loaded.
        let model = match (index.embedder.model_id(), index.embedder.state()) {
            (Some(model), _) => model,
            (None, EmbedState::Failed(_)) => return Vec::new(),
            (None, _) => return vectors,
        };
        self.load(index, &model);
        let mut rest = vectors.into_iter();
        for (exact, vector) in rest.by_ref() {
            let entry = self.exact.peek(&exact);
            let of_this = entry.is_some_and(|entry| entry.number() == vector.id);
            // Vectors of another model have nothing to say to this one's.
            if !of_this || vector.model != model {
                continue;
            }
            if let Some(back) = index.vectors.fill(exact, vector) {
                return std::iter::once((exact, back)).chain(rest).collect();
            }
        }
        Vec::new()
    }

    fn filled(&self) {
        if let Some(index) = &self.index {
            index.vectors.loaded();
            *self.progress.lock() = Progress::Filled;
        }
    }

    fn save(&self) {
        let (Some(index), Progress::Filled) = (&self.index, *self.progress.lock()) else {
            return;
        };
        let Some(model) = index.embedder.model_id() else {
            return;
        };
        if index.vectors.filling() > 0 {
            return;
        }
        if let Err(error) = index.vectors.save(&index.folder, &model) {
            log::warn!("semantic index: {}: {error}", index.folder.display());
        }
    }

    fn gone(&self, exact: &[u8; 32]) {
        drop(self.exact.remove(exact));
        if let Some(index) = &self.index {
            index.vectors.forget(exact);
        }
    }
}
