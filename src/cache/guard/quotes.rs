//! What stands between quotes, and program text.

use super::words::{Kind, Words};

/// Spans between quotes, as words in small letters parted by single spaces; without those of one letter or none.
pub(super) fn quoted(words: &Words) -> Vec<String> {
    let pieces = words.pieces();
    let mut spans = Vec::new();
    let mut open: Option<(char, usize)> = None;
    for (at, piece) in pieces.iter().enumerate() {
        let Kind::Mark(mark) = piece.kind else {
            continue;
        };
        let next_glued = pieces.get(at + 1).is_some_and(|next| next.glued);
        match open {
            Some((closer, from)) if mark == closer => {
                let span = spaced(words, from + 1, at);
                if span.chars().count() > 1 {
                    spans.push(span);
                }
                open = None;
            }
            Some(_) => {}
            // A single quote opens only where a word begins: elsewhere it is an apostrophe.
            None if mark == '\'' && (piece.glued || !next_glued) => {}
            None => open = closer(mark).map(|closer| (closer, at)),
        }
    }
    spans.sort_unstable();
    spans.dedup();
    spans
}

fn closer(mark: char) -> Option<char> {
    Some(match mark {
        '"' | '`' | '\'' => mark,
        '“' | '„' => '”',
        '‘' => '\'',
        '«' => '»',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        _ => return None,
    })
}

fn spaced(words: &Words, from: usize, to: usize) -> String {
    let mut text = String::new();
    for piece in words.pieces().get(from..to).unwrap_or_default() {
        if matches!(piece.kind, Kind::Mark(mark) if !carries(mark)) {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text += words.said(piece);
    }
    text
}

/// Whether a mark is more than punctuation.
fn carries(mark: char) -> bool {
    !".,;:!?-'\"`…。，、“”„‘«»「」『』《》".contains(mark)
}

/// The whole text as [`quoted`] writes spans: to see whether a span stands in it without quotes.
pub(super) fn flat(words: &Words) -> String {
    spaced(words, 0, words.pieces().len())
}

/// Marks of which program text is full and prose is not.
const MARKS: [char; 10] = ['{', '}', ';', '=', '<', '>', '[', ']', '|', '\\'];

/// Fewest such marks, and their least share of a text without fences, for it to be taken for program text.
const LEAST_MARKS: usize = 6;
const LEAST_SHARE: usize = 30;

/// Program text without its spaces: what stands between fences, or all of a text that looks like it.
pub(super) fn code(text: &str) -> Option<String> {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    if text.contains("```") {
        return Some(
            text.split("```")
                .skip(1)
                .step_by(2)
                .map(dense)
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let marks = text
        .bytes()
        .filter(|&byte| MARKS.contains(&char::from(byte)))
        .count();
    (marks >= LEAST_MARKS && marks * LEAST_SHARE >= text.len()).then(|| dense(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_found_between_quotes_of_many_kinds() {
        for text in [
            "say \"good morning\" now",
            "say “Good Morning!” now",
            "say 'good morning' now",
            "say «good morning» now",
            "say `good morning` now",
        ] {
            assert_eq!(quoted(&Words::of(text)), ["good morning"], "{text}");
        }
        assert!(quoted(&Words::of("the dogs' bowls and the cats' bowls")).is_empty());
        assert!(quoted(&Words::of("don't 'tis \" open")).is_empty());
    }

    #[test]
    fn a_span_is_found_in_a_text_without_quotes() {
        let flat = flat(&Words::of("How do I say Good Morning, in French?"));
        assert!(flat.contains("good morning"));
    }

    #[test]
    fn program_text_is_known_by_its_fences_or_marks() {
        assert_eq!(
            code("see ```a = 1``` and ```b``` "),
            Some("a=1\nb".to_owned())
        );
        assert!(code("fn main() { let x = [1]; println!(\"{}\", x[0]); }").is_some());
        assert!(code("What is the price (in dollars) of a cat; and a dog = ?").is_none());
    }
}
