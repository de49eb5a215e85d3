use bytes::Bytes;

use super::*;
use crate::llm::answer::AnswerFacts;
use crate::llm::meter::StreamMeter;
use crate::llm::replay::{Stamp, to_json, to_sse, with_usage};
use crate::llm::request::RequestView;
use crate::llm::sse::SseSplitter;
use crate::llm::usage::Usage;

/// Streams that end without the signs of a whole answer: two with an error event, two without any finish reason.
const NOT_WHOLE: [&str; 4] = [
    "test_groq/test_tool_use_failed_error_streaming.yaml#0",
    "test_groq/test_tool_use_failed_error_streaming_with_text.yaml#0",
    "test_snowflake/test_snowflake_model_streaming.yaml#0",
    "test_snowflake/test_snowflake_thinking_streaming.yaml#0",
];

/// A stream whose token limit fell into the input of a tool call, which then is no JSON.
const CUT_IN_A_CALL: &str = "anthropic_sdk_streams/incomplete_partial_json_response.txt";

/// A stream whose deltas were shortened by whoever recorded it; its last event has the whole text.
const SHORTENED: &str =
    "vercel_ai_recordings/openai/responses/openai-shell-container.1.chunks.txt.gz";

fn streams() -> Option<Vec<Recording>> {
    Some(
        load()?
            .into_iter()
            .filter(|one| one.streamed && one.status == 200)
            .collect(),
    )
}

fn answers() -> Option<Vec<Recording>> {
    Some(
        load()?
            .into_iter()
            .filter(|one| !one.streamed && one.status == 200)
            .collect(),
    )
}

fn metered(endpoint: Endpoint, stream: &[u8], chunk: usize) -> StreamMeter {
    let mut meter = StreamMeter::new(endpoint);
    stream.chunks(chunk).for_each(|chunk| {
        meter.push(chunk);
    });
    meter.end();
    meter
}

fn events(stream: &[u8]) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut splitter = SseSplitter::new(usize::MAX);
    let mut see = |event: crate::llm::sse::SseEvent<'_>| {
        seen.extend(serde_json::from_slice::<Value>(event.data))
    };
    splitter.push(stream, &mut see);
    splitter.finish(&mut see);
    seen
}

/// All the text a stream's reader would see, by the plainest possible reading.
fn text_of_stream(endpoint: Endpoint, stream: &[u8]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = |event: &Value| event["choices"].as_array().cloned().unwrap_or_default();
    let events = events(stream);
    match endpoint {
        Endpoint::ChatCompletions => events
            .iter()
            .flat_map(list)
            .map(|choice| text(&choice["delta"]["content"]))
            .collect(),
        Endpoint::Completions => events
            .iter()
            .flat_map(list)
            .map(|choice| text(&choice["text"]))
            .collect(),
        Endpoint::Messages => {
            let last = events
                .iter()
                .rposition(|event| event["type"] == "message_start")
                .unwrap_or(0);
            events[last..]
                .iter()
                .map(|event| text(&event["delta"]["text"]))
                .collect()
        }
        Endpoint::Responses => {
            let deltas = events
                .iter()
                .filter(|event| event["type"] == "response.output_text.delta");
            deltas.map(|event| text(&event["delta"])).collect()
        }
        Endpoint::Embeddings => String::new(),
    }
}

fn text_of_answer(endpoint: Endpoint, answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match endpoint {
        Endpoint::ChatCompletions => list(&answer["choices"])
            .iter()
            .map(|choice| text(&choice["message"]["content"]))
            .collect(),
        Endpoint::Completions => list(&answer["choices"])
            .iter()
            .map(|choice| text(&choice["text"]))
            .collect(),
        Endpoint::Messages => {
            let blocks = list(&answer["content"]);
            blocks
                .iter()
                .filter(|block| block["type"] == "text")
                .map(|block| text(&block["text"]))
                .collect()
        }
        Endpoint::Responses => {
            let parts = list(&answer["output"])
                .into_iter()
                .flat_map(|item| list(&item["content"]));
            parts
                .filter(|part| part["type"] == "output_text")
                .map(|part| text(&part["text"]))
                .collect()
        }
        Endpoint::Embeddings => String::new(),
    }
}

