use proptest::prelude::*;

use super::*;

fn metered(endpoint: Endpoint, stream: &str) -> StreamMeter {
    let mut meter = StreamMeter::new(endpoint);
    meter.push(stream.as_bytes());
    meter.end();
    meter
}

fn events(events: &[&str]) -> String {
    events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect()
}

const HELLO: &str = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"hello"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#;

#[test]
fn content_counts_one_token_an_event_until_usage_is_reported() {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    assert_eq!(meter.push(events(&[role]).as_bytes()), Progress::default());
    let first = meter.push(events(&[HELLO, HELLO]).as_bytes());
    assert_eq!(
        first,
        Progress {
            new_output_tokens: 2,
            first_content: true
        }
    );
    assert_eq!((meter.output_tokens(), meter.usage()), (2, None));
    let last = meter.push(events(&[STOP, USAGE, "[DONE]"]).as_bytes());
    assert_eq!(
        last,
        Progress {
            new_output_tokens: 3,
            first_content: false
        }
    );
    assert_eq!(
        meter.usage(),
        Some(Usage {
            input_tokens: 9,
            cached_input_tokens: 0,
            output_tokens: 5
        })
    );
    assert_eq!(
        (
            meter.model().map(|model| &**model),
            meter.finish_reason().map(|reason| &**reason),
            meter.complete()
        ),
        (Some("m"), Some("stop"), true)
    );
}

#[test]
fn reasoning_and_tool_calls_are_output_too() {
    for delta in [
        r#"{"reasoning_content":"hm"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"refusal":"no"}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
    ] {
        let chunk = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
        assert_eq!(
            metered(Endpoint::ChatCompletions, &events(&[&chunk])).output_tokens(),
            1,
            "{delta}"
        );
    }
}

#[test]
fn usage_beside_choices_counts() {
    let both = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":7}}"#;
    let meter = metered(Endpoint::ChatCompletions, &events(&[both, "[DONE]"]));
    assert_eq!(meter.usage().map(|usage| usage.output_tokens), Some(7));
    let groq = r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":8}}}"#;
    assert_eq!(
        metered(Endpoint::ChatCompletions, &events(&[groq])).output_tokens(),
        8
    );
}

#[test]
fn without_its_terminal_event_or_an_end_of_every_choice_an_answer_is_not_complete() {
    let chat = |list: &[&str]| metered(Endpoint::ChatCompletions, &events(list));
    assert!(chat(&[HELLO, STOP, "[DONE]"]).complete());
    assert!(!chat(&[HELLO, STOP]).complete());
    assert!(!chat(&[HELLO, "[DONE]"]).complete());
    assert!(!chat(&["[DONE]"]).complete());
    let second = r#"{"choices":[{"index":1,"delta":{"content":"hello"}}]}"#;
    assert!(!chat(&[HELLO, second, STOP, "[DONE]"]).complete());
    let odd = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"because"}]}"#;
    assert!(!chat(&[HELLO, odd, "[DONE]"]).complete());
    assert!(!chat(&[HELLO, "{broken", STOP, "[DONE]"]).complete());
}

