//! Fields of a head or of trailers: a list, in the order they came.
//!
//! Heads of a proxy have a dozen fields, are built and copied for each request and asked for a few of them. A list takes less
//! for all of that than a map that hashes each name, and what is passed on keeps its order.

use std::fmt;
use std::ops::Index;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names and values. One name may be there more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

/// What a field can be asked for by: a name, or its text in lower case.
pub trait Name {
    /// Whether `name` is this one.
    fn is(&self, name: &HeaderName) -> bool;
}

impl Name for HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl Name for &HeaderName {
    fn is(&self, name: &HeaderName) -> bool {
        *self == name
    }
}

impl Name for &str {
    fn is(&self, name: &HeaderName) -> bool {
        *self == name.as_str()
    }
}

/// What no head can have: as the name of a field, as a value, or as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField;

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a name or value that a head can have")
    }
}

impl std::error::Error for BadField {}

impl Headers {
    /// None, and room for `fields`.
    pub fn with_capacity(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value under a name.
    pub fn get(&self, name: impl Name) -> Option<&HeaderValue> {
        self.0
            .iter()
            .find(|(known, _)| name.is(known))
            .map(|(_, value)| value)
    }

    /// All values under a name.
    pub fn get_all(&self, name: impl Name) -> impl DoubleEndedIterator<Item = &HeaderValue> {
        self.0
            .iter()
            .filter(move |(known, _)| name.is(known))
            .map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn contains_key(&self, name: impl Name) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The name of each field, in order: as often as it is there.
    pub fn keys(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Adds a field, beside those of the same name.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Sets a field, in the place of the first of this name; the others go.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        let Some(at) = self.0.iter().position(|(known, _)| *known == name) else {
            return self.append(name, value);
        };
        self.0[at].1 = value;
        let mut place = 0;
        self.0.retain(|(known, _)| {
            place += 1;
            place <= at + 1 || *known != name
        });
    }

    /// [`Headers::insert`] with what may be neither a name nor a value.
    ///
    /// # Errors
    /// [`BadField`], when it is not.
    pub fn set<N, V>(&mut self, name: N, value: V) -> Result<(), BadField>
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let name = name.try_into().map_err(|_| BadField)?;
        self.insert(name, value.try_into().map_err(|_| BadField)?);
        Ok(())
    }

    /// Removes all fields of a name; the first value that was there.
    pub fn remove(&mut self, name: impl Name) -> Option<HeaderValue> {
        let at = self.0.iter().position(|(known, _)| name.is(known))?;
        let (_, first) = self.0.remove(at);
        self.0.retain(|(known, _)| !name.is(known));
        Some(first)
    }

    /// What the fields take as HTTP/2 counts them (RFC 9113, 6.5.2), in bytes.
    pub fn size(&self) -> usize {
        let size =
            |(name, value): &(HeaderName, HeaderValue)| name.as_str().len() + value.len() + 32;
        self.0.iter().map(size).sum()
    }

    /// Keeps the fields that `kept` accepts.
    pub fn retain(&mut self, mut kept: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(name, value)| kept(name, value));
    }
}

impl Index<&str> for Headers {
    type Output = HeaderValue;

    /// # Panics
    /// There is no such field.
    #[expect(clippy::expect_used, reason = "as of every index")]
    fn index(&self, name: &str) -> &HeaderValue {
        self.get(name).expect("a field of this name")
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Headers {
    fn from_iter<T: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl From<HeaderMap> for Headers {
    fn from(map: HeaderMap) -> Self {
        let mut last = None;
        let mut headers = Self::with_capacity(map.len());
        for (name, value) in map {
            // A map says the name only with the first of its values.
            last = name.or(last);
            if let Some(name) = &last {
                headers.append(name.clone(), value);
            }
        }
        headers
    }
}

impl From<Headers> for HeaderMap {
    fn from(headers: Headers) -> Self {
        let mut map = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers.0 {
            map.append(name, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(of: u8) -> HeaderName {
        let names = ["host", "x-a", "x-b", "content-length"];
        HeaderName::from_static(names[usize::from(of) % names.len()])
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_it_it_says_what_a_map_says(
            steps in prop::collection::vec((0_u8..3, any::<u8>(), any::<u8>()), 0..30),
        ) {
            let (mut list, mut map) = (Headers::default(), HeaderMap::new());
            for (step, of, value) in steps {
                let value = HeaderValue::from(u16::from(value));
                match step {
                    0 => {
                        list.append(name(of), value.clone());
                        map.append(name(of), value);
                    }
                    1 => {
                        list.insert(name(of), value.clone());
                        map.insert(name(of), value);
                    }
                    _ => prop_assert_eq!(list.remove(name(of)), map.remove(name(of))),
                }
                for of in 0..4 {
                    prop_assert_eq!(list.get(name(of)), map.get(name(of)));
                    prop_assert_eq!(list.get(name(of).as_str()), map.get(name(of)));
                    prop_assert_eq!(list.contains_key(name(of)), map.contains_key(name(of)));
                    let all: Vec<_> = map.get_all(name(of)).iter().collect();
                    prop_assert_eq!(list.get_all(name(of)).collect::<Vec<_>>(), all);
                }
                prop_assert_eq!(list.len(), map.len());
                prop_assert_eq!(HeaderMap::from(list.clone()), map.clone());
                prop_assert_eq!(HeaderMap::from(Headers::from(map.clone())), map.clone());
            }
        }
    }

    #[test]
    fn fields_keep_the_order_they_came_in() {
        let mut headers = Headers::default();
        for (field, value) in [("x-b", "1"), ("x-a", "2"), ("x-b", "3"), ("host", "h")] {
            let value = HeaderValue::from_static(value);
            headers.append(HeaderName::from_static(field), value);
        }
        let order = |headers: &Headers| {
            headers
                .keys()
                .map(HeaderName::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(&headers), ["x-b", "x-a", "x-b", "host"]);
        headers.set("x-b", "4").expect("a field");
        assert_eq!(order(&headers), ["x-b", "x-a", "host"]);
        assert_eq!(headers["x-b"], "4");
        assert_eq!(headers.set("x b", "5"), Err(BadField));
        assert_eq!(headers.set("x-b", "5\n"), Err(BadField));
        assert_eq!(headers["x-b"], "4");
    }
}
