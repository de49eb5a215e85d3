//! `rewrite`: changes of path and headers.

use http::{HeaderName, header::HOST};

use super::header::{self, pairs};
use super::target::prefix;
use crate::config::model::{HeaderEdits, Rewrite};
use crate::config::raw::{RawHeaderEdits, RawPathRewrite, RawRewrite};
use crate::config::units::Refusal;
use crate::config::validate::section::Section;

pub(super) fn rewrite(mut s: Section<'_>, raw: Option<&RawRewrite>) -> Rewrite {
    let Some(raw) = raw else {
        return Rewrite::default();
    };
    let none = RawPathRewrite::default();
    let path = raw.path.as_ref().unwrap_or(&none);
    let (strip_prefix, add_prefix) = {
        let mut s = s.key("path");
        (
            s.read("strip_prefix", path.strip_prefix.as_ref(), prefix),
            s.read("add_prefix", path.add_prefix.as_ref(), prefix),
        )
    };
    Rewrite {
        strip_prefix,
        add_prefix,
        request: edits(
            s.key("request_headers"),
            raw.request_headers.as_ref(),
            Side::Request,
        ),
        response: edits(
            s.key("response_headers"),
            raw.response_headers.as_ref(),
            Side::Response,
        ),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

fn edits(mut s: Section<'_>, raw: Option<&RawHeaderEdits>, side: Side) -> HeaderEdits {
    let Some(raw) = raw else {
        return HeaderEdits::default();
    };
    let lasting = |text: &str| match header::changeable(text)? {
        HOST if side == Side::Request => Err(Refusal::new(
            "must be there exactly once",
            "it can be given another value by `set`",
        )),
        name => Ok(name),
    };
    let set = pairs(&mut s, "set", raw.set.as_ref(), header::changeable);
    let add = pairs(&mut s, "add", raw.add.as_ref(), lasting);
    let at = s.at.key("remove");
    let mut remove: Vec<HeaderName> = Vec::new();
    for (n, leaf) in raw.remove.iter().flatten().enumerate() {
        remove.extend(s.read_at(&at.index(n), leaf.as_ref(), lasting));
    }
    if set
        .iter()
        .any(|(name, value)| *name == HOST && !is_authority(value.as_bytes()))
    {
        let mut s = s.key("set");
        s.refuse(
            "host",
            None,
            "is not a host with or without port",
            "such as api.example.com",
        );
    }
    let both = set
        .iter()
        .map(|(name, _)| name)
        .find(|name| remove.contains(name) || add.iter().any(|(added, _)| added == *name));
    if let Some(name) = both {
        let reason = format!("`{name}` is set and also added or removed");
        s.refuse_all(reason, "write it in one place");
    }
    HeaderEdits { remove, set, add }
}

fn is_authority(value: &[u8]) -> bool {
    !value.contains(&b'@') && http::uri::Authority::try_from(value).is_ok()
}
