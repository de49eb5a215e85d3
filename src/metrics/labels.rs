//! Keeps label values bounded: a client chooses the model name, so it could make series without end.

use std::sync::LazyLock;

use parking_lot::RwLock;

use crate::util::hash::Set;

/// Distinct model names that get a series of their own.
const MOST_MODELS: usize = 200;
/// Longest model name that gets one, in bytes.
const LONGEST: usize = 128;

/// Distinct tenants that get series of their own.
const MOST_TENANTS: usize = 100;

static TENANTS: LazyLock<RwLock<Set<String>>> = LazyLock::new(Default::default);
static MODELS: LazyLock<RwLock<Set<String>>> = LazyLock::new(Default::default);

/// Whether a name may get a series of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A peer answered for it.
    Served,
    /// Only a client said it: it must not use up the names.
    Claimed,
}

/// `model`; or `other` while no peer has answered for it, or once too many names were seen; or `none` for requests
/// without a model.
pub(super) fn model(model: Option<&str>, standing: Standing) -> &str {
    let Some(model) = model.filter(|model| !model.is_empty()) else {
        return "none";
    };
    if MODELS.read().contains(model) {
        return model;
    }
    if model.len() > LONGEST || standing == Standing::Claimed {
        return "other";
    }
    let mut models = MODELS.write();
    if models.len() < MOST_MODELS || models.contains(model) {
        models.insert(model.to_owned());
        model
    } else {
        "other"
    }
}

/// `tenant`; or `other` once too many were seen; or `none` for requests without one. They are configured, not made up by
/// clients, but there may be thousands, and each makes series for every route.
pub(super) fn tenant(tenant: Option<&str>) -> &str {
    let Some(tenant) = tenant else {
        return "none";
    };
    if TENANTS.read().contains(tenant) {
        return tenant;
    }
    let mut tenants = TENANTS.write();
    if tenants.len() < MOST_TENANTS || tenants.contains(tenant) {
        tenants.insert(tenant.to_owned());
        tenant
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_million_model_names_make_a_bounded_number_of_series() {
        let mut seen = HashSet::new();
        for i in 0..1_000_000 {
            seen.insert(model(Some(&format!("m{i}")), Standing::Served).to_owned());
        }
        assert!(seen.len() <= MOST_MODELS + 1);
        assert_eq!(model(None, Standing::Served), "none");
    }

    #[test]
    fn thousands_of_tenants_make_a_bounded_number_of_series() {
        let mut seen = HashSet::new();
        for i in 0..10_000 {
            seen.insert(tenant(Some(&format!("t{i}"))).to_owned());
        }
        assert!(seen.len() <= MOST_TENANTS + 1 && seen.contains("other"));
        assert_eq!((tenant(None), tenant(Some("t0"))), ("none", "t0"));
    }

    #[test]
    fn names_that_no_peer_knows_get_no_series() {
        assert_eq!(model(Some("made up"), Standing::Claimed), "other");
    }
}
