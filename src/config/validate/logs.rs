//! `access_log` and `error_log`.

use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::section::Section;
use crate::config::model::{AccessLog, AccessLogTo, ErrorLog, LogFormat};
use crate::config::raw::{Leaf, LeafOr, RawAccessLog, RawErrorLog};
use crate::config::units::Refusal;

const FORMATS: &[(&str, LogFormat)] =
    &[("json", LogFormat::Json), ("combined", LogFormat::Combined)];
const LEVELS: &[(&str, LevelFilter)] = &[
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

pub(super) fn access(mut s: Section<'_>, raw: Option<&LeafOr<RawAccessLog>>) -> AccessLog {
    let to = |s: &mut Section<'_>, key: &str, leaf: Option<&Leaf>| {
        let base = s.base;
        let to = s.read(key, leaf, |text| match text {
            "off" | "false" => Ok(AccessLogTo::Off),
            "stdout" => Ok(AccessLogTo::Stdout),
            text => {
                file(text, base, "must be stdout, off or the path of a file").map(AccessLogTo::File)
            }
        });
        to.unwrap_or(AccessLogTo::Stdout)
    };
    let (to, format) = match raw {
        Some(LeafOr::Full(raw)) => {
            let mut s = s.key("access_log");
            (
                to(&mut s, "to", raw.to.as_ref()),
                s.word("format", raw.format.as_ref(), FORMATS, LogFormat::Json),
            )
        }
        Some(LeafOr::Leaf(leaf)) => (to(&mut s, "access_log", Some(leaf)), LogFormat::Json),
        None => (AccessLogTo::Stdout, LogFormat::Json),
    };
    AccessLog { to, format }
}

pub(super) fn error(mut s: Section<'_>, raw: Option<&LeafOr<RawErrorLog>>) -> ErrorLog {
    let to = |s: &mut Section<'_>, key: &str, leaf: Option<&Leaf>| {
        let base = s.base;
        let to = s.read(key, leaf, |text| match text {
            "stderr" => Ok(None),
            text => file(text, base, "must be stderr or the path of a file").map(Some),
        });
        to.flatten()
    };
    let (file, level) = match raw {
        Some(LeafOr::Full(raw)) => {
            let mut s = s.key("error_log");
            (
                to(&mut s, "to", raw.to.as_ref()),
                s.word("level", raw.level.as_ref(), LEVELS, LevelFilter::Info),
            )
        }
        Some(LeafOr::Leaf(leaf)) => (to(&mut s, "error_log", Some(leaf)), LevelFilter::Info),
        None => (None, LevelFilter::Info),
    };
    ErrorLog { file, level }
}

/// A bare word is more likely a slip of the pen than a file.
fn file(text: &str, base: &Path, reason: &str) -> Result<PathBuf, Refusal> {
    match text.contains(['/', '.']) {
        true => Ok(base.join(text)),
        false => {
            let hint = format!("write ./{text} for a file of that name");
            Err(Refusal::new(reason, hint))
        }
    }
}
