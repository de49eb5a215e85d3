//! Reads a whole JSON answer: what it cost, and whether it is one to remember.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::scan::Odd;
use super::endpoint::{Dialect, Endpoint};
use super::finish::Finish;
use super::skim::{self, Skim, once};
use super::usage::{Reported, Usage};
use super::wire::{Choice, Filled, ResponseObject, Text, read};
use crate::util::names::shared;

/// What a JSON answer says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// Tokens, as reported.
    pub usage: Option<Usage>,
    /// How it ended; of several choices the worst end. Embeddings have none.
    pub finish: Option<Finish>,
    /// The server's word for it.
    pub finish_reason: Option<Arc<str>>,
    /// The model that answered, by its own word.
    pub model: Option<Arc<str>>,
    /// It is a whole answer of its endpoint and every choice ended properly. For embeddings: it has a `data` array.
    pub complete: bool,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    error: Filled,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

impl AnswerFacts {
    /// Reads an answer. What cannot be read is not complete.
    pub fn of(endpoint: Endpoint, answer: &[u8]) -> Self {
        let text = std::str::from_utf8(answer).ok();
        let chat = text.filter(|_| endpoint == Endpoint::ChatCompletions);
        chat.and_then(|text| Self::of_chat(text).ok())
            .unwrap_or_else(|| Self::read(endpoint, answer))
    }

    fn read(endpoint: Endpoint, answer: &[u8]) -> Self {
        match endpoint {
            Endpoint::Responses => read(answer).map(|answer| Self::of_response(&answer)),
            _ => read(answer).map(|answer| Self::of_answer(endpoint, &answer)),
        }
        .unwrap_or_default()
    }

    /// Reads the chat answer that nearly every server writes, in one walk. What it reads, [`Self::read`] reads alike.
    fn of_chat(answer: &str) -> Result<Self, Odd> {
        let (mut model, mut usage, mut ends) = (None, None, None);
        skim::object(answer, |skim, name| match name {
            "model" => once(&mut model, skim.text()?),
            "usage" => once(&mut usage, Reported::skim(skim)?),
            "choices" => once(&mut ends, Ends::skim(skim)?),
            "error" | "data" | "content" | "stop_reason" => Err(Odd),
            _ => skim.skip(),
        })?;
        let Ends { whole, worst } = ends.unwrap_or_default();
        let model = model.flatten().filter(|model| !model.is_empty());
        let usage = usage.flatten();
        Ok(Self {
            usage: usage.and_then(|usage| usage.usage(Dialect::OpenAi)),
            finish: worst.map(|(finish, _)| finish),
            finish_reason: worst.map(|(_, reason)| shared(reason)),
            model: model.map(shared),
            complete: whole && worst.is_some_and(|(finish, _)| finish.is_proper()),
        })
    }

    fn of_response(answer: &ResponseObject<'_>) -> Self {
        let (finish, reason) = answer.finish().unzip();
        Self {
            usage: usage(Endpoint::Responses, answer.usage),
            finish,
            finish_reason: reason.map(shared),
            model: owned(answer.model.as_ref()),
            complete: !answer.error.0
                && answer.output.is_some()
                && finish.is_some_and(Finish::is_proper),
        }
    }

    fn of_answer(endpoint: Endpoint, answer: &Answer<'_>) -> Self {
        let (ends, whole): (Vec<&str>, bool) = match endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => {
                let choices = answer.choices.as_deref().unwrap_or_default();
                let ends: Vec<_> = choices.iter().filter_map(Choice::reason).collect();
                let full = |choice: &Choice<'_>| choice.message.is_some() || choice.text.is_some();
                let whole =
                    !choices.is_empty() && ends.len() == choices.len() && choices.iter().all(full);
                (ends, whole)
            }
            Endpoint::Messages => (
                answer.stop_reason.iter().map(|reason| &*reason.0).collect(),
                is_array(answer.content),
            ),
            Endpoint::Embeddings | Endpoint::Responses => (Vec::new(), is_array(answer.data)),
        };
        let worst = ends
            .into_iter()
            .map(|reason| (Finish::of_reason(reason), reason))
            .max_by_key(|(end, _)| *end);
        let proper = match worst {
            Some((finish, _)) => finish.is_proper(),
            None => endpoint == Endpoint::Embeddings,
        };
        Self {
            usage: usage(endpoint, answer.usage),
            finish: worst.map(|(finish, _)| finish),
            finish_reason: worst.map(|(_, reason)| shared(reason)),
            model: owned(answer.model.as_ref()),
            complete: whole && proper && !answer.error.0,
        }
    }
}

/// How the choices of a chat answer ended.
#[derive(Default)]
struct Ends<'a> {
    /// There are some, and each has a message and an end.
    whole: bool,
    /// Of equals the last.
    worst: Option<(Finish, &'a str)>,
}

impl<'a> Ends<'a> {
    fn skim(skim: &mut Skim<'a>) -> Result<Self, Odd> {
        let (mut any, mut all) = (false, true);
        let mut worst: Option<(Finish, &str)> = None;
        skim.array(|skim| {
            let (mut reason, mut message, mut index) = (None, None, None);
            skim.object(|skim, name| match name {
                "finish_reason" => once(&mut reason, skim.text()?),
                "index" => once(&mut index, skim.count()?),
                "message" => {
                    let null = skim.null()?;
                    if !null {
                        skim.skip()?;
                    }
                    once(&mut message, !null)
                }
                "delta" | "text" => Err(Odd),
                _ => skim.skip(),
            })?;
            let end = reason.flatten().filter(|reason| !reason.is_empty());
            let end = end.map(|reason| (Finish::of_reason(reason), reason));
            any = true;
            all &= end.is_some() && message == Some(true);
            if let Some((finish, _)) = end
                && worst.is_none_or(|(known, _)| finish >= known)
            {
                worst = end;
            }
            Ok(())
        })?;
        Ok(Self {
            whole: any && all,
            worst,
        })
    }
}

