//! Which requests may be answered by meaning at all.
//!
//! The vector sees the last user text only, so whatever else makes up the turn must be absent, and the text must be one
//! that the model reads whole: two long prompts with the same beginning look alike to it.

use super::guard::unspaced;

/// Most wordpieces of a question, the model's own two marks left out.
const MAX_PIECES: usize = 254;

/// Letters that a wordpiece of an English word has at least, on average.
const PIECE_LETTERS: usize = 4;

/// Temperature of a request that names none: the default of the APIs.
const DEFAULT_TEMPERATURE: f64 = 1.0;

/// What the decision rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Facts<'a> {
    /// Text of the last user turn.
    pub question: Option<&'a str>,
    /// Sampling temperature, if named.
    pub temperature: Option<f64>,
    /// Answers asked for, if named.
    pub n: Option<u64>,
    /// Whether any turn calls a tool or brings a tool's result.
    pub tool_turns: bool,
    /// Whether there are images, sound or files.
    pub media: bool,
    /// Whether log probabilities are asked for.
    pub logprobs: bool,
}

/// What the operator set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Fewest words of a question.
    pub min_words: usize,
    /// Highest sampling temperature; one that is not named counts as 1.
    pub max_temperature: f64,
}

/// Whether a request may be answered by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eligible {
    /// It may.
    Yes,
    /// It may not.
    No(Ineligible),
}

/// Why a request may not be answered by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ineligible {
    /// The last turn is not a user's text.
    NoQuestion,
    /// Too few words to mean one thing.
    TooShort,
    /// More text than the model reads.
    TooLong,
    /// Each answer is meant to differ.
    Temperature,
    /// More than one answer is asked for.
    SeveralAnswers,
    /// Tools are in play: like turns of an agent must not get the same answer.
    ToolTurns,
    /// Part of the question is not text.
    Media,
    /// Probabilities belong to one very prompt.
    Logprobs,
}

impl Ineligible {
    /// Short name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoQuestion => "no_question",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::Temperature => "temperature",
            Self::SeveralAnswers => "several_answers",
            Self::ToolTurns => "tool_turns",
            Self::Media => "media",
            Self::Logprobs => "logprobs",
        }
    }
}

/// Decides whether a request may be answered by meaning.
#[must_use]
pub fn eligible(facts: &Facts<'_>, bounds: Bounds) -> Eligible {
    let Some(question) = facts.question else {
        return Eligible::No(Ineligible::NoQuestion);
    };
    let temperature = facts.temperature.unwrap_or(DEFAULT_TEMPERATURE);
    let reason = if facts.tool_turns {
        Ineligible::ToolTurns
    } else if facts.media {
        Ineligible::Media
    } else if facts.logprobs {
        Ineligible::Logprobs
    } else if facts.n.unwrap_or(1) != 1 {
        Ineligible::SeveralAnswers
    } else if temperature > bounds.max_temperature || temperature.is_nan() {
        Ineligible::Temperature
    } else if words(question) < bounds.min_words.max(1) {
        Ineligible::TooShort
    } else if pieces(question) > MAX_PIECES {
        Ineligible::TooLong
    } else {
        return Eligible::Yes;
    };
    Eligible::No(reason)
}

/// Words of a text. In scripts without spaces, two characters make one.
fn words(text: &str) -> usize {
    let dense = text.chars().filter(|c| unspaced(*c)).count();
    let apart = text
        .split(|c: char| c.is_whitespace() || unspaced(c))
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .count();
    apart + dense.div_ceil(2)
}

