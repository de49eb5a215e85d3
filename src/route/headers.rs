//! Changes of headers.

use http::HeaderName;

use crate::config::model;
use crate::util::headers::Headers;

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

    /// Makes the changes.
    pub fn apply(&self, headers: &mut Headers) {
        for name in &self.0.remove {
            headers.remove(name);
        }
        for (name, value) in &self.0.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.0.add {
            headers.append(name.clone(), value.clone());
        }
    }

    /// Whether this header is given a value.
    pub fn sets(&self, name: &HeaderName) -> bool {
        self.0.set.iter().any(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
        let mut headers: Headers = [
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
        let mut once = Headers::default();
        edits.apply(&mut once);
        let mut twice = once.clone();
        edits.apply(&mut twice);
        assert!(!edits.is_empty() && HeaderEdits::default().is_empty());
        assert_eq!(once, twice);
    }
}
