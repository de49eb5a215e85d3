mod reference;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const PARTITION: [&str; 3] = ["key:acme", "route-1", "pool"];

fn read(text: &str) -> Document {
    Document::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn id(body: &Value) -> Identity {
    ask(body, None)
}

fn ask(body: &Value, question: Option<&str>) -> Identity {
    identify(&body.to_string(), question).unwrap()
}

fn identify(body: &str, question: Option<&str>) -> Result<Identity, Unkeyable> {
    Identity::of(&KeyParts {
        partition: &PARTITION,
        body: &read(body),
        question,
    })
}

fn chat(system: &str, user: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}]})
}

#[test]
fn fields_that_cannot_change_the_answer_are_ignored() {
    let mut body = chat("s", "u");
    let plain = id(&body);
    for (name, value) in [
        ("user", json!("u1")),
        ("metadata", json!({"a": 1})),
        ("stream", json!(true)),
        ("stream_options", json!({"include_usage": true})),
        ("cache", json!({"no-cache": true})),
    ] {
        body[name] = value;
    }
    assert_eq!(id(&body), plain);
}

#[test]
fn ignored_names_count_anywhere_but_at_the_top() {
    let a = json!({"model": "m", "tools": [{"user": "a"}]});
    let b = json!({"model": "m", "tools": [{"user": "b"}]});
    assert_ne!(id(&a).exact, id(&b).exact);
}

#[test]
fn parameters_unknown_to_tollgate_count() {
    let mut body = chat("s", "u");
    let plain = id(&body);
    body["some_new_parameter"] = json!(null);
    assert_ne!(id(&body).exact, plain.exact);
    assert_ne!(id(&body).compat, plain.compat);
}

#[test]
fn each_part_of_the_partition_separates() {
    let body = read(&chat("s", "u").to_string());
    let of = |partition: &[&str]| {
        Identity::of(&KeyParts {
            partition,
            body: &body,
            question: None,
        })
        .unwrap()
    };
    let plain = of(&["a", "b"]);
    for other in [
        &["a", "c"] as &[&str],
        &["ab", ""],
        &["", "ab"],
        &["a", "b", ""],
        &["b", "a"],
        &["a"],
    ] {
        assert_ne!(of(other).exact, plain.exact, "{other:?}");
        assert_ne!(of(other).compat, plain.compat, "{other:?}");
    }
}

#[test]
fn only_the_last_user_text_leaves_the_class_alone() {
    let a = ask(&chat("be kind", "hello there"), Some("hello there"));
    let b = ask(&chat("be kind", "good morning"), Some("good morning"));
    let c = ask(&chat("be rude", "hello there"), Some("hello there"));
    assert_eq!(a.compat, b.compat);
    assert_ne!(a.exact, b.exact);
    assert_ne!(a.compat, c.compat);
    assert_eq!(a.question.as_deref(), Some("hello there"));
}

#[test]
fn every_wire_format_has_its_last_user_text_found() {
    let bodies = [
        json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "TEXT"}]}]}),
        json!({"messages": [{"role": "user", "content": "TEXT"}]}),
        json!({"input": "TEXT"}),
        json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "TEXT"}]}]}),
        json!({"prompt": "TEXT"}),
    ];
    for body in bodies {
        let other: Value =
            serde_json::from_str(&body.to_string().replace("TEXT", "another")).unwrap();
        let (a, b) = (ask(&body, Some("TEXT")), ask(&other, Some("another")));
        assert_eq!(a.compat, b.compat, "{body}");
        assert_ne!(a.exact, b.exact, "{body}");
        assert!(a.question.is_some() && b.question.is_some(), "{body}");
    }
}

#[test]
fn a_question_of_many_parts_is_left_out_whole() {
    let with = |text: &str| {
        let parts: Vec<_> = (0..20_000)
            .map(|n| json!({"text": format!("{text}{n}"), "type": "text", "a": "b"}))
            .collect();
        json!({"messages": [{"content": parts, "role": "user"}]})
    };
    assert_eq!(id(&with("one")).compat, id(&with("two")).compat);
    assert_ne!(id(&with("one")).exact, id(&with("two")).exact);
}

#[test]
fn a_turn_that_is_not_the_users_has_no_question() {
    let bodies = [
        json!({"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "q"}]}),
        json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "q"}]}),
        json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "q"}]}]}),
        json!({"prompt": ["q", "q"]}),
        json!({"messages": []}),
        json!("q"),
    ];
    for body in bodies {
        assert_eq!(ask(&body, Some("q")).question, None, "{body}");
    }
}

#[test]
fn a_question_that_is_not_the_text_left_out_is_refused() {
    assert_eq!(ask(&chat("s", "one"), Some("two")).question, None);
    let parts = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]});
    assert!(ask(&parts, Some("one\ntwo")).question.is_some());
    assert_eq!(ask(&parts, Some("one")).question, None);
}

#[test]
fn numbers_that_differ_never_share_a_key() {
    let texts = [
        "0",
        "-0",
        "0.0",
        "1",
        "18446744073709551615",
        "18446744073709551614",
        "9007199254740993",
        "0.1",
    ];
    let keys: std::collections::HashSet<_> = texts
        .iter()
        .map(|text| {
            identify(&format!("{{\"seed\":{text}}}"), None)
                .unwrap()
                .exact
        })
        .collect();
    // "-0" and "0.0" are each a number of their own.
    assert_eq!(keys.len(), texts.len());
}

#[test]
fn numbers_that_the_reader_may_round_have_no_key() {
    for text in ["18446744073709551616", "-18446744073709551617", "1e300"] {
        let got = identify(&format!("{{\"seed\":{text}}}"), None);
        assert_eq!(got, Err(Unkeyable::HugeNumber), "{text}");
    }
}

