//! Names: words with capitals where grammar asks for none, and those known without.

use super::lexicon::sense;
use super::words::{Case, Kind, Words, stem};

/// The names of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Names {
    /// Known ones, by their line in the table, each once, sorted.
    known: Vec<u16>,
    /// Others: runs of words with capitals, as stems.
    runs: Vec<Vec<String>>,
    /// Every word's stem, sorted: where a name may stand in small letters.
    all: Vec<String>,
}

/// A name longer than this is a heading.
const LONGEST: usize = 5;

impl Names {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let mut names = Self::default();
        let pieces = words.pieces();
        let trusted = capitals_mean_names(words);
        let mut run: Vec<String> = Vec::new();
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            let said = words.said(piece);
            if piece.kind != Kind::Word {
                // A hyphen or an ampersand inside a name does not end it.
                if !matches!(piece.kind, Kind::Mark('-' | '&')) || !piece.glued {
                    names.end(&mut run);
                }
                at += 1;
                continue;
            }
            let here = sense(said);
            names.all.push(stem(said).to_owned());
            let next = pieces.get(at + 1).filter(|next| next.kind == Kind::Word);
            if here.leads
                && let Some(next) = next
                && let Some(known) = sense(&format!("{said} {}", words.said(next))).name
            {
                names.all.push(stem(words.said(next)).to_owned());
                names.known.push(known);
                names.end(&mut run);
                at += 2;
                continue;
            }
            let known = here.name.or_else(|| sense(stem(said)).name);
            // "US" is the country only in capitals.
            let known = known.or_else(|| {
                (said == "us" && piece.case == Case::Capitals && trusted)
                    .then(|| sense("usa").name)
                    .flatten()
            });
            let capital = match piece.case {
                Case::Small => false,
                Case::Inner | Case::Capitals => true,
                // At the beginning of a sentence it says nothing, unless the next word has one too.
                Case::Capital => {
                    !piece.opens
                        || next.is_some_and(|next| {
                            next.case == Case::Capital && !sense(words.said(next)).common
                        })
                }
            };
            if let Some(known) = known {
                names.known.push(known);
                names.end(&mut run);
            } else if trusted
                && capital
                && !here.common
                && here.date.is_none()
                && here.unit.is_none()
            {
                run.push(stem(said).to_owned());
            } else {
                names.end(&mut run);
            }
            at += 1;
        }
        names.end(&mut run);
        names.known.sort_unstable();
        names.known.dedup();
        names.all.sort_unstable();
        names.all.dedup();
        names
    }

    fn end(&mut self, run: &mut Vec<String>) {
        if run.is_empty() {
            return;
        }
        let run = std::mem::take(run);
        if run.len() <= LONGEST {
            self.runs.push(run);
        }
    }

    /// Whether both texts speak of the same names.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.known == other.known && self.within(other) && other.within(self)
    }

    /// Whether every run stands in the other text, or its last word does as a run of its own ("Trump" for "Donald
    /// Trump").
    fn within(&self, other: &Self) -> bool {
        self.runs.iter().all(|run| {
            run.iter().all(|word| other.has(word))
                || other.runs.iter().any(|theirs| {
                    run.last() == theirs.last() && theirs.iter().all(|word| run.contains(word))
                })
        })
    }

    fn has(&self, word: &String) -> bool {
        self.all.binary_search(word).is_ok()
    }
}

/// Whether the text uses capitals as prose does: not all words in capitals, nor Each Word With One.
fn capitals_mean_names(words: &Words) -> bool {
    let (mut small, mut with) = (0, 0);
    for piece in words
        .pieces()
        .iter()
        .filter(|piece| piece.kind == Kind::Word)
    {
        if !sense(words.said(piece)).common {
            match piece.case {
                Case::Small => small += 1,
                _ if piece.opens => {}
                _ => with += 1,
            }
        }
    }
    // Short questions may well be all name: "Who is Barack Obama?"
    small >= with || with <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        Names::of(&Words::of(a)).same(&Names::of(&Words::of(b)))
    }

    #[test]
    fn a_name_may_be_written_in_small_letters_on_one_side() {
        assert!(same(
            "Who founded Stripe in Dublin?",
            "who founded stripe in dublin"
        ));
        assert!(same(
            "How is Zanzibar in spring?",
            "how is zanzibar in spring"
        ));
        assert!(!same(
            "How is Zanzibar in spring?",
            "how is Madagascar in spring"
        ));
    }

    #[test]
    fn a_surname_stands_for_the_whole_name_but_a_first_name_for_nobody() {
        assert!(same("What does Angela Davis say?", "What does Davis say?"));
        assert!(!same(
            "When was Michael Jordan born?",
            "When was Michael Jackson born?"
        ));
        assert!(!same("Is Galaxy Note good?", "Is Galaxy good?"));
    }

    #[test]
    fn a_country_and_its_people_are_one_name() {
        assert!(same("the president of France", "the french president"));
        assert!(!same(
            "the capital of north korea",
            "the capital of south korea"
        ));
        assert!(
            same("people in the US", "people in the United States")
                && same("give us time", "give them time")
        );
    }

    #[test]
    fn headings_and_shouting_have_no_names() {
        assert!(same(
            "HOW DO I RESET MY ROUTER",
            "how do i restart my router"
        ));
        assert!(same(
            "How To Reset Your Router At Home Quickly",
            "how to restart a router"
        ));
    }
}
