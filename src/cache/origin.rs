//! Where an answer belongs.

use std::cell::RefCell;
use std::sync::Arc;

use super::epochs::Belongs;
use crate::util::recent::Recent;

/// Where an answer belongs, for those who look for it later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Whom it may be given to: [`super::scope::partition`].
    pub scope: String,
    /// Tenant that asked, where keys are configured.
    pub tenant: Option<String>,
    /// Name of the route it was asked on.
    pub route: String,
    /// Model that was asked for; empty where none was named.
    pub model: String,
    /// Namespace that the client named; empty for none.
    pub namespace: String,
    /// Tags that the client gave it.
    pub tags: Vec<(String, String)>,
}

/// Largest one that is remembered, in bytes of its texts.
const LARGEST: usize = 1024;

thread_local!(static KNOWN: RefCell<Recent<Arc<Origin>>> = RefCell::default());

impl Origin {
    /// It, or the one that says the same: [`Self::of`].
    pub(super) fn shared(&self) -> Arc<Self> {
        let belongs = Belongs {
            scope: &self.scope,
            tenant: self.tenant.as_deref(),
            route: &self.route,
            model: &self.model,
        };
        Self::of(belongs, &self.namespace, &self.tags)
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let tenant = self.tenant.as_ref().map_or(0, String::capacity);
        let named = [&self.scope, &self.route, &self.model, &self.namespace];
        let tags = self.tags.iter().flat_map(|(name, value)| [name, value]);
        let texts = named.into_iter().chain(tags).map(String::capacity);
        let pairs = self.tags.capacity() * size_of::<(String, String)>();
        tenant + pairs + texts.sum::<usize>()
    }

    /// The origin that says this, shared with the answers of the same one that came lately: one for each answer would be
    /// made, kept beside it and let go of text by text.
    pub fn of(belongs: Belongs<'_>, namespace: &str, tags: &[(String, String)]) -> Arc<Self> {
        let Belongs {
            scope,
            tenant,
            route,
            model,
        } = belongs;
        let make = || {
            Arc::new(Self {
                scope: scope.to_owned(),
                tenant: tenant.map(str::to_owned),
                route: route.to_owned(),
                model: model.to_owned(),
                namespace: namespace.to_owned(),
                tags: tags.to_vec(),
            })
        };
        let size = [scope, tenant.unwrap_or_default(), route, model, namespace];
        let size: usize = size.map(str::len).iter().sum();
        if !tags.is_empty() || size > LARGEST {
            return make();
        }
        let same = |known: &Arc<Self>| {
            known.scope == scope
                && known.tenant.as_deref() == tenant
                && known.route == route
                && known.model == model
                && known.namespace == namespace
                && known.tags.is_empty()
        };
        let of = (scope, tenant, route, model, namespace);
        KNOWN.with_borrow_mut(|known| known.get(of, same, make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Belongs<'_> = Belongs {
        scope: "key:web",
        tenant: Some("acme"),
        route: "chat",
        model: "m",
    };

    #[test]
    fn answers_of_one_origin_share_it() {
        let one = Origin::of(ACME, "", &[]);
        assert!(Arc::ptr_eq(&one, &Origin::of(ACME, "", &[])));
        let tags = [("doc".to_owned(), "7".to_owned())];
        let tagged = Origin::of(ACME, "", &tags);
        assert_eq!(tagged.tags, tags);
        assert!(!Arc::ptr_eq(&tagged, &Origin::of(ACME, "", &tags)));
    }

    #[test]
    fn whatever_differs_is_another_origin() {
        let one = Origin::of(ACME, "", &[]);
        let others = [
            Belongs {
                scope: "key:app",
                ..ACME
            },
            Belongs {
                tenant: None,
                ..ACME
            },
            Belongs {
                tenant: Some(""),
                ..ACME
            },
            Belongs { route: "", ..ACME },
            Belongs {
                model: "mm",
                ..ACME
            },
        ];
        for other in others {
            let origin = Origin::of(other, "", &[]);
            assert_ne!(origin, one);
            assert_eq!(origin.scope, other.scope);
            assert_eq!(origin.tenant.as_deref(), other.tenant);
            assert_eq!(origin.route, other.route);
            assert_eq!(origin.model, other.model);
        }
        assert_eq!(Origin::of(ACME, "n", &[]).namespace, "n");
        assert_eq!(Origin::of(ACME, "", &[]), one);
    }

    #[test]
    fn what_is_large_is_not_kept() {
        let long = "x".repeat(2 * LARGEST);
        let large = Belongs {
            model: &long,
            ..ACME
        };
        let one = Origin::of(large, "", &[]);
        assert_eq!(one.model, long);
        assert!(!Arc::ptr_eq(&one, &Origin::of(large, "", &[])));
    }
}