#[test]
fn of_fields_with_one_name_the_last_counts_and_the_others_do_not() {
    let id = |text| identify(text, None).unwrap();
    let plain = id(r#"{"a":{"x":1,"y":2},"b":[3]}"#);
    let doubled = r#"{"b":0,"a":{"y":[{"y":7}],"x":5,"y":2,"x":1},"\u0062":[3]}"#;
    assert_eq!(id(doubled), plain);
    assert_ne!(id(r#"{"a":{"x":1,"y":2},"b":[3],"b":0}"#), plain);
}

#[test]
fn long_lists_of_small_things_keep_their_keys() {
    let many = |last: u32| json!({"prompt": (0..50_000).chain([last]).collect::<Vec<_>>()});
    let (exact, compat) = reference::keys(&PARTITION, &many(1)).unwrap();
    assert_eq!((id(&many(1)).exact, id(&many(1)).compat), (exact, compat));
    assert_ne!(id(&many(2)).exact, exact);
}

#[test]
fn moving_text_between_the_class_and_the_question_changes_the_key() {
    let a = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]}]});
    let b = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "bc"}]}]});
    assert_ne!(id(&a).exact, id(&b).exact);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_000..1_000_000i32).prop_map(|n| Value::from(f64::from(n) / 64.0)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Requests as clients send them, of all sizes and now and then a little off.
fn any_turns() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".{0,12}", "[a-z\"\\\\\n]{0,9000}"];
    let part = (
        prop::sample::select(vec!["text", "input_text", "image"]),
        text.clone(),
    )
        .prop_map(|(kind, text)| json!({"type": kind, "text": text}));
    let content = prop_oneof![
        text.prop_map(Value::from),
        prop::collection::vec(part, 0..12).prop_map(Value::from),
        any_json(),
    ];
    let role = prop::sample::select(vec!["user", "assistant", "tool"]);
    let turn =
        (role, content).prop_map(|(role, content)| json!({"role": role, "content": content}));
    let field = prop::sample::select(vec!["messages", "input", "prompt", "user"]);
    (field, prop::collection::vec(turn, 0..4), any_json()).prop_map(|(field, turns, other)| {
        json!({field: turns, "model": "m", "temperature": 0.1, "other": other})
    })
}

/// The same value as text, with each object's keys in reverse and space wherever JSON allows it.
fn spread(value: &Value) -> String {
    match value {
        Value::Array(items) => format!(
            "[ {} ]",
            items.iter().map(spread).collect::<Vec<_>>().join(" ,\n")
        ),
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .rev()
                .map(|(k, v)| format!("{} :\t{}", json!(k), spread(v)))
                .collect();
            format!("{{ {} }}", fields.join(" , "))
        }
        leaf => leaf.to_string(),
    }
}

proptest! {
    #[test]
    fn order_of_keys_and_whitespace_do_not_matter(body in any_json()) {
        let text = spread(&body);
        prop_assert_eq!(read(&text), read(&body.to_string()));
        prop_assert_eq!(identify(&text, None).unwrap(), id(&body));
    }

    #[test]
    fn the_key_is_that_of_its_first_definition(body in prop_oneof![any_json(), any_turns()]) {
        for text in [spread(&body), body.to_string()] {
            let (exact, compat) = reference::keys(&PARTITION, &body).unwrap();
            let id = identify(&text, None).unwrap();
            prop_assert_eq!((id.exact, id.compat), (exact, compat), "{}", text);
        }
    }

    #[test]
    fn different_values_have_different_keys(a in any_json(), b in any_json()) {
        let (left, right) = (id(&json!({"x": a})), id(&json!({"x": b})));
        prop_assert_eq!(left.exact == right.exact, a == b);
        prop_assert_eq!(left.compat == right.compat, a == b);
    }

    #[test]
    fn any_change_of_a_leaf_changes_the_key(body in any_json(), at in any::<prop::sample::Index>()) {
        let mut leaves = 0;
        count_leaves(&body, &mut leaves);
        prop_assume!(leaves > 0);
        let mut changed = body.clone();
        let mut left = at.index(leaves);
        change_leaf(&mut changed, &mut left);
        prop_assert_ne!(id(&json!({"x": changed})).exact, id(&json!({"x": body})).exact);
    }
}

fn count_leaves(value: &Value, count: &mut usize) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| count_leaves(item, count)),
        Value::Object(fields) => fields.values().for_each(|item| count_leaves(item, count)),
        _ => *count += 1,
    }
}

fn change_leaf(value: &mut Value, left: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change_leaf(item, left)),
        Value::Object(fields) => fields.values_mut().for_each(|item| change_leaf(item, left)),
        leaf => {
            if *left == 0 {
                *leaf = match leaf {
                    Value::String(text) => json!(format!("{text} ")),
                    Value::Null => json!(false),
                    Value::Bool(b) => json!(!*b),
                    ref other => json!(other.to_string()),
                };
            }
            *left = left.wrapping_sub(1);
        }
    }
}

#[test]
fn an_input_is_known_by_its_request_and_itself() {
    let frame = |exact: u8| Identity {
        exact: [exact; 32],
        compat: [9; 32],
        question: None,
    };
    let one = frame(1).of_input(&[1; 32]);
    assert_eq!(one, frame(1).of_input(&[1; 32]));
    let others = [
        frame(1),
        frame(1).of_input(&[2; 32]),
        frame(2).of_input(&[1; 32]),
        one.of_input(&[1; 32]),
    ];
    assert!(others.iter().all(|other| other.exact != one.exact));
}
