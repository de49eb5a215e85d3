//! The lexical guard: what two questions must have in common before one's answer may be given to the other.
//!
//! Vectors are blind to small words that change everything: "before" and "after", "France" and "Italy", "7" and "8". The
//! guard reads both questions without a model, and any difference it can name is a miss:
//!
//! ```text
//!  question ─► Words ─► Facts: numbers, units, dates, negation, opposites, direction, quotes, identifiers, names,
//!                              question word, person, language, code
//!  Facts ─ same ─ Facts  ─►  Ok, or the first Difference
//! ```
//!
//! It needs evidence: a text that it cannot read (another script, no capital letters) has fewer facts and passes more
//! easily. What each rule costs and catches is measured in `docs/eval-cache.md`.

mod denial;
mod facts;
mod identifiers;
mod language;
mod lexicon;
mod names;
mod numbers;
mod quotes;
mod roles;
mod stretches;
mod tables;
mod words;

pub use facts::Facts;
pub(super) use words::unspaced;

/// What differs between two questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// Program text.
    Code,
    /// The script, or the language in one script.
    Language,
    /// URLs, addresses, paths, flags, names with underscores or dots.
    Identifiers,
    /// What stands between quotes.
    Quotes,
    /// Numbers in digits or words, and the operators between them.
    Numbers,
    /// Units and currencies.
    Units,
    /// Months, weekdays, today and tomorrow.
    Dates,
    /// One says no.
    Negation,
    /// Opposites and kinds that exclude each other: before and after, more and less, red and blue.
    Opposites,
    /// What comes from where and goes where.
    Roles,
    /// Names of people, places, companies, products.
    Names,
    /// Who, when, where, why, how many.
    Question,
    /// Mine or yours.
    Person,
}

impl Difference {
    /// Every rule, in the order in which they are looked at.
    pub const ALL: [Self; 13] = [
        Self::Code,
        Self::Language,
        Self::Identifiers,
        Self::Quotes,
        Self::Numbers,
        Self::Units,
        Self::Dates,
        Self::Negation,
        Self::Opposites,
        Self::Roles,
        Self::Names,
        Self::Question,
        Self::Person,
    ];

    /// Short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "guard_code",
            Self::Language => "guard_language",
            Self::Identifiers => "guard_identifiers",
            Self::Quotes => "guard_quotes",
            Self::Numbers => "guard_numbers",
            Self::Units => "guard_units",
            Self::Dates => "guard_dates",
            Self::Negation => "guard_negation",
            Self::Opposites => "guard_opposites",
            Self::Roles => "guard_roles",
            Self::Names => "guard_names",
            Self::Question => "guard_question",
            Self::Person => "guard_person",
        }
    }
}

#[cfg(test)]
mod tests;
