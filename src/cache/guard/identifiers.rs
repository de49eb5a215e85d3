//! URLs, addresses, paths, flags, and names with marks inside.

/// Marks that a sentence hangs on a word.
const AROUND: [char; 22] = [
    '.', ',', ';', ':', '!', '?', '"', '\'', '(', ')', '[', ']', '{', '}', '“', '”', '‘', '’', '«',
    '»', '`', '…',
];

/// Identifiers in small letters, each once, sorted.
pub(super) fn identifiers(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split(|c: char| c.is_whitespace() || matches!(c, '，' | '。' | '、'))
        .filter_map(|word| {
            let bare = word
                .trim_end_matches(AROUND)
                .trim_start_matches(|c| AROUND.contains(&c) && c != '.');
            let called = word.contains("()");
            (called || is_identifier(bare)).then(|| bare.to_lowercase())
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_identifier(word: &str) -> bool {
    if word.is_ascii() && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let lower = word.to_ascii_lowercase();
    let letters = |part: &str| part.chars().filter(|c| c.is_alphabetic()).count();
    let begins = |mark: &str| {
        word.strip_prefix(mark)
            .is_some_and(|rest| letters(rest) > 0)
    };
    let address = word
        .split_once('@')
        .is_some_and(|(_, host)| host.contains('.'));
    address
        || word.contains("://")
        || lower.starts_with("www.")
        || word.contains("::")
        || begins("--")
        || begins("@")
        || begins("$")
        || begins("~/")
        || (word.contains('\\') && letters(word) > 0)
        || (word.starts_with('.') && letters(word) > 1)
        || path(word, letters(word))
        || (word.contains('_') && letters(word) > 0 && !word.starts_with('_'))
        || matches!(lower.as_str(), "c++" | "c#" | "f#" | "j#" | "g++" | "a*")
        || dotted(word)
}

/// `/etc/passwd`, `a/b.txt`, but not `and/or` nor `red/green/blue`.
fn path(word: &str, letters: usize) -> bool {
    let slashes = word.matches('/').count();
    let rooted = word.starts_with('/') && slashes > 1;
    letters > 1 && (rooted || (slashes > 0 && word.contains('.')))
}

/// Names such as `node.js` and `example.com`, but not a sentence that lacks the space behind its point.
fn dotted(word: &str) -> bool {
    let mut parts = word.split('.');
    let all = parts.clone().count() > 1
        && parts.all(|part| {
            part.len() > 1
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    let last = word.rsplit('.').next().unwrap_or_default();
    all && last.starts_with(|c: char| c.is_ascii_lowercase()) && last.len() < 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_and_words_are_not() {
        for text in [
            "https://a.example/b?c=1",
            "mail bob@example.com.",
            "(www.example.org)",
            "run --force now",
            "see /etc/passwd",
            "C:\\Temp",
            "max_tokens",
            "std::mem",
            "node.js",
            "C++,",
            "F#",
            ".net core",
            "call now()",
            "a/b/c.txt",
        ] {
            assert_eq!(identifiers(text).len(), 1, "{text}");
        }
        for text in [
            "and/or",
            "e.g. this",
            "the U.S. is",
            "it works.Or not",
            "- a dash",
            "$5 or #1",
            "well-known",
            "red/green/blue",
            "#What",
            "3.5",
        ] {
            assert_eq!(identifiers(text), Vec::<String>::new(), "{text}");
        }
    }
}
