//! Merges `/v1/models` answers of several pools.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One list out of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The answer: `{"object":"list","data":[...]}`.
    pub body: Vec<u8>,
    /// Models in it.
    pub models: usize,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// A list, or a model of it, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Place of the list in the input.
    pub list: usize,
    /// Place of the model in the list; `None` when the whole list was skipped.
    pub model: Option<usize>,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// The union by `id`: the first list that names a model describes it, byte for byte.
pub fn merge(lists: &[&[u8]]) -> Merged {
    #[derive(Serialize)]
    struct Out<'a> {
        object: &'static str,
        data: &'a [&'a RawValue],
    }
    let mut seen = HashSet::new();
    let mut data = Vec::new();
    let mut skipped = Vec::new();
    for (list, bytes) in lists.iter().enumerate() {
        let models = match serde_json::from_slice::<List<'_>>(bytes) {
            Ok(parsed) => parsed.data,
            Err(error) => {
                skipped.push(Skipped {
                    list,
                    model: None,
                    reason: error.to_string(),
                });
                continue;
            }
        };
        for (place, raw) in models.into_iter().enumerate() {
            match serde_json::from_str::<Model<'_>>(raw.get()) {
                Ok(model) if seen.insert(model.id.clone()) => data.push(raw),
                Ok(_) => {}
                Err(error) => skipped.push(Skipped {
                    list,
                    model: Some(place),
                    reason: error.to_string(),
                }),
            }
        }
    }
    // Writing borrowed JSON text to memory has no way to fail; an empty list is the honest rest.
    let body = serde_json::to_vec(&Out {
        object: "list",
        data: &data,
    })
    .unwrap_or_else(|_| br#"{"object":"list","data":[]}"#.to_vec());
    Merged {
        body,
        models: data.len(),
        skipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_list_that_names_a_model_describes_it() {
        let merged = merge(&[
            br#"{"object":"list","data":[{"id":"a","owned_by":"one"},{"id":"b"}]}"#,
            br#"{"object":"list","data":[{"id":"a","owned_by":"two"},{"id":"c","created":1.50}]}"#,
        ]);
        let expected = r#"{"object":"list","data":[{"id":"a","owned_by":"one"},{"id":"b"},{"id":"c","created":1.50}]}"#;
        assert_eq!(String::from_utf8(merged.body).unwrap(), expected);
        assert_eq!((merged.models, merged.skipped), (3, vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_reported() {
        let merged = merge(&[
            b"<html>",
            br#"{"data":[{"name":"x"},{"id":"a"},7]}"#,
            br#"{"models":[]}"#,
            b"",
        ]);
        assert_eq!(merged.body, br#"{"object":"list","data":[{"id":"a"}]}"#);
        let places: Vec<_> = merged
            .skipped
            .iter()
            .map(|skipped| (skipped.list, skipped.model))
            .collect();
        assert_eq!(
            places,
            [(0, None), (1, Some(0)), (1, Some(2)), (2, None), (3, None)]
        );
    }

    #[test]
    fn no_list_at_all_is_an_empty_list() {
        assert_eq!(merge(&[]).body, br#"{"object":"list","data":[]}"#);
    }
}
