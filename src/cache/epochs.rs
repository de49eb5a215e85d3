//! Epochs: one for all and one for each scope, tenant, route and model that was ever bumped. They are part of every key, so
//! that a bump makes whatever was stored before unreachable at once, however much it is, and what was being answered
//! meanwhile with it: that is stored under a key which nobody asks for any more.
//!
//! A lookup reads them without a lock. They are saved as a small value beside the entries that they belong to. An epoch is a
//! time, in milliseconds since 1970 or one more than the epoch before: so none ever comes back, also where one was not
//! saved, and of two tables the later of each is the true one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::origin::Origin;

/// Names that have an epoch of their own, at most. One more begins a new epoch for all, and the names begin anew.
const MOST_NAMES: usize = 10_000;

/// Whose answers become unreachable together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of one scope: [`super::scope::partition`].
    Scope(String),
    /// Those of one tenant.
    Tenant(String),
    /// Those of one route.
    Route(String),
    /// Those to requests for one model.
    Model(String),
}

impl Whose {
    /// Whether an answer with this origin is among them.
    #[must_use]
    pub fn has(&self, origin: &Origin) -> bool {
        match self {
            Self::All => true,
            Self::Scope(scope) => origin.scope == *scope,
            Self::Tenant(tenant) => origin.tenant.as_ref() == Some(tenant),
            Self::Route(route) => origin.route == *route,
            Self::Model(model) => origin.model == *model,
        }
    }
}

/// What a request belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Belongs<'a> {
    /// Whom its answer may be given to.
    pub scope: &'a str,
    /// Its tenant, where keys are configured.
    pub tenant: Option<&'a str>,
    /// Its route.
    pub route: &'a str,
    /// The model that it names; empty for none.
    pub model: &'a str,
}

/// The epochs of one cache.
#[derive(Debug, Default)]
pub struct Epochs {
    table: ArcSwap<Table>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// Serialized as it is: a list of pairs, since names are no keys of an object.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    all: u64,
    #[serde(with = "pairs")]
    named: BTreeMap<Whose, u64>,
}

/// What was saved cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Epochs {
    /// The part of a key that stands for all epochs of a request; empty while there was no bump.
    #[must_use]
    pub fn mark(&self, of: &Belongs<'_>) -> String {
        let table = self.table.load();
        if table.all == 0 && table.named.is_empty() {
            return String::new();
        }
        let named = |whose: Whose| table.named.get(&whose).copied().unwrap_or_default();
        let epochs = [
            ('a', table.all),
            ('s', named(Whose::Scope(of.scope.to_owned()))),
            (
                't',
                of.tenant
                    .map_or(0, |tenant| named(Whose::Tenant(tenant.to_owned()))),
            ),
            ('r', named(Whose::Route(of.route.to_owned()))),
            ('m', named(Whose::Model(of.model.to_owned()))),
        ];
        // Those at their beginning are left out: the first bump of somebody else must not be seen here.
        let begun = epochs.into_iter().filter(|(_, epoch)| *epoch > 0);
        begun
            .map(|(kind, epoch)| format!("{kind}{epoch}"))
            .collect()
    }

    /// Begins a new epoch at `stamp`, in milliseconds since 1970, and says which.
    pub fn bump(&self, whose: Whose, stamp: u64) -> u64 {
        let _one_at_a_time = self.changing.lock();
        let mut table = Table::clone(&self.table.load());
        let epoch = table.bump(whose, stamp);
        self.table.store(Arc::new(table));
        epoch
    }

    /// Takes over what was saved before.
    ///
    /// # Errors
    /// It cannot be read: at `stamp` a new epoch has begun for all.
    pub fn restore(&self, saved: &[u8], stamp: u64) -> Result<(), Unreadable> {
        let _one_at_a_time = self.changing.lock();
        let mut table = Table::clone(&self.table.load());
        let read = match serde_json::from_slice::<Table>(saved) {
            Ok(saved) => {
                table.all = table.all.max(saved.all);
                for (whose, epoch) in saved.named {
                    let known = table.named.entry(whose).or_default();
                    *known = epoch.max(*known);
                }
                Ok(())
            }
            Err(_) => {
                table.bump(Whose::All, stamp);
                Err(Unreadable)
            }
        };
        self.table.store(Arc::new(table));
        read
    }

    /// What is to be saved.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        // A table of strings and numbers can always be written.
        serde_json::to_vec(&**self.table.load()).unwrap_or_default()
    }

    /// All epochs that are not at their beginning.
    #[must_use]
    pub fn list(&self) -> Vec<(Whose, u64)> {
        let table = self.table.load();
        let all = (table.all > 0).then_some((Whose::All, table.all));
        let named = table.named.iter();
        all.into_iter()
            .chain(named.map(|(whose, epoch)| (whose.clone(), *epoch)))
            .collect()
    }
}

