//! The line of a path. The parsed tree has no lines, so the text is read once more down to the place, on errors only.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::path::Step;

/// Line from 1 of what `steps` lead to, or of the deepest thing on the way there that exists.
pub(super) fn line_of(text: &str, steps: &[Step]) -> Option<usize> {
    (1..=steps.len()).rev().find_map(|kept| {
        let found = Seek(&steps[..kept]).deserialize(serde_yaml::Deserializer::from_str(text));
        match found {
            Err(error) if error.to_string().contains(FOUND) => Some(error.location()?.line()),
            _ => None,
        }
    })
}

/// serde_yaml adds the place to an error that a visitor returns: failing on purpose is how one learns where it is.
const FOUND: &str = "this is the place that was looked for";

/// Goes down the steps; at their end it fails with `FOUND`.
#[derive(Clone, Copy)]
struct Seek<'s>(&'s [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Becomes the message when the place holds a scalar.
        f.write_str(if self.0.is_empty() {
            FOUND
        } else {
            "something with parts"
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (Step::Key(key), rest) = self
            .0
            .split_first()
            .ok_or_else(|| A::Error::custom(FOUND))?
        else {
            return Ok(());
        };
        while let Some(matches) = map.next_key_seed(KeyIs {
            key,
            is_last: rest.is_empty(),
        })? {
            match matches {
                true => return map.next_value_seed(Seek(rest)),
                false => map.next_value::<IgnoredAny>()?,
            };
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (Step::Index(index), rest) = self
            .0
            .split_first()
            .ok_or_else(|| A::Error::custom(FOUND))?
        else {
            return Ok(());
        };
        for _ in 0..*index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Seek(rest)).map(|_| ())
    }
}

/// Is this the key? The last key of the way is itself the place: it stands where people look for it.
struct KeyIs<'s> {
    key: &'s str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.key {
            true if self.is_last => Err(E::custom(FOUND)),
            matches => Ok(matches),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
listen:
  - address: a
pools:
  chat:
    peers:
      - address: b
      - address: c
        weight: -2
";

    fn line(steps: &[Step]) -> Option<usize> {
        line_of(TEXT, steps)
    }

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    #[test]
    fn a_place_is_found_by_its_line() {
        assert_eq!(line(&[key("listen")]), Some(1));
        assert_eq!(
            line(&[key("listen"), Step::Index(0), key("address")]),
            Some(2)
        );
        assert_eq!(
            line(&[key("pools"), key("chat"), key("peers"), Step::Index(1)]),
            Some(7)
        );
        assert_eq!(
            line(&[
                key("pools"),
                key("chat"),
                key("peers"),
                Step::Index(1),
                key("weight")
            ]),
            Some(8)
        );
    }

    #[test]
    fn what_is_missing_is_found_at_what_lacks_it() {
        assert_eq!(
            line(&[
                key("pools"),
                key("chat"),
                key("peers"),
                Step::Index(0),
                key("weight")
            ]),
            Some(6)
        );
        assert_eq!(line(&[key("pools"), key("other")]), Some(3));
        assert_eq!(line(&[key("caches")]), None);
    }
}
