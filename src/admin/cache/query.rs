//! What stands behind the `?` of a call.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::admin::answer::Refusal;

/// Text with its escapes undone.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Names and values, each name once but those of `many`.
///
/// # Errors
/// A name that is not `known`, or is given twice.
pub(super) fn parse(
    query: &str,
    known: &[&str],
    many: &str,
) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (
            decoded(&name.replace('+', " ")),
            decoded(&value.replace('+', " ")),
        );
        if !known.contains(&name.as_str()) {
            let known = known.join(", ");
            return Err(Refusal::at(name, format!("is none of {known}")));
        }
        let values = values.entry(name.clone()).or_default();
        if !values.is_empty() && name != many {
            return Err(Refusal::at(name, "is given twice"));
        }
        values.push(value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read_with_their_escapes() {
        let read = parse("a=1&t=x%3dy&t=z+%C3%A9&b", &["a", "b", "t"], "t").unwrap();
        assert_eq!(read["a"], ["1"]);
        assert_eq!(read["t"], ["x=y", "z é"]);
        assert_eq!(read["b"], [""]);
        assert!(parse("", &[], "").unwrap().is_empty());
    }

    #[test]
    fn unknown_names_and_doubles_are_refused() {
        assert!(parse("c=1", &["a"], "").is_err());
        assert!(parse("a=1&a=2", &["a"], "").is_err());
    }
}
