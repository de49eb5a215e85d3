//! Which entries are to go, and what keeps answers out that were on their way when they went.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{RwLock, RwLockReadGuard};

use super::entry::{Entry, number};
use super::origin::Origin;

/// Purges that answers on their way are held against. Beyond it, whatever was asked before the oldest is not stored.
const MOST_REMEMBERED: usize = 256;

/// Which entries: those for which all holds that is said. The default is every entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selector {
    /// The one with this id.
    pub id: Option<String>,
    /// Those that this scope may be given.
    pub scope: Option<String>,
    /// Those that this tenant asked for.
    pub tenant: Option<String>,
    /// Those asked on this route.
    pub route: Option<String>,
    /// Those to requests for this model.
    pub model: Option<String>,
    /// Those of this namespace.
    pub namespace: Option<String>,
    /// Those with all these tags.
    pub tags: Vec<(String, String)>,
    /// Those stored before.
    pub stored_before: Option<Instant>,
    /// Those whose question is near a text.
    pub near: Option<Near>,
}

/// All questions within a radius of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The vector of the text, of length 1.
    pub vector: Arc<[f32]>,
    /// Least cosine similarity.
    pub radius: f32,
    /// Keys of the entries that are as near, with their similarity.
    pub found: Arc<HashMap<[u8; 32], f32>>,
}

impl Selector {
    /// Whether nothing is said, so that every entry is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an entry is meant.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let near = self.near.as_ref();
        self.id
            .as_ref()
            .is_none_or(|id| number(id) == Some(entry.number()))
            && self
                .stored_before
                .is_none_or(|before| entry.stored_at < before)
            && self.is_from(&entry.origin)
            && near.is_none_or(|near| near.found.contains_key(&entry.exact))
    }

    fn is_from(&self, origin: &Origin) -> bool {
        let is = |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|w| w == have);
        is(&self.scope, &origin.scope)
            && is(&self.route, &origin.route)
            && is(&self.model, &origin.model)
            && is(&self.namespace, &origin.namespace)
            && (self.tenant.is_none() || self.tenant == origin.tenant)
            && self.tags.iter().all(|tag| origin.tags.contains(tag))
    }

    /// Whether an answer that is still to be stored would be meant.
    fn awaits(&self, origin: &Origin, vector: Option<&[f32]>) -> bool {
        let near = self.near.as_ref();
        // It has no id yet that anybody could have named.
        self.id.is_none()
            && self.is_from(origin)
            && near.is_none_or(|near| vector.is_some_and(|vector| near.holds(vector)))
    }
}

impl Near {
    fn holds(&self, vector: &[f32]) -> bool {
        let dot: f32 = self.vector.iter().zip(vector).map(|(a, b)| a * b).sum();
        self.vector.len() == vector.len() && dot >= self.radius
    }
}

/// The purges of late: an answer that was asked for before one of them and is meant by it must not be stored after it.
#[derive(Debug, Default)]
pub struct Barred {
    late: RwLock<Late>,
}

/// While it is held no purge begins, so that what is stored under it is either seen by the next one or known to it.
#[derive(Debug)]
pub struct Storing<'a>(#[expect(dead_code, reason = "held, not read")] RwLockReadGuard<'a, Late>);

#[derive(Debug, Default)]
pub(super) struct Late {
    purges: VecDeque<(Instant, Selector)>,
    /// When the last of those forgotten was.
    forgotten: Option<Instant>,
}

impl Barred {
    /// A purge begins at `now`. Whatever is stored from here on has been asked about it.
    pub fn remember(&self, what: &Selector, now: Instant) {
        let mut late = self.late.write();
        if late.purges.len() >= MOST_REMEMBERED {
            late.forgotten = late.purges.pop_front().map(|(at, _)| at);
        }
        let mut what = what.clone();
        if let Some(near) = &mut what.near {
            // Of no use for what is still to come, and there may be millions.
            near.found = Arc::default();
        }
        late.purges.push_back((now, what));
    }

    /// The right to store an answer that was asked for at `asked`; `None` where it was purged before it came.
    #[must_use]
    pub fn admit(
        &self,
        asked: Instant,
        origin: &Origin,
        vector: Option<&[f32]>,
    ) -> Option<Storing<'_>> {
        let late = self.late.read();
        let forgotten = late.forgotten.is_some_and(|forgotten| asked <= forgotten);
        let since = late.purges.iter().rev();
        let purged = since
            .take_while(|(at, _)| asked <= *at)
            .any(|(_, what)| what.awaits(origin, vector));
        (!forgotten && !purged).then_some(Storing(late))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::entry::tests::{answer, identity};
    use super::*;

    fn origin() -> Origin {
        Origin {
            scope: "key:web".into(),
            tenant: Some("acme".into()),
            route: "chat".into(),
            model: "m".into(),
            namespace: "n".into(),
            tags: vec![("doc".into(), "7".into()), ("user".into(), "a".into())],
        }
    }