fn usage(endpoint: Endpoint, raw: Option<&RawValue>) -> Option<Usage> {
    Reported::parse(raw?)?.usage(endpoint.dialect())
}

fn owned(text: Option<&Text<'_>>) -> Option<Arc<str>> {
    text.filter(|text| !text.0.is_empty())
        .map(|text| shared(&text.0))
}

fn is_array(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get().starts_with('['))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(endpoint: Endpoint, answer: &str) -> AnswerFacts {
        AnswerFacts::of(endpoint, answer.as_bytes())
    }

    #[test]
    fn a_chat_answer_is_complete_when_every_choice_ended() {
        let whole = r#"{"model":"m","choices":[{"message":{},"finish_reason":"stop"},{"message":{},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        let facts_of = facts(Endpoint::ChatCompletions, whole);
        assert!(facts_of.complete);
        assert_eq!(
            (facts_of.finish, facts_of.finish_reason.as_deref()),
            (Some(Finish::Length), Some("length"))
        );
        assert_eq!(
            (
                facts_of.model.as_deref(),
                facts_of.usage.map(Usage::total_tokens)
            ),
            (Some("m"), Some(7))
        );
        for broken in [
            "",
            "[]",
            r#"{"choices":[]}"#,
            r#"{"error":{"message":"x"}}"#,
            r#"{"choices":[{"message":{},"finish_reason":null}]}"#,
            r#"{"choices":[{"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{},"finish_reason":"stop"},{"message":{}}]}"#,
            r#"{"error":{"code":502},"choices":[{"message":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{},"finish_reason":"stop"}]"#,
        ] {
            assert!(
                !facts(Endpoint::ChatCompletions, broken).complete,
                "{broken}"
            );
        }
    }

    const FIELDS: [&str; 18] = [
        r#""id":"chatcmpl-1""#,
        r#""model":"m""#,
        r#""choices":[{"index":0,"message":{"role":"assistant","content":"a \"word\" \u00e4"},"logprobs":null,"finish_reason":"stop"}]"#,
        r#""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":null}"#,
        r#""model":"""#,
        r#""model":null"#,
        r#""error":null"#,
        r#""system_fingerprint":null"#,
        r#""choices":[]"#,
        r#""choices":[{"message":{},"finish_reason":"length"},{"message":{"content":null},"finish_reason":"max_tokens"}]"#,
        r#""choices":[{"message":null,"finish_reason":"stop","index":-1}]"#,
        r#""choices":[{"message":1.5e3,"finish_reason":""},{"finish_reason":null}]"#,
        r#""choices":[{"message":{},"finish_reason":"because","finish_reason":"stop"}]"#,
        r#""usage":null"#,
        r#""usage":{"prompt_tokens":30,"completion_tokens":4.0,"prompt_tokens_details":{"cached_tokens":16}}"#,
        r#""usage":{"input_tokens":30,"output_tokens":null,"prompt_tokens_details":null,"input_tokens_details":{"cached_tokens":16}}"#,
        r#""usage":{"prompt_tokens":null,"prompt_tokens":3}"#,
        r#""usage":{"prompt_tokens":12345678901234567890,"prompt_tokens_details":[1]}"#,
    ];

    proptest! {
        #[test]
        fn a_chat_answer_reads_the_same_in_one_walk(
            fields in prop::collection::vec(prop::sample::select(&FIELDS[..]), 0..6),
            changed in prop::option::of((0usize..400, r#"[\[\]{}:,"0-9e.\\ -]?"#)),
        ) {
            let mut answer = format!("{{{}}}", fields.join(","));
            if let Some((at, with)) = changed
                && at < answer.len()
            {
                answer.replace_range(at..=at, &with);
            }
            if let Ok(facts) = AnswerFacts::of_chat(&answer) {
                let read = AnswerFacts::read(Endpoint::ChatCompletions, answer.as_bytes());
                prop_assert_eq!(facts, read, "{}", answer);
            }
        }
    }

    #[test]
    fn the_usual_chat_answer_is_read_in_one_walk() {
        let answer = format!("{{{}}}", FIELDS[..4].join(","));
        let facts = AnswerFacts::of_chat(&answer).expect("usual");
        assert!(facts.complete);
        assert_eq!(facts.usage.map(Usage::total_tokens), Some(7));
    }

    #[test]
    fn the_other_endpoints_have_their_own_signs_of_an_end() {
        assert!(
            facts(
                Endpoint::Completions,
                r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#
            )
            .complete
        );
        assert!(
            facts(
                Endpoint::Messages,
                r#"{"content":[],"stop_reason":"end_turn"}"#
            )
            .complete
        );
        assert!(
            !facts(
                Endpoint::Messages,
                r#"{"type":"error","error":{"type":"api_error"}}"#
            )
            .complete
        );
        assert!(facts(Endpoint::Embeddings, r#"{"data":[{"embedding":[1.0]}]}"#).complete);
        assert!(!facts(Endpoint::Embeddings, r#"{"data":null}"#).complete);
        let response = facts(
            Endpoint::Responses,
            r#"{"status":"completed","error":null,"output":[{"type":"function_call"}]}"#,
        );
        assert_eq!(
            (response.complete, response.finish),
            (true, Some(Finish::ToolCalls))
        );
        assert!(
            !facts(
                Endpoint::Responses,
                r#"{"status":"in_progress","output":[]}"#
            )
            .complete
        );
    }
}
