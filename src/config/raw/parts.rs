//! What the mirror is made of: scalars, lists, named mappings, and sections that can be switched off or written as one
//! word.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;

/// A value that is read later, when it is known what it should be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(transparent)]
pub(in crate::config) struct Leaf(pub Value);

impl Leaf {
    /// Its text as written, a number's in its plain form. `None` for lists and mappings.
    pub(in crate::config) fn text(&self) -> Option<String> {
        match &self.0 {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// `text` with the spaces and line ends around it.
    pub(in crate::config) fn verbatim(&self) -> Option<String> {
        match &self.0 {
            Value::String(text) => Some(text.clone()),
            _ => self.text(),
        }
    }

    /// How a complaint shows it.
    pub(in crate::config) fn shown(&self) -> String {
        self.text().unwrap_or_else(|| shown(&self.0))
    }
}

/// How a complaint shows a value of the wrong shape.
pub(in crate::config) fn shown(value: &Value) -> String {
    match value {
        Value::Sequence(_) => "[...]".to_owned(),
        Value::Mapping(_) => "{...}".to_owned(),
        other => Leaf(other.clone()).text().unwrap_or_default(),
    }
}

/// A list; `None` stands for an item that was already refused, so that the others keep their numbers.
pub(in crate::config) type List<T> = Vec<Option<T>>;

/// One value, or a list of them.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(transparent)]
pub(in crate::config) struct OneOrMore(Leaf);

impl OneOrMore {
    /// Each value, with its number where it stands in a list.
    pub(in crate::config) fn each(&self) -> Vec<(Option<usize>, Leaf)> {
        match &self.0.0 {
            Value::Sequence(items) => items
                .iter()
                .enumerate()
                .filter(|(_, item)| !item.is_null())
                .map(|(n, item)| (Some(n), Leaf(item.clone())))
                .collect(),
            _ => vec![(None, self.0.clone())],
        }
    }

    /// A list with nothing in it.
    pub(in crate::config) fn is_empty(&self) -> bool {
        matches!(&self.0.0, Value::Sequence(items) if items.is_empty())
    }
}

/// A mapping from names to things, in file order; `None` as in `List`.
#[derive(Debug)]
pub(in crate::config) struct Named<T>(pub Vec<(String, Option<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping from names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

#[cfg(test)]
impl<T: serde::Serialize> serde::Serialize for Named<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A section, or the word `off`.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
#[cfg_attr(test, serde(untagged))]
pub(in crate::config) enum OffOr<T> {
    Off,
    On(T),
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for OffOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Switch<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Switch<T> {
            type Value = OffOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off` or a mapping")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<OffOr<T>, E> {
                Ok(if on {
                    OffOr::On(T::default())
                } else {
                    OffOr::Off
                })
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<OffOr<T>, E> {
                match word {
                    "off" => self.visit_bool(false),
                    "on" => self.visit_bool(true),
                    _ => Err(E::invalid_type(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OffOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OffOr::On)
            }
        }

        deserializer.deserialize_any(Switch(PhantomData))
    }
}

/// A single value, or a section.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
#[cfg_attr(test, serde(untagged))]
pub(in crate::config) enum LeafOr<T> {
    Leaf(Leaf),
    Full(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LeafOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = LeafOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value or a mapping")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<LeafOr<T>, E> {
                Ok(LeafOr::Leaf(Leaf(value.into())))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<LeafOr<T>, E> {
                Ok(LeafOr::Leaf(Leaf(value.into())))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<LeafOr<T>, E> {
                Ok(LeafOr::Leaf(Leaf(value.into())))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<LeafOr<T>, E> {
                Ok(LeafOr::Leaf(Leaf(value.into())))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<LeafOr<T>, E> {
                Ok(LeafOr::Leaf(Leaf(value.into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<LeafOr<T>, A::Error> {
                Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LeafOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(LeafOr::Full)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}