/// What an answer means: without nulls, and with numbers as far as a float holds them.
fn meaning(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            // Only streams number their tool calls; some servers do it in whole answers too.
            let number = |name: &str| name == "index" && fields.contains_key("function");
            let said = fields
                .iter()
                .filter(|(name, value)| !value.is_null() && !number(name));
            Value::Object(
                said.map(|(name, value)| (name.clone(), meaning(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(meaning).collect(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.12e}", number.as_f64().unwrap()).into()
        }
        other => other.clone(),
    }
}

type Checked = Result<(), String>;

/// Runs a check over recordings and tells all that fail it; at least `least` must be there to check.
fn check(recordings: Option<Vec<Recording>>, least: usize, each: impl Fn(&Recording) -> Checked) {
    let Some(recordings) = recordings else { return };
    let failed = recordings
        .iter()
        .filter_map(|one| each(one).err().map(|why| format!("{}: {why}", one.name)));
    let failed: Vec<_> = failed.collect();
    println!("{} recordings checked", recordings.len());
    assert!(
        recordings.len() >= least,
        "only {} of at least {least} recordings are there",
        recordings.len()
    );
    assert!(
        failed.is_empty(),
        "{} fail:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Equality that shows where two long values part.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Checked {
    if left == right {
        return Ok(());
    }
    let (left, right) = (format!("{left:?}"), format!("{right:?}"));
    let parts = left
        .bytes()
        .zip(right.bytes())
        .take_while(|(left, right)| left == right)
        .count();
    let near = |text: &str| {
        let from = text.floor_char_boundary(parts.saturating_sub(80));
        text[from..text.floor_char_boundary(parts + 120)].to_owned()
    };
    Err(format!(
        "{what}:\n  left  ..{}\n  right ..{}",
        near(&left),
        near(&right)
    ))
}

fn holds(what: &str, truth: bool) -> Checked {
    if truth {
        Ok(())
    } else {
        Err(format!("not {what}"))
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_recordings_are_there_and_are_read() {
    let Some(all) = load() else { return };
    let count = |endpoint, streamed| {
        all.iter()
            .filter(|recording| recording.endpoint == endpoint && recording.streamed == streamed)
            .count()
    };
    for endpoint in Endpoint::ALL {
        println!(
            "{endpoint:?}: {} answers, {} streams",
            count(endpoint, false),
            count(endpoint, true)
        );
    }
    println!("{} recordings read", all.len());
    assert!(
        !all.is_empty(),
        "the data folder exists, and no recording was found in it"
    );
}

#[test]
fn every_recorded_request_is_understood() {
    let is_request = |one: &Recording| one.request.is_some() && one.status == 200;
    let requests = load().map(|all| all.into_iter().filter(is_request).collect());
    check(requests, 1, |recording| {
        let request = Bytes::from(recording.request.clone().unwrap_or_default());
        let view =
            RequestView::parse(recording.endpoint, &request).map_err(|error| error.to_string())?;
        holds("named", view.model.is_some())?;
        holds("read", view.prompt_text_bytes > 0 || view.has_images)?;
        holds("streamed", view.stream || !recording.streamed)
    });
}

#[test]
fn every_recorded_stream_is_metered_to_its_end_however_it_is_cut() {
    check(streams(), 1, |recording| {
        let facts = |meter: &StreamMeter| {
            let model = meter.model().cloned();
            (
                meter.usage(),
                meter.output_tokens(),
                meter.finish(),
                model,
                meter.complete(),
            )
        };
        let whole = metered(recording.endpoint, &recording.answer, usize::MAX);
        let expected = !NOT_WHOLE.contains(&recording.name.as_str());
        same(&format!("complete {whole:?}"), &whole.complete(), &expected)?;
        let mut thorough = StreamMeter::thorough(recording.endpoint);
        thorough.push(&recording.answer);
        thorough.end();
        same("each event", &facts(&thorough), &facts(&whole))?;
        [1, 7, 1000].into_iter().try_for_each(|chunk| {
            same(
                "facts",
                &facts(&metered(recording.endpoint, &recording.answer, chunk)),
                &facts(&whole),
            )
        })
    });
}

#[test]
fn every_whole_stream_becomes_the_answer_it_spells_and_back() {
    check(streams(), 1, |recording| {
        let endpoint = recording.endpoint;
        let meter = metered(endpoint, &recording.answer, usize::MAX);
        let fallback = Usage {
            input_tokens: 3,
            cached_input_tokens: 1,
            output_tokens: 2,
        };
        let json = to_json(endpoint, &recording.answer, fallback);
        if !meter.complete() || recording.name == CUT_IN_A_CALL {
            return holds("refused", json.is_err());
        }
        let json = json.map_err(|error| error.to_string())?;
        let facts = AnswerFacts::of(endpoint, &json);
        holds("complete", facts.complete)?;
        same("finish", &facts.finish, &meter.finish())?;
        same(
            "usage",
            &facts.usage,
            &Some(meter.usage().unwrap_or(fallback)),
        )?;
        same("model", &facts.model.as_ref(), &meter.model())?;
        let spelt = text_of_answer(endpoint, &parsed(&json));
        if recording.name != SHORTENED {
            same("text", &spelt, &text_of_stream(endpoint, &recording.answer))?;
        }

        let sse = to_sse(endpoint, &json, true).map_err(|error| error.to_string())?;
        let replayed = metered(endpoint, &sse, 100);
        holds("complete again", replayed.complete())?;
        same(
            "facts again",
            &(replayed.usage(), replayed.finish()),
            &(facts.usage, facts.finish),
        )?;
        let again = to_json(endpoint, &sse, Usage::default()).map_err(|error| error.to_string())?;
        same(
            "meaning",
            &meaning(&parsed(&again)),
            &meaning(&parsed(&json)),
        )
    });
}

#[test]
fn every_whole_answer_becomes_a_stream_that_spells_it() {
    check(answers(), 1, |recording| {
        let endpoint = recording.endpoint;
        let facts = AnswerFacts::of(endpoint, &recording.answer);
        let sse = to_sse(endpoint, &recording.answer, true);
        if !facts.complete || endpoint == Endpoint::Embeddings {
            return holds("refused", sse.is_err());
        }
        let sse = sse.map_err(|error| error.to_string())?;
        let meter = metered(endpoint, &sse, 100);
        holds("complete", meter.complete())?;
        same("usage", &meter.usage(), &facts.usage)?;
        same(
            "finish",
            &(meter.finish(), meter.model()),
            &(facts.finish, facts.model.as_ref()),
        )?;
        let original = parsed(&recording.answer);
        same(
            "text",
            &text_of_stream(endpoint, &sse),
            &text_of_answer(endpoint, &original),
        )?;
        let again = to_json(endpoint, &sse, Usage::default()).map_err(|error| error.to_string())?;
        same("meaning", &meaning(&parsed(&again)), &meaning(&original))
    });
}

#[test]
fn recorded_answers_are_seen_to_be_whole_when_they_say_how_they_ended() {
    check(answers(), 1, |recording| {
        let facts = AnswerFacts::of(recording.endpoint, &recording.answer);
        let answer: Value = serde_json::from_slice(&recording.answer).unwrap_or_default();
        let said = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let ended = said(&answer["choices"][0]["finish_reason"])
            || said(&answer["stop_reason"])
            || answer["status"] == "completed"
            || answer["data"][0]["object"] == "embedding";
        same("complete", &facts.complete, &ended)
    });
}

#[test]
fn recorded_errors_are_never_whole_answers() {
    let errors = load().map(|all| all.into_iter().filter(|one| one.status != 200).collect());
    check(errors, 1, |recording| {
        let facts = AnswerFacts::of(recording.endpoint, &recording.answer);
        holds("incomplete", !facts.complete)?;
        holds(
            "refused",
            to_sse(recording.endpoint, &recording.answer, true).is_err(),
        )
    });
}

/// An answer, or the events of its stream, without what a new one has of its own.
fn without_stamps(recording: &Recording, answer: &[u8]) -> Vec<Value> {
    let mut parts = match recording.streamed {
        true => events(answer),
        false => vec![serde_json::from_slice(answer).unwrap_or_default()],
    };
    for part in &mut parts {
        let inner = match recording.endpoint {
            Endpoint::Messages if recording.streamed => part.get_mut("message"),
            Endpoint::Responses if recording.streamed => part.get_mut("response"),
            _ => Some(part),
        };
        if let Some(Value::Object(fields)) = inner {
            for name in ["id", "created", "created_at", "completed_at"] {
                fields.remove(name);
            }
        }
    }
    parts
}

#[test]
fn a_recorded_answer_gets_another_id_and_time_and_nothing_else() {
    let (random, later) = (
        7,
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 32),
    );
    let model = |one: &Recording| one.status == 200 && one.endpoint != Endpoint::Embeddings;
    let all: Option<Vec<_>> = load().map(|all| all.into_iter().filter(model).collect());
    let (mut renewed, total) = (0, all.as_ref().map_or(0, Vec::len));
    for one in all.iter().flatten() {
        let stamp = Stamp::of(one.endpoint, one.streamed, &one.answer);
        let id = stamp.is_some_and(|stamp| {
            let new = stamp.renew(&one.answer, random, later);
            String::from_utf8_lossy(&new).contains(&format!("{random:032x}\""))
        });
        renewed += usize::from(id);
        if !id {
            println!("keeps its id: {}", one.name);
        }
    }
    println!("{renewed} of {total} get another id");
    check(all, 1, |recording| {
        let Recording {
            endpoint, streamed, ..
        } = *recording;
        let Some(stamp) = Stamp::of(endpoint, streamed, &recording.answer) else {
            return Ok(());
        };
        let new = stamp.renew(&recording.answer, random, later);
        same(
            "the rest",
            &without_stamps(recording, &new),
            &without_stamps(recording, &recording.answer),
        )?;
        let Some(again) = Stamp::of(endpoint, streamed, &new) else {
            return Err("the new one has no places".to_owned());
        };
        // Bytes that carry no meaning stay as well.
        same(
            "bytes",
            &again.renew(&new, 1, std::time::UNIX_EPOCH),
            &stamp.renew(&recording.answer, 1, std::time::UNIX_EPOCH),
        )
    });
}

#[test]
fn a_recorded_stream_gets_and_loses_its_usage_chunk_and_nothing_else() {
    let fallback = Usage {
        input_tokens: 3,
        cached_input_tokens: 1,
        output_tokens: 2,
    };
    check(streams(), 1, |recording| {
        let endpoint = recording.endpoint;
        let without = with_usage(endpoint, &recording.answer, false, fallback);
        let with = with_usage(endpoint, &without, true, fallback);
        if !matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
            return same(
                "bytes",
                &(&without, &with),
                &(&recording.answer, &recording.answer),
            );
        }
        let is_usage = |event: &Value| {
            event["choices"] == Value::Array(Vec::new()) && event["usage"].is_object()
        };
        let kept: Vec<_> = events(&recording.answer)
            .into_iter()
            .filter(|event| !is_usage(event))
            .collect();
        same("kept", &events(&without), &kept)?;
        same(
            "twice",
            &with_usage(endpoint, &without, false, fallback),
            &without,
        )?;
        let meter = metered(endpoint, &with, usize::MAX);
        let told = kept
            .iter()
            .rev()
            .map(|event| event["usage"].to_string())
            .find(|usage| usage != "null");
        let left = told.map(|usage| format!("{{\"usage\":{usage}}}"));
        let left = left.and_then(|answer| Usage::of_answer(endpoint, answer.as_bytes()));
        same("usage", &meter.usage(), &Some(left.unwrap_or(fallback)))?;
        same(
            "complete",
            &meter.complete(),
            &metered(endpoint, &recording.answer, usize::MAX).complete(),
        )?;
        same(
            "text",
            &text_of_stream(endpoint, &with),
            &text_of_stream(endpoint, &recording.answer),
        )
    });
}

#[test]
fn the_json_test_suite_is_parsed_as_it_says() {
    if load().is_none() {
        return;
    }
    let cases = read(&folder().join("json_test_suite/cases.jsonl.gz")).unwrap_or_default();
    let mut checked = 0;
    for case in cases.lines().map(|line| parsed(line.as_bytes())) {
        let expected = &case["expect"];
        let document = base64(case["bytes_b64"].as_str().unwrap());
        let body = [br#"{"model":"m","messages":"#.as_slice(), &document, b"}"].concat();
        match RequestView::parse(Endpoint::ChatCompletions, &body.into()) {
            Ok(_) => assert_ne!(expected, "reject", "{}", case["file"]),
            Err(_) => assert_ne!(expected, "accept", "{}", case["file"]),
        }
        checked += 1;
    }
    println!("{checked} documents checked");
    assert!(
        checked > 0,
        "the data folder exists, and the suite was not found in it"
    );
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text
        .bytes()
        .filter_map(|byte| alphabet.iter().position(|digit| *digit == byte));
    let bits: String = digits.map(|digit| format!("{digit:06b}")).collect();
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')))
        .collect()
}
