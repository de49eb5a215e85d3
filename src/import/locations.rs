//! `location` blocks in the order in which a first match does what nginx's own rules do.
//!
//! nginx takes an exact location; else the longest prefix if it says `^~`; else the first regular expression that
//! matches; else the longest prefix (ngx_http_core_module, `location`).

use super::pattern;
use super::tree::{Dir, named};

/// The directives around a place, the innermost level first.
#[derive(Clone)]
pub(super) struct Scope<'a>(pub(super) Vec<&'a [Dir]>);

impl<'a> Scope<'a> {
    pub(super) fn inner(&self, dirs: &'a [Dir]) -> Self {
        let mut levels = vec![dirs];
        levels.extend(&self.0);
        Self(levels)
    }

    /// The directives of this name at the innermost level that has one: lists of nginx replace those further out.
    pub(super) fn all(&self, name: &str) -> Vec<&'a Dir> {
        let mut levels = self.0.iter().map(|dirs| named(dirs, name));
        levels.find(|found| !found.is_empty()).unwrap_or_default()
    }

    pub(super) fn find(&self, name: &str) -> Option<&'a Dir> {
        self.all(name).last().copied()
    }

    /// At the innermost level only: what is not inherited.
    pub(super) fn own(&self, name: &str) -> Vec<&'a Dir> {
        self.0
            .first()
            .map(|dirs| named(dirs, name))
            .unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Exact,
    Prefix,
    /// `^~`: regular expressions are not asked.
    FinalPrefix,
    Regex {
        any_case: bool,
    },
    /// `@name`.
    Named,
}

/// One location, wherever it is nested.
pub(super) struct Location<'a> {
    pub(super) dir: &'a Dir,
    pub(super) kind: Kind,
    pub(super) path: &'a str,
    pub(super) scope: Scope<'a>,
}

impl Location<'_> {
    /// Its glob: `Ok(None)` matches every path; an error is the reason why there is none.
    pub(super) fn glob(&self) -> Result<Option<String>, &'static str> {
        match self.kind {
            Kind::Exact => Ok(Some(pattern::literal(self.path))),
            Kind::Prefix | Kind::FinalPrefix if self.path == "/" => Ok(None),
            Kind::Prefix | Kind::FinalPrefix => Ok(Some(pattern::literal(self.path) + "*")),
            Kind::Regex { any_case } => pattern::of_regex(self.path, any_case)
                .map(Some)
                .ok_or("this regular expression has no glob: its requests go to the next route that matches"),
            Kind::Named => Err("only reached from within nginx"),
        }
    }
}

/// All locations in `scope`, in the order of a first match.
pub(super) fn in_order<'a>(scope: &Scope<'a>) -> Vec<Location<'a>> {
    let mut found = Vec::new();
    collect(scope, &mut found);
    let finals: Vec<&str> = found
        .iter()
        .filter(|location: &&Location<'_>| location.kind == Kind::FinalPrefix)
        .map(|location| location.path)
        .collect();
    let rank = |location: &Location<'_>| match location.kind {
        Kind::Exact => 0,
        Kind::FinalPrefix => 1,
        // Longer than a `^~` prefix that would hide it.
        Kind::Prefix if finals.iter().any(|path| location.path.starts_with(path)) => 1,
        Kind::Regex { .. } => 2,
        Kind::Prefix => 3,
        Kind::Named => 4,
    };
    // Stable: regular expressions stay in file order.
    found.sort_by_key(|location| {
        let length = match location.kind {
            Kind::Prefix | Kind::FinalPrefix => location.path.len(),
            _ => 0,
        };
        (rank(location), std::cmp::Reverse(length))
    });
    found
}

fn collect<'a>(scope: &Scope<'a>, found: &mut Vec<Location<'a>>) {
    for dir in scope.own("location") {
        let (kind, path) = match (dir.arg(0), dir.args.len()) {
            ("=", 2) => (Kind::Exact, dir.arg(1)),
            ("^~", 2) => (Kind::FinalPrefix, dir.arg(1)),
            ("~", 2) => (Kind::Regex { any_case: false }, dir.arg(1)),
            ("~*", 2) => (Kind::Regex { any_case: true }, dir.arg(1)),
            (path, _) if path.starts_with('@') => (Kind::Named, path),
            // nginx takes the modifier and the path in one word as well.
            (path, _) => match path.strip_prefix("^~") {
                Some(rest) => (Kind::FinalPrefix, rest),
                None => match (path.strip_prefix("~*"), path.strip_prefix('~')) {
                    (Some(rest), _) => (Kind::Regex { any_case: true }, rest),
                    (_, Some(rest)) => (Kind::Regex { any_case: false }, rest),
                    _ => match path.strip_prefix('=') {
                        Some(rest) => (Kind::Exact, rest),
                        None => (Kind::Prefix, path),
                    },
                },
            },
        };
        let inner = scope.inner(dir.inside());
        collect(&inner, found);
        found.push(Location {
            dir,
            kind,
            path,
            scope: inner,
        });
    }
}