/// Wordpieces of a text, rather too many than too few: one for each four letters begun of an ASCII word, one for each
/// mark and each character beyond ASCII. Stops counting once there are too many.
fn pieces(text: &str) -> usize {
    let (mut pieces, mut letters) = (0, 0);
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            pieces += usize::from(letters % PIECE_LETTERS == 0);
            letters += 1;
        } else {
            pieces += usize::from(!c.is_whitespace());
            letters = 0;
        }
        if pieces > MAX_PIECES {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Facts<'_> = Facts {
        question: Some("How do I reset my password?"),
        temperature: Some(0.0),
        n: None,
        tool_turns: false,
        media: false,
        logprobs: false,
    };

    fn up_to(max_temperature: f64) -> Bounds {
        Bounds {
            min_words: 1,
            max_temperature,
        }
    }

    fn no(facts: Facts<'_>) -> Ineligible {
        match eligible(&facts, up_to(1.0)) {
            Eligible::No(reason) => reason,
            Eligible::Yes => panic!("eligible: {facts:?}"),
        }
    }

    #[test]
    fn a_plain_question_is_eligible() {
        assert_eq!(eligible(&ASKED, up_to(0.0)), Eligible::Yes);
        assert_eq!(
            eligible(
                &Facts {
                    n: Some(1),
                    ..ASKED
                },
                up_to(0.0)
            ),
            Eligible::Yes
        );
    }

    #[test]
    fn each_obstacle_is_named() {
        assert_eq!(
            no(Facts {
                question: None,
                ..ASKED
            }),
            Ineligible::NoQuestion
        );
        assert_eq!(
            no(Facts {
                question: Some(" ?! "),
                ..ASKED
            }),
            Ineligible::TooShort
        );
        assert_eq!(
            no(Facts {
                tool_turns: true,
                ..ASKED
            }),
            Ineligible::ToolTurns
        );
        assert_eq!(
            no(Facts {
                media: true,
                ..ASKED
            }),
            Ineligible::Media
        );
        assert_eq!(
            no(Facts {
                logprobs: true,
                ..ASKED
            }),
            Ineligible::Logprobs
        );
        assert_eq!(
            no(Facts {
                n: Some(2),
                ..ASKED
            }),
            Ineligible::SeveralAnswers
        );
        assert_eq!(
            no(Facts {
                n: Some(0),
                ..ASKED
            }),
            Ineligible::SeveralAnswers
        );
        assert_eq!(
            no(Facts {
                temperature: Some(1.1),
                ..ASKED
            }),
            Ineligible::Temperature
        );
        assert_eq!(
            no(Facts {
                temperature: Some(f64::NAN),
                ..ASKED
            }),
            Ineligible::Temperature
        );
    }

    #[test]
    fn a_question_needs_as_many_words_as_the_operator_wants() {
        let least = |question, min_words| {
            let facts = Facts {
                question: Some(question),
                ..ASKED
            };
            let bounds = Bounds {
                min_words,
                ..up_to(1.0)
            };
            eligible(&facts, bounds) == Eligible::Yes
        };
        assert!(least("reset my password", 3) && !least("reset password - !", 3));
        assert!(least("重置我的密码", 3) && !least("密码", 3));
    }

    #[test]
    fn a_request_without_temperature_counts_as_one() {
        let facts = Facts {
            temperature: None,
            ..ASKED
        };
        assert_eq!(
            eligible(&facts, up_to(0.9)),
            Eligible::No(Ineligible::Temperature)
        );
        assert_eq!(eligible(&facts, up_to(1.0)), Eligible::Yes);
    }

    #[test]
    fn a_text_that_the_model_would_cut_off_is_too_long() {
        let just = "word ".repeat(MAX_PIECES);
        assert_eq!(
            eligible(
                &Facts {
                    question: Some(&just),
                    ..ASKED
                },
                up_to(1.0)
            ),
            Eligible::Yes
        );
        for long in [
            "word ".repeat(MAX_PIECES + 1),
            "x".repeat(2000),
            "語".repeat(300),
            "?".repeat(300) + " a",
        ] {
            assert_eq!(
                no(Facts {
                    question: Some(&long),
                    ..ASKED
                }),
                Ineligible::TooLong
            );
        }
    }
}