#[test]
fn an_error_event_fails_the_stream_in_every_dialect() {
    let chat = metered(
        Endpoint::ChatCompletions,
        &events(&[HELLO, STOP, r#"{"error":{"message":"x"}}"#, "[DONE]"]),
    );
    assert!(chat.failed() && !chat.complete());
    let messages = metered(
        Endpoint::Messages,
        "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n",
    );
    assert!(messages.failed());
    let responses = metered(
        Endpoint::Responses,
        &events(&[r#"{"type":"error","code":"x"}"#]),
    );
    assert!(responses.failed());
    let failed =
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"x"}}}"#;
    assert!(metered(Endpoint::Responses, &events(&[failed])).failed());
    assert!(
        !metered(
            Endpoint::ChatCompletions,
            &events(&[r#"{"error":null,"choices":[]}"#])
        )
        .failed()
    );
}

#[test]
fn a_cut_answer_is_complete_but_no_natural_end() {
    let cut = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;
    let meter = metered(Endpoint::ChatCompletions, &events(&[HELLO, cut, "[DONE]"]));
    assert!(meter.complete());
    assert_eq!(meter.finish(), Some(Finish::Length));
    let incomplete = r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#;
    let meter = metered(Endpoint::Responses, &events(&[incomplete]));
    assert_eq!(
        (meter.complete(), meter.finish()),
        (true, Some(Finish::Length))
    );
}

#[test]
fn anthropic_usage_is_laid_together_from_its_two_events() {
    let start = r#"{"type":"message_start","message":{"model":"c","usage":{"input_tokens":34824,"output_tokens":1}}}"#;
    let delta =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3883,"output_tokens":49,"cache_read_input_tokens":30464}}"#;
    let mut meter = StreamMeter::new(Endpoint::Messages);
    assert_eq!(meter.push(events(&[start]).as_bytes()), Progress::default());
    assert_eq!(
        meter
            .push(events(&[delta, delta]).as_bytes())
            .new_output_tokens,
        2
    );
    let gone_now = Usage {
        input_tokens: 34824,
        cached_input_tokens: 0,
        output_tokens: 2,
    };
    assert_eq!(meter.usage(), Some(gone_now));
    meter.push(events(&[end, r#"{"type":"message_stop"}"#]).as_bytes());
    let whole = Usage {
        input_tokens: 34347,
        cached_input_tokens: 30464,
        output_tokens: 49,
    };
    assert_eq!((meter.usage(), meter.complete()), (Some(whole), true));
}

#[test]
fn a_last_event_without_its_blank_line_is_read_at_the_end() {
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
    meter.push(events(&[HELLO, STOP]).as_bytes());
    meter.push(b"data: [DONE]");
    assert!(!meter.complete());
    meter.end();
    assert!(meter.complete());
}

proptest! {
    #[test]
    fn progress_adds_up_and_no_bytes_make_the_meter_panic(
        events in prop::collection::vec(prop_oneof![
            Just(HELLO.to_owned()), Just(STOP.to_owned()), Just(USAGE.to_owned()), Just("[DONE]".to_owned()),
            Just(r#"{"type":"message_start","message":{"usage":{"input_tokens":1}}}"#.to_owned()),
            Just(r#"{"type":"content_block_delta","delta":{"text":"x"}}"#.to_owned()),
            Just(r#"{"type":"response.output_text.delta","delta":"x"}"#.to_owned()),
            "[\\PC]{0,30}",
        ], 0..20),
        chunk in 1usize..50,
    ) {
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        for endpoint in Endpoint::ALL {
            let mut meter = StreamMeter::new(endpoint);
            let (mut sum, mut firsts) = (0, 0);
            for chunk in stream.as_bytes().chunks(chunk) {
                let progress = meter.push(chunk);
                sum += progress.new_output_tokens;
                firsts += u32::from(progress.first_content);
                prop_assert!(sum >= meter.output_tokens());
            }
            prop_assert!(firsts <= 1);
            prop_assert!(sum == 0 || firsts == 1 || meter.usage().is_some());
            prop_assert!(!meter.complete() || (meter.ended() && !meter.failed() && meter.finish().is_some()));
        }
    }
}

/// One event of one of a few kinds, about a text and a number that change.
fn similar(text: &str, number: u64, kind: usize) -> String {
    let text = serde_json::Value::from(text);
    match kind {
        0..6 => format!(
            r#"{{"id":"a","model":"m","choices":[{{"index":0,"delta":{{"content":{text}}},"finish_reason":null}}]}}"#
        ),
        6 => format!(r#"{{"choices":[{{"index":{number},"delta":{{"content":{text}}}}}]}}"#),
        7 => format!(r#"{{"choices":[{{"index":0,"text":{text},"finish_reason":""}}]}}"#),
        8 => format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}}],"usage":{{"completion_tokens":{number}}}}}"#
        ),
        9 => format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":{text}}}]}}"#
        ),
        10 => format!(
            r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{number}],"content":{text}}}}}]}}"#
        ),
        11 => format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}},{{"index":1,"delta":{{"content":"y"}}}}]}}"#
        ),
        12 => format!(
            r#"{{"type":"content_block_delta","index":{number},"delta":{{"text":{text}}}}}"#
        ),
        13 => {
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"thinking":{text}}}}}"#)
        }
        14 => format!(r#"{{"type":"response.output_text.delta","delta":{text}}}"#),
        15 => r#"{"type":"message_start","message":{"usage":{"input_tokens":1}}}"#.to_owned(),
        16 => format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{number}\\"}}}}]}}"#),
        17 => format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}}}}],"error":{text}}}"#),
        _ => format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{number}"#),
    }
}

proptest! {
    #[test]
    fn an_event_known_again_counts_as_if_it_were_read_in_full(
        events in prop::collection::vec(
            (prop_oneof!["[a-z ]{0,3}", Just("\\\"\n".to_owned()), "[é\"\\\\\u{1}]{0,2}"], 0u64..3, 0usize..20),
            0..40,
        ),
    ) {
        for endpoint in Endpoint::ALL {
            let (mut quick, mut thorough) = (StreamMeter::new(endpoint), StreamMeter::thorough(endpoint));
            for (text, number, kind) in &events {
                let event = format!("data: {}\n\n", similar(text, *number, *kind));
                prop_assert_eq!(quick.push(event.as_bytes()), thorough.push(event.as_bytes()), "{}", event);
                let facts = |meter: &StreamMeter| (
                    meter.usage(), meter.finish(), meter.model().cloned(), meter.failed(), meter.state.unread(),
                );
                prop_assert_eq!(facts(&quick), facts(&thorough), "{}", event);
            }
        }
    }
}

#[test]
fn an_event_that_only_looks_alike_is_read_in_full() {
    let alike =
        |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
    let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
    meter.push(events(&[&alike("a"), &alike("b"), &alike("c\\n")]).as_bytes());
    assert_eq!(meter.output_tokens(), 3);
    // Another field hides in what would be the text, and ends the answer.
    let sly = alike(r#"x"},"finish_reason":"length","message":{"content":""#);
    meter.push(events(&[&sly]).as_bytes());
    assert_eq!(meter.finish_reason(), Some(&"length".into()));
    // Not JSON: a line feed, a bad escape, half a character.
    for broken in ["\u{1}", "\\x", "\\"] {
        let before = meter.state.unread();
        meter.push(events(&[&alike(broken)]).as_bytes());
        assert_eq!(meter.state.unread(), before + 1, "{broken:?}");
    }
}