    fn entry(exact: u8, now: Instant) -> Entry {
        let identity = identity(exact, 0, None);
        Entry::new(&identity, answer("x"), origin(), Duration::MAX, now)
    }

    fn bars(barred: &Barred, asked: Instant, origin: &Origin, vector: Option<&[f32]>) -> bool {
        barred.admit(asked, origin, vector).is_none()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_selector_means_the_entries_for_which_all_holds_that_it_says() {
        let now = Instant::now();
        let entry = entry(1, now);
        let tag = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let yes = [
            Selector::default(),
            Selector {
                id: Some(entry.id()),
                ..Selector::default()
            },
            Selector {
                scope: some("key:web"),
                tenant: some("acme"),
                ..Selector::default()
            },
            Selector {
                route: some("chat"),
                model: some("m"),
                namespace: some("n"),
                ..Selector::default()
            },
            Selector {
                tags: tag("doc", "7"),
                ..Selector::default()
            },
            Selector {
                tags: origin().tags,
                ..Selector::default()
            },
            Selector {
                stored_before: Some(now + Duration::from_secs(1)),
                ..Selector::default()
            },
        ];
        for selector in yes {
            assert!(selector.matches(&entry), "{selector:?}");
        }
        let no = [
            Selector {
                id: some("0"),
                ..Selector::default()
            },
            Selector {
                scope: some("key:web"),
                tenant: some("other"),
                ..Selector::default()
            },
            Selector {
                namespace: some(""),
                ..Selector::default()
            },
            Selector {
                route: some("Chat"),
                ..Selector::default()
            },
            Selector {
                tags: tag("doc", "8"),
                ..Selector::default()
            },
            Selector {
                tags: [tag("doc", "7"), tag("more", "1")].concat(),
                ..Selector::default()
            },
            Selector {
                stored_before: Some(now),
                ..Selector::default()
            },
        ];
        for selector in no {
            assert!(!selector.matches(&entry), "{selector:?}");
        }
    }

    #[test]
    fn an_entry_without_a_tenant_is_no_tenants() {
        let now = Instant::now();
        let nobodys = Origin {
            tenant: None,
            ..origin()
        };
        let entry = Entry {
            origin: nobodys.into(),
            ..entry(1, now)
        };
        let of = |tenant| Selector {
            tenant,
            ..Selector::default()
        };
        assert!(of(None).matches(&entry) && !of(some("")).matches(&entry));
    }

    #[test]
    fn nearness_is_what_the_index_found() {
        let now = Instant::now();
        let near = Selector {
            near: Some(Near {
                vector: Arc::from([1.0, 0.0]),
                radius: 0.9,
                found: Arc::new(HashMap::from([([1; 32], 0.95)])),
            }),
            ..Selector::default()
        };
        assert!(near.matches(&entry(1, now)) && !near.matches(&entry(2, now)));
        assert!(!near.is_everything() && Selector::default().is_everything());
    }

    #[test]
    fn an_answer_that_was_on_its_way_when_its_like_was_purged_is_kept_out() {
        let barred = Barred::default();
        let at = |s| Instant::now() + Duration::from_secs(s);
        let (before, purged, after) = (at(1), at(2), at(3));
        let acme = Selector {
            tenant: some("acme"),
            ..Selector::default()
        };
        barred.remember(&acme, purged);
        assert!(bars(&barred, before, &origin(), None));
        assert!(!bars(&barred, after, &origin(), None), "asked later");
        let other = Origin {
            tenant: some("other"),
            ..origin()
        };
        assert!(!bars(&barred, before, &other, None), "another's");
    }

    #[test]
    fn a_purge_by_meaning_keeps_out_what_is_as_near() {
        let barred = Barred::default();
        let (before, now) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let near = Near {
            vector: Arc::from([1.0, 0.0]),
            radius: 0.9,
            found: Arc::default(),
        };
        let what = Selector {
            near: Some(near),
            ..Selector::default()
        };
        barred.remember(&what, now);
        assert!(bars(&barred, before, &origin(), Some(&[0.95, 0.31])));
        assert!(!bars(&barred, before, &origin(), Some(&[0.5, 0.86])));
        assert!(!bars(&barred, before, &origin(), Some(&[1.0, 0.0, 0.0])));
        assert!(!bars(&barred, before, &origin(), None));
    }

    #[test]
    fn of_purges_without_end_the_memory_is_bounded_and_the_forgotten_ones_bar_all() {
        let barred = Barred::default();
        let start = Instant::now();
        let nobody = Selector {
            tenant: some("nobody"),
            ..Selector::default()
        };
        for n in 0..MOST_REMEMBERED as u64 + 10 {
            barred.remember(&nobody, start + Duration::from_secs(n));
        }
        assert_eq!(barred.late.read().purges.len(), MOST_REMEMBERED);
        assert!(
            bars(&barred, start, &origin(), None),
            "too long ago to be told"
        );
        assert!(!bars(
            &barred,
            start + Duration::from_secs(60),
            &origin(),
            None
        ));
    }
}
