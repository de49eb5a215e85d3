//! Which entries a body or a query means.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::admin::answer::Refusal;
use crate::cache::Selector;

/// The part of a call that says which entries; all that is said must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    pub(super) cache: Option<String>,
    pub(super) id: Option<String>,
    scope: Option<String>,
    tenant: Option<String>,
    route: Option<String>,
    model: Option<String>,
    namespace: Option<String>,
    tags: BTreeMap<String, String>,
    /// A text, near which questions must be.
    pub(super) text: Option<String>,
    /// How near: least cosine similarity, 0 to 1.
    pub(super) radius: Option<f32>,
    /// Every entry is meant.
    all: bool,
    pub(super) dry_run: Option<bool>,
}

impl Which {
    /// Checks it.
    ///
    /// # Errors
    /// It says nothing, or what it says does not go together.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.text.is_none() && self.radius.is_some() {
            return Err(Refusal::at("radius", "needs a text"));
        }
        let selects = !self.selector().is_everything() || self.text.is_some();
        match (selects, self.all) {
            (false, false) => {
                return Err(Refusal::at(
                    "",
                    "says of no entry that it is meant: give id, scope, tenant, route, model, namespace, tags or \
                     text and radius, or all: true",
                ));
            }
            (true, true) => {
                return Err(Refusal::at("all", "stands beside what would not be all"));
            }
            _ => {}
        }
        match (&self.text, self.radius) {
            (Some(text), _) if text.trim().is_empty() => Err(Refusal::at("text", "is empty")),
            (Some(_), Some(radius)) if !(0.0..=1.0).contains(&radius) => Err(Refusal::at(
                "radius",
                "must be a similarity from 0 to 1, such as 0.9",
            )),
            (Some(_), None) => Err(Refusal::at(
                "radius",
                "is required beside text: the least similarity, such as 0.9",
            )),
            _ => Ok(()),
        }
    }

    /// All of it but the nearness to a text.
    pub(super) fn selector(&self) -> Selector {
        Selector {
            id: self.id.clone(),
            scope: self.scope.clone(),
            tenant: self.tenant.clone(),
            route: self.route.clone(),
            model: self.model.clone(),
            namespace: self.namespace.clone(),
            tags: self.tags.clone().into_iter().collect(),
            ..Selector::default()
        }
    }

    /// In words, for the audit.
    pub(super) fn words(&self) -> String {
        let named = [
            ("cache", &self.cache),
            ("id", &self.id),
            ("scope", &self.scope),
            ("tenant", &self.tenant),
            ("route", &self.route),
            ("model", &self.model),
            ("namespace", &self.namespace),
        ];
        let mut words: Vec<String> = named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {:?}", value.as_ref()?)))
            .collect();
        let tags = self.tags.iter();
        words.extend(tags.map(|(name, value)| format!("tag {name:?}={value:?}")));
        if let Some(radius) = self.radius {
            // The text itself may be anybody's prompt.
            words.push(format!("within {radius} of a text"));
        }
        if self.all {
            words.push("all".to_owned());
        }
        words.join(", ")
    }
}
