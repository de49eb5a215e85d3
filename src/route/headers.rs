//! Changes of headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::model;

/// Headers taken away, then given one value, then given one more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits(model::HeaderEdits);

impl HeaderEdits {
    pub(super) fn new(conf: &model::HeaderEdits) -> Self {
        Self(conf.clone())
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.remove.is_empty() && self.0.set.is_empty() && self.0.add.is_empty()
    }

    /// Makes the changes. A header beyond what a map holds (32,768) is left out.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.0.remove {
            headers.remove(name);
        }
        for (name, value) in &self.0.set {
            let _ = headers.try_insert(name, value.clone());
        }
        for (name, value) in &self.0.add {
            let _ = headers.try_append(name, value.clone());
        }
    }

    /// Headers taken away, for who writes heads in another way than through a map.
    pub fn removed(&self) -> &[HeaderName] {
        &self.0.remove
    }

    /// Headers given one value.
    pub fn set(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.set
    }

    /// Headers given one value more.
    pub fn added(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.add
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }

    #[test]
    fn headers_are_removed_set_and_added() {
        let edits = HeaderEdits::new(&model::HeaderEdits {
            remove: vec![
                HeaderName::from_static("x-gone"),
                HeaderName::from_static("x-never"),
            ],
            set: vec![pair("x-set", "new"), pair("x-fresh", "1")],
            add: vec![pair("x-many", "c")],
        });
        let mut headers: HeaderMap = [
            pair("x-gone", "1"),
            pair("x-set", "old"),
            pair("x-set", "older"),
            pair("x-many", "a"),
            pair("x-many", "b"),
            pair("x-same", "1"),
        ]
        .into_iter()
        .collect();
        edits.apply(&mut headers);
        let all = |name: &str| -> Vec<&str> {
            headers
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect()
        };
        assert_eq!(all("x-gone"), [""; 0]);
        assert_eq!(all("x-set"), ["new"]);
        assert_eq!(all("x-fresh"), ["1"]);
        assert_eq!(all("x-many"), ["a", "b", "c"]);
        assert_eq!(all("x-same"), ["1"]);
    }

    #[test]
    fn a_value_set_twice_over_is_the_same_as_once() {
        let edits = HeaderEdits::new(&model::HeaderEdits {
            set: vec![pair("x-a", "1")],
            ..model::HeaderEdits::default()
        });
        let mut once = HeaderMap::new();
        edits.apply(&mut once);
        let mut twice = once.clone();
        edits.apply(&mut twice);
        assert!(!edits.is_empty() && HeaderEdits::default().is_empty());
        assert_eq!(once, twice);
    }
}
