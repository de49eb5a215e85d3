//! Locations as globs.

/// The glob that matches `text` and nothing else.
pub(super) fn literal(text: &str) -> String {
    let mut glob = String::new();
    for c in text.chars() {
        push(&mut glob, c);
    }
    glob
}

fn push(glob: &mut String, c: char) {
    match c {
        '*' | '?' | '[' | ']' | '{' | '}' => {
            glob.push('[');
            glob.push(c);
            glob.push(']');
        }
        // In a class a backslash stands for itself.
        '\\' => glob.push_str("[\\\\]"),
        ',' => glob.push_str("[,]"),
        plain => glob.push(plain),
    }
}

/// The glob that matches what a regular expression matches, where there is one.
pub(super) fn of_regex(regex: &str, any_case: bool) -> Option<String> {
    let (rest, mut glob) = match regex.strip_prefix('^') {
        Some(rest) => (rest, String::new()),
        None => (regex, "*".to_owned()),
    };
    let (rest, open_end) = match rest.strip_suffix('$') {
        Some(inner) if !inner.ends_with('\\') => (inner, false),
        _ => (rest, true),
    };
    let chars: Vec<char> = rest.chars().collect();
    let mut at = 0;
    sequence(&chars, &mut at, &mut glob, any_case, false)?;
    if at != chars.len() {
        return None;
    }
    if open_end && !glob.ends_with('*') {
        glob.push('*');
    }
    while glob.contains("**") {
        // Two stars in a row mean folders to some readers of globs.
        glob = glob.replace("**", "*");
    }
    Some(glob)
}

fn sequence(
    chars: &[char],
    at: &mut usize,
    glob: &mut String,
    any_case: bool,
    nested: bool,
) -> Option<()> {
    while let Some(c) = chars.get(*at) {
        let next = chars.get(*at + 1);
        match c {
            '.' if next == Some(&'*') => {
                glob.push('*');
                *at += 2;
            }
            '.' if next == Some(&'+') => {
                glob.push_str("?*");
                *at += 2;
            }
            '.' => {
                glob.push('?');
                *at += 1;
            }
            '\\' => {
                // Letters after a backslash are classes.
                let escaped = next.filter(|c| !c.is_alphanumeric())?;
                push(glob, *escaped);
                *at += 2;
            }
            '(' if !nested => group(chars, at, glob, any_case)?,
            '[' => class(chars, at, glob, any_case)?,
            '|' | ')' if nested => return Some(()),
            '*' | '+' | '?' | '{' | '}' | '|' | ')' | '(' | '^' | '$' => return None,
            c => {
                letter(glob, *c, any_case);
                *at += 1;
            }
        }
        // A repetition of what was read has no glob.
        if matches!(chars.get(*at), Some('*' | '+' | '?' | '{')) {
            return None;
        }
    }
    Some(())
}

fn letter(glob: &mut String, c: char, any_case: bool) {
    match any_case && c.is_ascii_alphabetic() {
        true => {
            let (small, large) = (c.to_ascii_lowercase(), c.to_ascii_uppercase());
            glob.extend(['[', small, large, ']']);
        }
        false => push(glob, c),
    }
}

/// `(a|b)`; one with nothing to choose from is its content.
fn group(chars: &[char], at: &mut usize, glob: &mut String, any_case: bool) -> Option<()> {
    *at += 1;
    if chars[*at..].starts_with(&['?']) {
        // Only `(?:`: others look around or name.
        if chars.get(*at + 1) != Some(&':') {
            return None;
        }
        *at += 2;
    }
    let mut choices = Vec::new();
    loop {
        let mut choice = String::new();
        sequence(chars, at, &mut choice, any_case, true)?;
        choices.push(choice);
        *at += 1;
        match chars.get(*at - 1) {
            Some('|') => {}
            Some(')') => break,
            _ => return None,
        }
    }
    match choices.as_slice() {
        [only] => glob.push_str(only),
        choices if choices.iter().any(String::is_empty) => return None,
        choices => {
            glob.push('{');
            glob.push_str(&choices.join(","));
            glob.push('}');
        }
    }
    Some(())
}

fn class(chars: &[char], at: &mut usize, glob: &mut String, any_case: bool) -> Option<()> {
    let length = chars[*at..].iter().position(|c| *c == ']')?;
    let inner: String = chars[*at + 1..*at + length].iter().collect();
    if inner.is_empty() || any_case || inner.contains(['\\', '[', '^', '!']) {
        return None;
    }
    *at += length + 1;
    glob.push('[');
    glob.push_str(&inner);
    glob.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use globset::GlobBuilder;

    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        GlobBuilder::new(glob)
            .build()
            .expect("a glob")
            .compile_matcher()
            .is_match(path)
    }

    #[test]
    fn a_regular_expression_with_a_glob_matches_the_same() {
        for (regex, any_case, glob, yes, no) in [
            ("^/v1/", false, "/v1/*", "/v1/x", "/v2/x"),
            ("^/v1/x$", false, "/v1/x", "/v1/x", "/v1/xy"),
            ("^/(a|b)/c", false, "/{a,b}/c*", "/b/cd", "/x/c"),
            ("\\.(png|jpg)$", false, "*.{png,jpg}", "/i.png", "/i.pngx"),
            ("^/api/.*$", false, "/api/*", "/api/", "/ap"),
            ("^/x.+y$", false, "/x?*y", "/xzy", "/xy"),
            ("^/v[12]/", false, "/v[12]/*", "/v2/", "/v3/"),
            ("^/Ab$", true, "/[aA][bB]", "/aB", "/a"),
            ("/mid/", false, "*/mid/*", "/a/mid/b", "/mid"),
        ] {
            assert_eq!(of_regex(regex, any_case).as_deref(), Some(glob), "{regex}");
            assert!(matches(glob, yes) && !matches(glob, no), "{regex}");
        }
        for regex in [
            "^/a+$",
            "^/\\d+$",
            "^/a{2}",
            "(?!x)",
            "^/(a|b)?/",
            "a|b",
            "[^/]+",
            "^/((a|b)|c)$",
            "(?<n>a)",
        ] {
            assert_eq!(of_regex(regex, false), None, "{regex}");
        }
    }

    #[test]
    fn a_literal_matches_itself_only() {
        for text in ["/a*b", "/a?b", "/a[b]c", "/{a,b}", "/plain"] {
            assert!(matches(&literal(text), text), "{}", literal(text));
        }
        assert!(!matches(&literal("/a*"), "/ab"));
    }
}
