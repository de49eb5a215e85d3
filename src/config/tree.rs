//! YAML text to a tree, with every duplicate key, tag and empty value found, and a bound on what aliases unfold to.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_yaml::{Mapping, Value};

use super::path::At;
use super::report::Report;

/// Largest file, in bytes.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Most values in a file, aliases unfolded. Aliases of aliases would otherwise turn 4 MiB into terabytes.
const MAX_NODES: usize = 200_000;

/// The tree of `text`. What is wrong but can be left out is reported and left out; `None`, with a
/// report, when nothing can be read.
pub(super) fn read(text: &str, report: &mut Report) -> Option<Value> {
    if text.len() > MAX_BYTES {
        report.error(
            &At::top(),
            None,
            format!("the file is larger than {MAX_BYTES} bytes"),
            "",
        );
        return None;
    }
    let mut nodes = MAX_NODES;
    let top = Node {
        at: At::top(),
        report,
        nodes: &mut nodes,
    };
    let mut tree = match top.deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(tree) => tree,
        Err(error) => {
            syntax(text, &error, report);
            return None;
        }
    };
    if let Err(error) = tree.apply_merge() {
        report.error(
            &At::top().key("<<"),
            None,
            error.to_string(),
            "`<<` takes the alias of a mapping",
        );
        return None;
    }
    if let Value::Mapping(top) = &mut tree {
        top.retain(|key, _| !key.as_str().is_some_and(|key| key.starts_with("x-")));
    }
    (!tree.is_null()).then_some(tree)
}

fn syntax(text: &str, error: &serde_yaml::Error, report: &mut Report) {
    let place = error.location().map(|l| (l.line(), l.column()));
    let line = place.and_then(|(line, _)| text.lines().nth(line.saturating_sub(1)));
    let hint = match line {
        Some(line) if line.trim_start_matches(' ').starts_with('\t') => {
            "indent with spaces, YAML takes no tabs"
        }
        Some(line) if line.contains(['*', '[', '{', '%', '@', '`']) => {
            "a value with * [ { % @ or ` may need quotes"
        }
        _ => "",
    };
    report.unreadable(place, format!("is not YAML: {error}"), hint);
}

struct Node<'r> {
    at: At,
    report: &'r mut Report,
    nodes: &'r mut usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.nodes.checked_sub(1) {
            Some(left) => *self.nodes = left,
            None => {
                return Err(D::Error::custom(format!(
                    "more than {MAX_NODES} values, aliases unfolded"
                )));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// Only numbers beyond 64 bits: no key takes one, and its text is what the complaint should show.
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Ok(value.to_string().into())
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Ok(value.to_string().into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    /// An empty `keys:` must not read as "no keys asked for".
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        if self.at == At::top() {
            self.report.error(
                &self.at,
                None,
                "the file is empty",
                "it needs `listen` and `pools`",
            );
        } else {
            self.report.error(
                &self.at,
                None,
                "has no value",
                "write one or leave the key out",
            );
        }
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Node {
            at: self.at.index(values.len()),
            report: &mut *self.report,
            nodes: &mut *self.nodes,
        })? {
            values.push(value);
        }
        Ok(Value::Sequence(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut mapping = Mapping::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let at = self.at.key(&key);
            let value = map.next_value_seed(Node {
                at: at.clone(),
                report: &mut *self.report,
                nodes: &mut *self.nodes,
            })?;
            match mapping.contains_key(&key) {
                true => self.report.error(&at, None, "is there twice", "remove one"),
                false => drop(mapping.insert(key.into(), value)),
            }
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (tag, content) = data.variant::<String>()?;
        self.report.error(
            &self.at,
            Some(&format!("!{tag}")),
            "tags are not used here",
            "remove it",
        );
        content.newtype_variant_seed(self)
    }
}

/// Keys are taken as text: a pool may be called `1`.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests;
