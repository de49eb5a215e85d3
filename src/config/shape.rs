//! Tree to `raw`, naming every unknown key and every value of the wrong shape.
//!
//! serde stops at the first mistake. So the mistake is noted and cut out of the tree, and serde asked again.

use serde_path_to_error::{Path, Segment};
use serde_yaml::Value;

use super::nearest::suggest;
use super::path::{At, Step};
use super::raw::{RawConfig, shown};
use super::report::Report;

/// The mirror of what is left when every mistake of shape is cut out. Empty when nothing can be.
pub(super) fn fit(mut tree: Value, report: &mut Report) -> RawConfig {
    while !report.is_full() {
        let (at, message) = match serde_path_to_error::deserialize::<_, RawConfig>(&tree) {
            Ok(raw) => return raw,
            Err(error) => (steps(error.path()), error.inner().to_string()),
        };
        let cut = match message.strip_prefix("unknown field ") {
            Some(rest) => cut_key(&mut tree, &at, rest, report),
            None => cut_value(&mut tree, &at, &message, report),
        };
        if cut.is_none() {
            report.error(&at, None, message, "");
        }
        if cut.is_none() || tree.is_null() {
            break;
        }
    }
    RawConfig::default()
}

fn steps(path: &Path) -> At {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// `rest` is serde's "`typo`, expected one of `a`, `b`".
fn cut_key(tree: &mut Value, at: &At, rest: &str, report: &mut Report) -> Option<()> {
    let (Step::Key(key), parent) = at.steps().split_last()? else {
        return None;
    };
    let value = find(tree, parent)?
        .as_mapping_mut()?
        .shift_remove(key.as_str())?;
    let known: Vec<&str> = rest
        .rsplit_once(", expected ")?
        .1
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    report.error(
        at,
        Some(&shown(&value)),
        "unknown key",
        &suggest(key, &known),
    );
    Some(())
}

/// `message` is serde's "invalid type: string "x", expected a sequence".
fn cut_value(tree: &mut Value, at: &At, message: &str, report: &mut Report) -> Option<()> {
    let expected = message
        .rsplit_once(", expected ")?
        .1
        .replace("a sequence", "a list (items begin with `- `)");
    let value = find(tree, at.steps())?;
    if value.is_null() {
        return None;
    }
    report.error(at, Some(&shown(value)), format!("must be {expected}"), "");
    *value = Value::Null;
    Some(())
}

fn find<'t>(tree: &'t mut Value, steps: &[Step]) -> Option<&'t mut Value> {
    steps.iter().try_fold(tree, |node, step| match step {
        Step::Key(key) => node.as_mapping_mut()?.get_mut(key.as_str()),
        Step::Index(index) => node.as_sequence_mut()?.get_mut(*index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let mut report = Report::default();
        fit(serde_yaml::from_str(text).unwrap(), &mut report);
        match report.finish(text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_unknown_key_is_named_with_its_path_and_the_nearest_known_one() {
        let text = "lisen: []\npools:\n  chat:\n    peers:\n      - adress: a\n      - address: b\n        wieght: 2\n    health: {intervall: 5s}\n";
        assert_eq!(
            errors(text),
            [
                "lisen: [...]: unknown key (did you mean `listen`?)",
                "pools.chat.peers[0].adress: a: unknown key (did you mean `address`?)",
                "pools.chat.peers[1].wieght: 2: unknown key (did you mean `weight`?)",
                "pools.chat.health.intervall: 5s: unknown key (did you mean `interval`?)",
            ]
        );
    }

    #[test]
    fn every_value_of_the_wrong_shape_is_named() {
        let text = "listen: 8080\npools:\n  a: 5\n  b: {peers: {address: x}, timeouts: 3s, health: sometimes, retry: [1]}\n";
        let found = errors(text);
        assert_eq!(found.len(), 6, "{found:#?}");
        assert_eq!(
            found[0],
            "listen: 8080: must be a list (items begin with `- `)"
        );
        assert_eq!(found[1], "pools.a: 5: must be a mapping with `peers`");
        assert_eq!(
            found[4],
            "pools.b.health: sometimes: must be `off` or a mapping"
        );
    }

    #[test]
    fn a_whole_file_of_another_kind_is_one_error() {
        assert_eq!(errors("just text").len(), 1);
        assert_eq!(errors("[1, 2]").len(), 1);
    }

    #[test]
    fn a_section_takes_off_false_and_on() {
        assert_eq!(
            errors("pools: {a: {health: off, eject: false}, b: {health: on, eject: true}}"),
            [""; 0]
        );
    }
}
