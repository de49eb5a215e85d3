use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn raws(text: &str) -> Option<Vec<String>> {
    let inputs = Inputs::of(&body(text))?;
    let raw = |input: &Input| String::from_utf8(input.raw.to_vec()).unwrap();
    Some(inputs.each().iter().map(raw).collect())
}

fn digests(text: &str) -> Vec<[u8; 32]> {
    let inputs = Inputs::of(&body(text)).unwrap();
    inputs.each().iter().map(|input| input.digest).collect()
}

#[test]
fn every_form_of_input_comes_apart() {
    let cases: [(&str, &[&str]); 6] = [
        (r#"{"input":"one"}"#, &[r#""one""#]),
        (r#"{"input":["one", "two"]}"#, &[r#""one""#, r#""two""#]),
        (r#"{"input":[1, 2]}"#, &["[1, 2]"]),
        (r#"{"input":[[1,2],[3]]}"#, &["[1,2]", "[3]"]),
        (r#"{"input":["a",[7]]}"#, &[r#""a""#, "[7]"]),
        (
            r#"{"input":"old","model":"m","input":"new"}"#,
            &[r#""new""#],
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(raws(text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn what_is_no_list_of_texts_or_tokens_is_left_whole() {
    let many = format!(r#"{{"input":[{}"x"]}}"#, r#""x","#.repeat(4096));
    for text in [
        r#"{"model":"m"}"#,
        r#"{"input":null}"#,
        r#"{"input":[]}"#,
        r#"{"input":[[]]}"#,
        r#"{"input":7}"#,
        r#"{"input":[1.5]}"#,
        r#"{"input":[-1]}"#,
        r#"{"input":["a",1]}"#,
        r#"{"input":["a",null]}"#,
        r#"{"input":{"image":"x"}}"#,
        r#"{"input":[{"type":"text"}]}"#,
        r#"{"input":"\ud800"}"#,
        r#"{"input":"a""#,
        "[]",
        "",
        &many,
    ] {
        assert_eq!(raws(text), None, "{text:.60}");
    }
}

#[test]
fn inputs_that_say_the_same_have_one_digest_however_they_are_written() {
    assert_eq!(
        digests(r#"{"input":"caf\u00e9"}"#),
        digests(r#"{"input":["café"]}"#)
    );
    assert_eq!(
        digests(r#"{"input":[1,2]}"#),
        digests(r#"{"input":[ [ 1, 2 ] ]}"#)
    );
    let all = digests(r#"{"input":["a","A","a ","[1]","1",[1],[1,2],[12],[256],[0,1]]}"#);
    let different: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn a_request_for_some_inputs_is_the_request_otherwise() {
    let text = r#"{"model":"m","input":["a","b",[1, 2]],"dimensions":1.50,"x\"y":{"z":[1.0]}}"#;
    let inputs = Inputs::of(&body(text)).unwrap();
    assert_eq!(
        inputs.only(&[0, 2]),
        r#"{"model":"m","dimensions":1.50,"x\"y":{"z":[1.0]},"input":["a",[1, 2]]}"#
    );
    assert_eq!(
        inputs.frame(),
        r#"{"model":"m","dimensions":1.50,"x\"y":{"z":[1.0]}}"#
    );
    let bare = Inputs::of(&body(r#"{"input":"a"}"#)).unwrap();
    assert_eq!(
        (&*bare.frame(), &*bare.only(&[0])),
        (&b"{}"[..], &br#"{"input":["a"]}"#[..])
    );
}

const ANSWER: &str = r#"{"object":"list","data":[
    {"object":"embedding","index":0,"embedding":[0.10, -1e-7, 3]},
    {"index":1,"embedding":"AACAPw==","object":"embedding","extra":{"n":1.0}}],
  "model":"m-1","usage":{"prompt_tokens":7,"total_tokens":7}}"#;

#[test]
fn an_answer_comes_apart_and_together_again_digit_by_digit() {
    let vectors = Vectors::of(&body(ANSWER), 2).unwrap();
    assert_eq!((vectors.tokens, vectors.model.as_str()), (7, "m-1"));
    assert_eq!(
        vectors.items(),
        [
            r#"{"object":"embedding","embedding":[0.10, -1e-7, 3]}"#,
            r#"{"embedding":"AACAPw==","object":"embedding","extra":{"n":1.0}}"#
        ]
    );
    let items = || vectors.items().iter().rev().map(|item| &**item);
    let turned = r#"[{"embedding":"AACAPw==","object":"embedding","extra":{"n":1.0},"index":0},{"object":"embedding","embedding":[0.10, -1e-7, 3],"index":1}]"#;
    assert_eq!(
        vectors.with(items()),
        format!(
            r#"{{"object":"list","data":{turned},"model":"m-1","usage":{{"prompt_tokens":7,"total_tokens":7}}}}"#
        )
    );
    assert_eq!(
        whole("m\"1", items()),
        format!(
            r#"{{"object":"list","data":{turned},"model":"m\"1","usage":{{"prompt_tokens":0,"total_tokens":0}}}}"#
        )
    );
}

#[test]
fn an_answer_that_is_not_one_item_for_each_input_in_order_is_none() {
    assert!(Vectors::of(&body(ANSWER), 1).is_none());
    assert!(Vectors::of(&body(ANSWER), 3).is_none());
    let item = r#"{"index":0,"embedding":[1]}"#;
    for answer in [
        String::new(),
        "{}".into(),
        "[]".into(),
        r#"{"data":[]}"#.into(),
        r#"{"data":null}"#.into(),
        r#"{"data":[null]}"#.into(),
        r#"{"data":[{"index":0}]}"#.into(),
        r#"{"data":[{"embedding":[1]}]}"#.into(),
        r#"{"data":[{"index":1,"embedding":[1]}]}"#.into(),
        r#"{"data":[{"index":0.0,"embedding":[1]}]}"#.into(),
        r#"{"data":[{"index":0,"embedding":[]}]}"#.into(),
        r#"{"data":[{"index":0,"embedding":""}]}"#.into(),
        r#"{"data":[{"index":0,"embedding":null}]}"#.into(),
        r#"{"data":[{"index":0,"embedding":[null]}]}"#.into(),
        format!(r#"{{"data":[{item}],"error":{{"message":"x"}}}}"#),
        format!(r#"{{"data":[{item}],"data":[{item}]}}"#),
        format!(r#"{{"data":[{item}]"#),
    ] {
        assert!(Vectors::of(&body(&answer), 1).is_none(), "{answer}");
    }
    let good = format!(r#"{{"error":null,"data":[{item}]}}"#);
    assert!(Vectors::of(&body(&good), 1).is_some());
}

proptest! {
    #[test]
    fn shares_add_up(total in 0..1_000_000_u64, sizes in proptest::collection::vec(0..10_000_usize, 1..50)) {
        let shares = shares(total, &sizes);
        prop_assert_eq!(shares.len(), sizes.len());
        let sum: u64 = shares.iter().sum();
        let wanted = if sizes.iter().any(|size| *size > 0) { total } else { 0 };
        prop_assert_eq!(sum, wanted);
    }

    #[test]
    fn any_texts_come_apart_and_together_again(texts in proptest::collection::vec(".*", 1..8)) {
        let request = json!({ "model": "m", "input": texts }).to_string();
        let inputs = Inputs::of(&body(&request)).unwrap();
        let places: Vec<usize> = (0..texts.len()).collect();
        let again: Value = serde_json::from_slice(&inputs.only(&places)).unwrap();
        prop_assert_eq!(again, serde_json::from_str::<Value>(&request).unwrap());
    }

    #[test]
    fn whatever_comes_in_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = (Inputs::of(&bytes), Vectors::of(&bytes, 1));
    }
}
