//! A route's conditions, ready to be asked, and what they are asked about.

use http::{HeaderName, HeaderValue, Method};

use super::host;
use super::pattern::Pattern;
use crate::config::model::{HostPattern, Match};
use crate::util::headers::Headers;

/// The parts of a request that decide where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// `Host` header or authority as it came, with or without port; `None` where a request has none.
    pub host: Option<&'a str>,
    /// The path without its query, as [`normal_path`](super::normal_path) makes it.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a Headers,
    /// The model it asks for, if it is known.
    pub model: Option<&'a str>,
    /// The tenant of its key.
    pub tenant: Option<&'a str>,
}

/// Conditions, all of which must hold.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    hosts: Box<[HostPattern]>,
    path: Pattern,
    methods: Box<[Method]>,
    headers: Box<[HeaderCondition]>,
    model: Pattern,
    tenant: Pattern,
}

#[derive(Debug, Clone)]
struct HeaderCondition {
    name: HeaderName,
    value: Pattern,
    negated: bool,
}

impl Matcher {
    pub(super) fn new(conf: &Match) -> Self {
        let headers = conf.headers.iter().map(|header| HeaderCondition {
            name: header.name.clone(),
            value: Pattern::new(Some(&header.value)),
            negated: header.negated,
        });
        Self {
            hosts: conf.hosts.clone().into(),
            path: Pattern::new(conf.path.as_ref()),
            methods: conf.methods.clone().into(),
            headers: headers.collect(),
            model: Pattern::new(conf.model.as_ref()),
            tenant: Pattern::new(conf.tenant.as_ref()),
        }
    }

    /// Whether every condition holds. `host` is the question's, as `host::bare` leaves it.
    pub(super) fn matches(&self, question: &Question<'_>, host: Option<&str>) -> bool {
        self.matches_but_for_model(question, host) && self.model.matches(question.model)
    }

    /// `matches` as long as the model is not known.
    pub(super) fn matches_but_for_model(
        &self,
        question: &Question<'_>,
        host: Option<&str>,
    ) -> bool {
        let method = || self.methods.is_empty() || self.methods.contains(question.method);
        let host = || {
            self.hosts.is_empty()
                || host.is_some_and(|host| self.hosts.iter().any(|own| host::matches(own, host)))
        };
        let header = |condition: &HeaderCondition| condition.holds(question.headers);
        self.path.matches(Some(question.path))
            && method()
            && host()
            && self.tenant.matches(question.tenant)
            && self.headers.iter().all(header)
    }

    /// Whether every model will do, also none.
    pub(super) fn takes_any_model(&self) -> bool {
        matches!(self.model, Pattern::Absent)
    }
}

impl HeaderCondition {
    fn holds(&self, headers: &Headers) -> bool {
        let matches = |value: &HeaderValue| match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => self.value.matches(Some(text)),
            // No pattern that an operator can write is meant for it, but it is there.
            Err(_) => matches!(self.value, Pattern::Any),
        };
        headers.get_all(&self.name).any(matches) != self.negated
    }
}
