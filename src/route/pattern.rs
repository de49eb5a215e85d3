//! A glob, with the forms that operators mostly write matched without a pattern engine.

use globset::GlobMatcher;

/// Matches what the glob it was made from matches.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// No pattern: matches everything, also nothing.
    Absent,
    /// `*`: matches whatever is there.
    Any,
    /// No wildcard at all.
    Literal(Box<str>),
    /// A literal and then `*`.
    Prefix(Box<str>),
    /// Everything else.
    Glob(GlobMatcher),
}

impl Pattern {
    pub(super) fn new(glob: Option<&GlobMatcher>) -> Self {
        let Some(matcher) = glob else {
            return Self::Absent;
        };
        let text = matcher.glob().glob();
        let plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
        match text.strip_suffix('*') {
            Some("") => Self::Any,
            Some(prefix) if plain(prefix) => Self::Prefix(prefix.into()),
            None if plain(text) => Self::Literal(text.into()),
            _ => Self::Glob(matcher.clone()),
        }
    }

    pub(super) fn matches(&self, text: Option<&str>) -> bool {
        match (self, text) {
            (Self::Absent, _) | (Self::Any, Some(_)) => true,
            (_, None) => false,
            (Self::Literal(literal), Some(text)) => **literal == *text,
            (Self::Prefix(prefix), Some(text)) => text.starts_with(&**prefix),
            (Self::Glob(glob), Some(text)) => glob.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use globset::Glob;
    use proptest::prelude::*;

    use super::*;

    fn pattern(glob: &str) -> Pattern {
        Pattern::new(Some(&Glob::new(glob).unwrap().compile_matcher()))
    }

    #[test]
    fn common_forms_need_no_pattern_engine() {
        assert!(matches!(pattern("*"), Pattern::Any));
        assert!(matches!(pattern("/v1/*"), Pattern::Prefix(_)));
        assert!(matches!(pattern("/v1/models"), Pattern::Literal(_)));
        assert!(matches!(pattern("/v?/*"), Pattern::Glob(_)));
    }

    #[test]
    fn only_an_absent_pattern_matches_what_is_not_there() {
        assert!(Pattern::Absent.matches(None) && Pattern::Absent.matches(Some("x")));
        assert!(!pattern("*").matches(None) && pattern("*").matches(Some("")));
    }

    proptest! {
        #[test]
        fn a_shortcut_matches_what_the_glob_matches(glob in "[/a.*?-]{1,6}", text in "[/a.b-]{0,8}") {
            let slow = Glob::new(&glob).unwrap().compile_matcher();
            prop_assert_eq!(Pattern::new(Some(&slow)).matches(Some(&text)), slow.is_match(&text), "{} {}", glob, text);
        }
    }
}
