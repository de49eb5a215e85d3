//! Token counts as servers report them.
//!
//! OpenAI counts cached tokens inside `prompt_tokens`; Anthropic counts them beside `input_tokens`. [`Usage`] always
//! has them inside.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::scan::Odd;
use super::endpoint::{Dialect, Endpoint};
use super::skim::{Skim, once};

/// Tokens of one exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// The part of them that came from the server's prefix cache.
    pub cached_input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
}

impl Usage {
    /// What a whole JSON answer reports; `None` when it reports nothing that can be read.
    pub fn of_answer(endpoint: Endpoint, answer: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }
        let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
        Reported::parse(answer.usage?)?.usage(endpoint.dialect())
    }

    /// Input and output together.
    pub fn total_tokens(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// One `usage` object, field by field, so that those of a stream can be laid over each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub(crate) struct Reported {
    prompt_tokens: Option<f64>,
    completion_tokens: Option<f64>,
    prompt_tokens_details: Option<Details>,
    prompt_cache_hit_tokens: Option<f64>,
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
    input_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<f64>,
    cache_creation_input_tokens: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
struct Details {
    cached_tokens: Option<f64>,
}

impl Details {
    fn skim(skim: &mut Skim<'_>) -> Result<Option<Self>, Odd> {
        if skim.null()? {
            return Ok(None);
        }
        let mut cached = None;
        skim.object(|skim, name| match name {
            "cached_tokens" => once(&mut cached, skim.count()?.map(|count| count as f64)),
            _ => skim.skip(),
        })?;
        Ok(Some(Self {
            cached_tokens: cached.flatten(),
        }))
    }
}

impl Reported {
    /// `None` when the object cannot be read.
    pub(crate) fn parse(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    /// Takes one from a walk over an answer; `None` is `null`.
    pub(super) fn skim(skim: &mut Skim<'_>) -> Result<Option<Self>, Odd> {
        if skim.null()? {
            return Ok(None);
        }
        const NUMBERS: [&str; 7] = [
            "prompt_tokens",
            "completion_tokens",
            "prompt_cache_hit_tokens",
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ];
        const DETAILS: [&str; 2] = ["prompt_tokens_details", "input_tokens_details"];
        let (mut numbers, mut details) = ([None; NUMBERS.len()], [None; DETAILS.len()]);
        skim.object(|skim, name| {
            if let Some(at) = NUMBERS.iter().position(|known| *known == name) {
                let number = skim.count()?.map(|count| count as f64);
                return once(&mut numbers[at], number);
            }
            if let Some(at) = DETAILS.iter().position(|known| *known == name) {
                let found = Details::skim(skim)?;
                return once(&mut details[at], found);
            }
            skim.skip()
        })?;
        let [
            prompt_tokens,
            completion_tokens,
            prompt_cache_hit_tokens,
            input_tokens,
            output_tokens,
            cache_read_input_tokens,
            cache_creation_input_tokens,
        ] = numbers.map(Option::flatten);
        let [prompt_tokens_details, input_tokens_details] = details.map(Option::flatten);
        Ok(Some(Self {
            prompt_tokens,
            completion_tokens,
            prompt_tokens_details,
            prompt_cache_hit_tokens,
            input_tokens,
            output_tokens,
            input_tokens_details,
            cache_read_input_tokens,
            cache_creation_input_tokens,
        }))
    }

    /// Lays a later report over this one: what it names replaces what was known.
    pub(crate) fn update(&mut self, later: Self) {
        *self = Self {
            prompt_tokens: later.prompt_tokens.or(self.prompt_tokens),
            completion_tokens: later.completion_tokens.or(self.completion_tokens),
            prompt_tokens_details: later.prompt_tokens_details.or(self.prompt_tokens_details),
            prompt_cache_hit_tokens: later
                .prompt_cache_hit_tokens
                .or(self.prompt_cache_hit_tokens),
            input_tokens: later.input_tokens.or(self.input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
            input_tokens_details: later.input_tokens_details.or(self.input_tokens_details),
            cache_read_input_tokens: later
                .cache_read_input_tokens
                .or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
        };
    }

    pub(crate) fn output_tokens(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens).map(count)
    }

    /// `None` when neither input nor output is named.
    pub(crate) fn usage(&self, dialect: Dialect) -> Option<Usage> {
        let input = self.prompt_tokens.or(self.input_tokens);
        if input.is_none() && self.output_tokens().is_none() {
            return None;
        }
        let input = count(input.unwrap_or(0.0));
        let (input_tokens, cached) = match dialect {
            Dialect::Anthropic => {
                let read = count(self.cache_read_input_tokens.unwrap_or(0.0));
                let written = count(self.cache_creation_input_tokens.unwrap_or(0.0));
                (input.saturating_add(read).saturating_add(written), read)
            }
            Dialect::OpenAi => {
                let details = self.prompt_tokens_details.or(self.input_tokens_details);
                let cached = details
                    .and_then(|details| details.cached_tokens)
                    .or(self.prompt_cache_hit_tokens);
                (input, count(cached.unwrap_or(0.0)))
            }
        };
        Some(Usage {
            input_tokens,
            cached_input_tokens: cached.min(input_tokens),
            output_tokens: self.output_tokens().unwrap_or(0),
        })
    }
}

/// Some servers write counts as floats, and a negative one means "unknown"; the cast saturates at zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(endpoint: Endpoint, usage: &str) -> Option<(u64, u64, u64)> {
        let answer = format!(r#"{{"id":"x","usage":{usage}}}"#);
        Usage::of_answer(endpoint, answer.as_bytes()).map(|usage| {
            (
                usage.input_tokens,
                usage.cached_input_tokens,
                usage.output_tokens,
            )
        })
    }

    #[test]
    fn openai_counts_cached_tokens_inside_the_prompt() {
        let chat = r#"{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":64}}"#;
        assert_eq!(usage(Endpoint::ChatCompletions, chat), Some((100, 64, 7)));
        let responses =
            r#"{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":3}}"#;
        assert_eq!(usage(Endpoint::Responses, responses), Some((9, 3, 2)));
        assert_eq!(
            usage(
                Endpoint::Embeddings,
                r#"{"prompt_tokens":8,"total_tokens":8}"#
            ),
            Some((8, 0, 0))
        );
    }

    #[test]
    fn anthropic_counts_cached_tokens_beside_the_input() {
        let messages = r#"{"input_tokens":10,"cache_read_input_tokens":50,"cache_creation_input_tokens":5,"output_tokens":3}"#;
        assert_eq!(usage(Endpoint::Messages, messages), Some((65, 50, 3)));
    }

    #[test]
    fn what_cannot_be_read_is_none_and_not_zero() {
        for nothing in ["null", "{}", "[]", "7", r#"{"prompt_tokens":"many"}"#] {
            assert_eq!(usage(Endpoint::ChatCompletions, nothing), None, "{nothing}");
        }
        assert_eq!(
            Usage::of_answer(Endpoint::ChatCompletions, b"not json"),
            None
        );
    }

    #[test]
    fn odd_numbers_stay_in_range() {
        let odd = r#"{"prompt_tokens":12.0,"completion_tokens":-1,"prompt_tokens_details":{"cached_tokens":1e300}}"#;
        assert_eq!(usage(Endpoint::ChatCompletions, odd), Some((12, 12, 0)));
    }
}
