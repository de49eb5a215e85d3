//! Who does what to whom, as far as small words show it: from and to, than, and mine and yours; and what is asked.

use super::words::{Kind, Words, stem};

/// What a question wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Who,
    When,
    Where,
    Why,
    HowMany,
    HowOften,
    /// What, which, how, yes or no: not told apart.
    Other,
}

/// Words behind "when" that make it a question: "when I" begins a statement.
const ASKING: [&str; 16] = [
    "is", "are", "was", "were", "do", "does", "did", "will", "would", "can", "could", "should",
    "has", "have", "had", "may",
];

/// The question's kind, by a question word with which a sentence begins.
pub(super) fn asks(words: &Words) -> Asks {
    let pieces = words.pieces();
    let said = |at: usize| {
        pieces
            .get(at)
            .map(|piece| words.said(piece))
            .unwrap_or_default()
    };
    for (at, _) in pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| piece.opens && piece.kind == Kind::Word)
    {
        return match said(at) {
            "who" | "whom" | "whose" | "who's" | "wer" | "qui" | "quién" | "chi" => Asks::Who,
            "when" if !ASKING.contains(&said(at + 1)) => continue,
            "when" | "when's" | "wann" | "quand" | "cuándo" | "quando" => Asks::When,
            "where" | "where's" | "wo" | "où" | "dónde" | "dove" | "onde" => Asks::Where,
            "why" | "why's" | "warum" | "pourquoi" | "perché" => Asks::Why,
            "how" => match said(at + 1) {
                "many" | "much" if said(at + 2) != "longer" => Asks::HowMany,
                "often" | "frequently" => Asks::HowOften,
                _ => Asks::Other,
            },
            "what" | "what's" | "which" | "wie" | "was" | "comment" | "cómo" => Asks::Other,
            _ => continue,
        };
    }
    Asks::Other
}

/// Words beside "from", "to" and "than".
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Roles {
    from: Option<String>,
    /// The words before and behind "to".
    to: Option<(String, String)>,
    than: Option<String>,
    /// Stems of all words, in order.
    all: Vec<String>,
}

/// Words between "from" and what it means.
const SKIPPED: [&str; 12] = [
    "the", "a", "an", "my", "your", "his", "her", "our", "their", "its", "this", "that",
];

impl Roles {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let mut roles = Self::default();
        let spoken: Vec<&str> = words
            .pieces()
            .iter()
            .filter(|piece| matches!(piece.kind, Kind::Word | Kind::Number))
            .map(|piece| stem(words.said(piece)))
            .collect();
        let plain = |word: &&&str| !SKIPPED.contains(*word);
        for (at, word) in spoken.iter().enumerate() {
            let (before, behind) = (spoken.get(..at), spoken.get(at + 1..));
            let Some(behind) = behind.and_then(|words| words.iter().find(plain)) else {
                continue;
            };
            let behind = (*behind).to_owned();
            let before = before.and_then(|words| words.iter().rfind(plain));
            match *word {
                "from" => roles.from = Some(behind),
                "to" | "into" => {
                    roles.to = Some((before.map_or("", |word| *word).to_owned(), behind));
                }
                "than" => roles.than = Some(behind),
                _ => {}
            }
        }
        if roles.than.is_some() {
            roles.all = spoken.into_iter().map(str::to_owned).collect();
        }
        roles
    }

    /// Whether one has swapped what the other has.
    pub(super) fn swapped(&self, other: &Self) -> bool {
        self.compared(other) || self.turned(other) || self.crossed(other) || other.crossed(self)
    }

    /// "Gold than lead" and "lead than gold".
    fn compared(&self, other: &Self) -> bool {
        match (&self.than, &other.than) {
            (Some(mine), Some(theirs)) => {
                mine != theirs && self.all.contains(theirs) && other.all.contains(mine)
            }
            _ => false,
        }
    }

    /// "Francs to pesos" and "pesos to francs".
    fn turned(&self, other: &Self) -> bool {
        match (&self.to, &other.to) {
            (Some(mine), Some(theirs)) => {
                mine.0 == theirs.1 && mine.1 == theirs.0 && mine.0 != mine.1
            }
            _ => false,
        }
    }

    /// "From Lima" and "to Lima".
    fn crossed(&self, other: &Self) -> bool {
        let goal = |roles: &Self| roles.to.as_ref().map(|(_, behind)| behind.clone());
        let theirs = goal(other);
        self.from.is_some()
            && self.from == theirs
            && goal(self) != theirs
            && other.from != self.from
    }
}

/// Whose things a text asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    Mine,
    Yours,
    /// Nobody's, or anybody's: "how do you change your password".
    Nobody,
}

/// Words between which and "name" a "my" or "your" decides: "what is your name".
const BEING: [&str; 10] = [
    "is", "are", "was", "were", "what's", "who's", "where's", "when's", "how's", "what're",
];

impl Person {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let pieces = words.pieces();
        let owner =
            pieces
                .iter()
                .zip(pieces.iter().skip(1))
                .find_map(|(before, piece)| match words.said(piece) {
                    _ if !BEING.contains(&words.said(before)) => None,
                    "my" => Some(Self::Mine),
                    "your" => Some(Self::Yours),
                    _ => None,
                });
        owner.unwrap_or(Self::Nobody)
    }

    /// Whether one asks about mine and the other about yours.
    pub(super) fn differs(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Mine, Self::Yours) | (Self::Yours, Self::Mine)
        )
    }
}
