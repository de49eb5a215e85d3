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
    HowLong,
    HowOften,
    /// What, which, how, yes or no: not told apart.
    Other,
}

/// The question's kind, by the first question word.
pub(super) fn asks(words: &Words) -> Asks {
    let pieces = words.pieces();
    let said = |at: usize| {
        pieces
            .get(at)
            .map(|piece| words.said(piece))
            .unwrap_or_default()
    };
    for (at, piece) in pieces.iter().enumerate() {
        if piece.kind != Kind::Word {
            continue;
        }
        return match said(at) {
            "who" | "whom" | "whose" | "who's" | "wer" | "qui" | "quién" | "chi" => Asks::Who,
            "when" | "when's" | "wann" | "quand" | "cuándo" | "quando" => Asks::When,
            "where" | "where's" | "wo" | "où" | "dónde" | "dove" | "onde" => Asks::Where,
            "why" | "why's" | "warum" | "pourquoi" | "perché" => Asks::Why,
            "how" => match said(at + 1) {
                "many" | "much" => Asks::HowMany,
                "long" | "soon" => Asks::HowLong,
                "often" | "frequently" => Asks::HowOften,
                _ => Asks::Other,
            },
            "what" | "what's" | "which" | "wie" | "was" | "comment" | "cómo" => Asks::Other,
            _ => continue,
        };
    }
    Asks::Other
}

/// Words behind "from", "to" and "than".
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Roles {
    from: Option<String>,
    to: Option<String>,
    than: Option<String>,
    /// Stems of all words, in order.
    all: Vec<String>,
}

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
            .filter(|piece| piece.kind != Kind::Mark('-') && !matches!(piece.kind, Kind::Mark(_)))
            .map(|piece| stem(words.said(piece)))
            .collect();
        let behind = |at: usize| {
            spoken
                .get(at + 1..)?
                .iter()
                .find(|word| !SKIPPED.contains(word))
                .map(|word| (*word).to_owned())
        };
        for (at, word) in spoken.iter().enumerate() {
            match *word {
                "from" => roles.from = behind(at),
                "to" | "into" => roles.to = behind(at),
                "than" => roles.than = behind(at),
                _ => {}
            }
        }
        if roles.from.is_some() || roles.to.is_some() || roles.than.is_some() {
            roles.all = spoken.into_iter().map(str::to_owned).collect();
        }
        roles
    }

    /// Whether one has swapped what the other has.
    pub(super) fn swapped(&self, other: &Self) -> bool {
        let crossed = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let (from_to, to_from) = (
            crossed(&self.from, &other.to),
            crossed(&self.to, &other.from),
        );
        let than = match (&self.than, &other.than) {
            (Some(mine), Some(theirs)) => {
                mine != theirs && self.all.contains(theirs) && other.all.contains(mine)
            }
            _ => false,
        };
        let moved = self.from != other.from || self.to != other.to;
        than || (moved && (from_to || to_from))
    }
}

/// Whose things a text speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Person {
    mine: bool,
    yours: bool,
    /// "You" beside "your" is anybody: "how do you change your password".
    anybody: bool,
}

impl Person {
    /// Reads a text.
    pub(super) fn of(words: &Words) -> Self {
        let mut person = Self::default();
        for piece in words.pieces() {
            match words.said(piece) {
                "my" | "mine" | "i" | "i'm" | "me" | "i've" => person.mine = true,
                "your" | "yours" => person.yours = true,
                "you" | "one" => person.anybody = true,
                _ => {}
            }
        }
        person
    }

    /// Whether one speaks of mine alone and the other of yours alone.
    pub(super) fn differs(self, other: Self) -> bool {
        let only_mine = |person: Self| person.mine && !person.yours;
        let only_yours = |person: Self| person.yours && !person.mine && !person.anybody;
        (only_mine(self) && only_yours(other)) || (only_yours(self) && only_mine(other))
    }
}