impl Table {
    fn bump(&mut self, whose: Whose, stamp: u64) -> u64 {
        let room = self.named.len() < MOST_NAMES || self.named.contains_key(&whose);
        let epoch = match whose {
            Whose::All => &mut self.all,
            whose if room => self.named.entry(whose).or_default(),
            _ => {
                self.named.clear();
                &mut self.all
            }
        };
        *epoch = epoch.saturating_add(1).max(stamp);
        *epoch
    }
}

mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Whose;

    pub(super) fn serialize<S: Serializer>(
        named: &BTreeMap<Whose, u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        named.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Whose, u64>, D::Error> {
        Ok(Vec::<(Whose, u64)>::deserialize(from)?
            .into_iter()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const OURS: Belongs<'_> = Belongs {
        scope: "key:web",
        tenant: Some("acme"),
        route: "chat",
        model: "m",
    };

    fn owned(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn without_a_bump_a_key_is_as_it_was() {
        assert_eq!(Epochs::default().mark(&OURS), "");
    }

    #[test]
    fn a_bump_changes_the_mark_of_those_it_names_and_of_no_others() {
        let other = Belongs {
            scope: "key:other",
            tenant: Some("other"),
            route: "other",
            model: "other",
        };
        for whose in [
            Whose::Scope(owned("key:web")),
            Whose::Tenant(owned("acme")),
            Whose::Route(owned("chat")),
            Whose::Model(owned("m")),
        ] {
            let epochs = Epochs::default();
            let (before, others) = (epochs.mark(&OURS), epochs.mark(&other));
            assert_eq!(epochs.bump(whose.clone(), 0), 1);
            assert_ne!(epochs.mark(&OURS), before, "{whose:?}");
            assert_eq!(epochs.mark(&other), others, "{whose:?}");
            epochs.bump(Whose::All, 0);
            assert_ne!(epochs.mark(&other), others);
        }
    }

    #[test]
    fn names_of_different_kinds_are_not_confused() {
        let epochs = Epochs::default();
        let named = Belongs {
            scope: "x",
            tenant: Some("x"),
            route: "x",
            model: "x",
        };
        let mut seen = HashSet::from([epochs.mark(&named)]);
        for whose in [Whose::Scope, Whose::Tenant, Whose::Route, Whose::Model] {
            epochs.bump(whose(owned("x")), 0);
            assert!(seen.insert(epochs.mark(&named)));
        }
    }

    #[test]
    fn what_was_saved_is_there_again_and_what_was_bumped_meanwhile_too() {
        let old = Epochs::default();
        old.bump(Whose::All, 5);
        old.bump(Whose::Tenant(owned("acme")), 7);
        let new = Epochs::default();
        assert_eq!(new.restore(&old.save(), 7), Ok(()));
        assert_eq!(new.mark(&OURS), old.mark(&OURS));

        let busy = Epochs::default();
        busy.bump(Whose::Tenant(owned("acme")), 9);
        for _ in 0..2 {
            assert_eq!(busy.restore(&old.save(), 99), Ok(()));
            assert_eq!(busy.mark(&OURS), "a5t9", "the later of both");
        }
    }

    #[test]
    fn what_cannot_be_read_makes_all_that_is_stored_unreachable() {
        let old = Epochs::default();
        old.bump(Whose::All, 5);
        let saved = old.save();
        for damaged in [&b""[..], b"{}", b"\xff", &saved[..saved.len() - 1]] {
            let new = Epochs::default();
            assert_eq!(new.restore(damaged, 99), Err(Unreadable));
            assert!(new.mark(&OURS).starts_with("a99"));
        }
    }

    #[test]
    fn the_number_of_names_is_bounded_and_no_older_mark_comes_back() {
        let epochs = Epochs::default();
        epochs.bump(Whose::Tenant(owned("acme")), 0);
        let mut seen = HashSet::from([String::new(), epochs.mark(&OURS)]);
        for n in 0..2 * MOST_NAMES {
            epochs.bump(Whose::Model(n.to_string()), 0);
            assert!(epochs.list().len() <= MOST_NAMES + 1);
        }
        assert!(seen.insert(epochs.mark(&OURS)), "{}", epochs.mark(&OURS));
    }

    proptest! {
        #[test]
        fn a_bump_of_ones_own_never_leads_back_to_an_earlier_mark(bumps in prop::collection::vec(0u8..5, 1..50), restart in 0usize..50) {
            let mut epochs = Epochs::default();
            let mut seen = HashSet::from([epochs.mark(&OURS)]);
            for (n, bump) in bumps.into_iter().enumerate() {
                if n == restart {
                    let next = Epochs::default();
                    prop_assert!(next.restore(&epochs.save(), 1).is_ok());
                    epochs = next;
                }
                epochs.bump(match bump {
                    0 => Whose::All,
                    1 => Whose::Scope(owned("key:web")),
                    2 => Whose::Tenant(owned("acme")),
                    3 => Whose::Route(owned("chat")),
                    _ => Whose::Model(owned("m")),
                }, 1000 + n as u64 / 3);
                prop_assert!(seen.insert(epochs.mark(&OURS)));
            }
        }
    }
}
