//! What a question says that its answer hangs on.

use super::Difference;
use super::denial::{self, Content};
use super::identifiers::identifiers;
use super::language::{self, Language, Script};
use super::lexicon::Side;
use super::names::Names;
use super::numbers::Counted;
use super::quotes;
use super::roles::{Asks, Person, Roles, asks};
use super::stretches;
use super::words::Words;

/// The facts of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    counted: Counted,
    denies: bool,
    content: Content,
    sides: Vec<Side>,
    quoted: Vec<String>,
    flat: String,
    identifiers: Vec<String>,
    names: Names,
    asks: Asks,
    roles: Roles,
    person: Person,
    script: Option<Script>,
    language: Option<Language>,
    code: Option<String>,
    unspaced: Vec<char>,
}

impl Facts {
    /// Reads a question. Takes a few microseconds for a short one, and grows with its length.
    #[must_use]
    pub fn of(question: &str) -> Self {
        let words = Words::of(question);
        let unspaced = stretches::characters(words.text());
        let script = language::script(words.text());
        Self {
            counted: Counted::of(&words),
            denies: denial::denies(&words) || stretches::denies(&unspaced),
            content: Content::of(&words),
            sides: sides(&words),
            quoted: quotes::quoted(&words),
            flat: quotes::flat(&words),
            identifiers: identifiers(question),
            names: Names::of(&words),
            asks: asks(&words),
            roles: Roles::of(&words),
            person: Person::of(&words),
            language: (script == Some(Script::Latin))
                .then(|| language::language(&words))
                .flatten(),
            script,
            code: quotes::code(question),
            unspaced,
        }
    }

    /// Whether the answer to one question may be that to the other.
    ///
    /// # Errors
    /// The first difference, in the order of [`Difference::ALL`].
    pub fn same(&self, other: &Self) -> Result<(), Difference> {
        match Difference::ALL
            .into_iter()
            .find(|rule| self.differs(other, *rule))
        {
            Some(difference) => Err(difference),
            None => Ok(()),
        }
    }

    /// Whether two questions differ by one rule. The order of the two never matters.
    #[must_use]
    pub fn differs(&self, other: &Self, rule: Difference) -> bool {
        match rule {
            Difference::Code => self.code != other.code,
            Difference::Language => {
                both(self.script, other.script) || both(self.language, other.language)
            }
            Difference::Identifiers => self.identifiers != other.identifiers,
            Difference::Quotes => !self.quotes_within(other) || !other.quotes_within(self),
            Difference::Numbers => self.counted.numbers_differ(&other.counted),
            Difference::Units => self.counted.units_differ(&other.counted),
            Difference::Dates => self.counted.dates_differ(&other.counted),
            Difference::Negation => {
                self.denies != other.denies && self.content.near(&other.content)
            }
            Difference::Opposites => opposed(&self.sides, &other.sides),
            Difference::Roles => self.roles.swapped(&other.roles),
            Difference::Names => {
                self.names.differ(&other.names)
                    || stretches::substituted(&self.unspaced, &other.unspaced)
            }
            Difference::Question => apart(self.asks, other.asks),
            Difference::Person => self.person.differs(other.person),
        }
    }

    /// Every span between quotes stands in the other text, with quotes or without.
    fn quotes_within(&self, other: &Self) -> bool {
        self.quoted
            .iter()
            .all(|span| other.flat.contains(span.as_str()))
    }
}

/// Both are known, and they are not the same.
fn both<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some() && b.is_some() && a != b
}

/// Sides of the text, one for each group, sorted; a group of which it names several has them all.
fn sides(words: &Words) -> Vec<Side> {
    let mut found: Vec<Side> = Vec::new();
    let mut note = |side: Side| match found.iter_mut().find(|known| known.group == side.group) {
        Some(known) => known.bit |= side.bit,
        None => found.push(side),
    };
    for (at, piece) in words.pieces().iter().enumerate() {
        if let Some(side) = piece.sense.side {
            note(side);
        }
        if let Some(side) = words.pair(at).and_then(|both| both.side) {
            note(side);
        }
    }
    found.sort_unstable();
    found
}

/// Whether the two name sides of one group and none in common.
fn opposed(a: &[Side], b: &[Side]) -> bool {
    a.iter().any(|mine| {
        b.iter()
            .any(|theirs| mine.group == theirs.group && mine.bit & theirs.bit == 0)
    })
}

/// Whether two kinds of question cannot have one answer.
fn apart(a: Asks, b: Asks) -> bool {
    a != b && a != Asks::Other && b != Asks::Other
}
