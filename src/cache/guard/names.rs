//! Names: words with capitals where grammar asks for none, and those known without.

use super::lexicon::{Sense, sense};
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
        let mut run = Run::default();
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
            if let Some(known) = dotted(words, at) {
                names.known.push(known);
                names.end(&mut run);
                at += 3;
                continue;
            }
            names.all.push(written(said));
            let here = piece.sense;
            let next = pieces.get(at + 1).filter(|next| next.kind == Kind::Word);
            if let Some(next) = next
                && let Some(known) = words.pair(at).and_then(|both| both.name)
            {
                names.all.push(stem(words.said(next)).to_owned());
                names.known.push(known);
                run.words
                    .extend([stem(said).to_owned(), stem(words.said(next)).to_owned()]);
                at += 2;
                continue;
            }
            let capital = trusted
                && match piece.case {
                    Case::Small => false,
                    Case::Inner | Case::Capitals => true,
                    // At the beginning of a sentence it says nothing, unless the next word has one too.
                    Case::Capital => {
                        !piece.opens
                            || next.is_some_and(|next| {
                                next.case == Case::Capital && !next.sense.common
                            })
                    }
                };
            let known = known(said, here, piece.case == Case::Capitals && trusted);
            names.known.extend(known);
            if capital
                && (known.is_some() || !(here.common || here.date.is_some() || here.unit.is_some()))
            {
                run.words.push(written(said));
                run.unknown |= known.is_none();
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

    fn end(&mut self, run: &mut Run) {
        let run = std::mem::take(run);
        if run.unknown && run.words.len() <= LONGEST {
            self.runs.push(run.words);
        }
    }

    /// Whether the texts speak of different names: each has one that the other lacks, or one has a known one more. A
    /// single name more that is in no table is no evidence: half of those are common words with capitals.
    pub(super) fn differ(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.beyond(other), other.beyond(self));
        let lacks = |a: &Self, b: &Self| a.known.iter().any(|name| !b.known.contains(name));
        lacks(self, other) || lacks(other, self) || (mine && theirs)
    }

    /// Whether a run stands in this text and not in the other, and neither does its last word where nothing says that it
    /// is another's ("Trump" for "Donald Trump", but not "Michael Jackson" for "Janet Jackson").
    fn beyond(&self, other: &Self) -> bool {
        self.runs.iter().any(|run| {
            let last = run.last();
            let others = |theirs: &Vec<String>| {
                theirs.last() == last && !theirs.iter().all(|word| run.contains(word))
            };
            let whole = run.iter().all(|word| other.has(word));
            let surname =
                last.is_some_and(|last| other.has(last)) && !other.runs.iter().any(others);
            !whole && !surname
        })
    }

    fn has(&self, word: &String) -> bool {
        self.all.binary_search(word).is_ok()
    }
}

/// Words of a name that is being read.
#[derive(Debug, Default)]
struct Run {
    words: Vec<String>,
    /// Whether one of them is in no table: else the tables say all there is.
    unknown: bool,
}

/// A name's word without endings and accents: "Pokémon's" and "Pokemon" are one.
fn written(said: &str) -> String {
    let plain = |c| match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
        'š' => 's',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' => 'z',
        c => c,
    };
    stem(said).chars().map(plain).collect()
}

/// "U.S." and "U.K.", which are three pieces and a point.
fn dotted(words: &Words, at: usize) -> Option<u16> {
    let [first, point, second, ..] = words.pieces().get(at..)? else {
        return None;
    };
    let close = point.kind == Kind::Mark('.') && point.glued && second.glued;
    match (words.said(first), words.said(second)) {
        ("u", "s") if close => sense("usa").name,
        ("u", "k") if close => sense("uk").name,
        _ => None,
    }
}

/// The name that a word is known as. "US" is the country only in capitals.
fn known(said: &str, here: Sense, capitals: bool) -> Option<u16> {
    let bare = stem(said);
    let known = here.name.or_else(|| {
        (bare.len() < said.len())
            .then(|| sense(bare).name)
            .flatten()
    });
    known.or_else(|| {
        (said == "us" && capitals)
            .then(|| sense("usa").name)
            .flatten()
    })
}

/// Whether the text uses capitals as prose does: not all words in capitals, nor Each Word With One.
fn capitals_mean_names(words: &Words) -> bool {
    let (mut small, mut with, mut prose) = (0, 0, false);
    for piece in words
        .pieces()
        .iter()
        .filter(|piece| piece.kind == Kind::Word)
    {
        prose |= piece.case == Case::Small;
        if !piece.sense.common && !piece.opens {
            match piece.case {
                Case::Small => small += 1,
                _ => with += 1,
            }
        }
    }
    // Short questions may well be all name: "Who is Barack Obama?"
    prose && (small >= with || with <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        !Names::of(&Words::of(a)).differ(&Names::of(&Words::of(b)))
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
