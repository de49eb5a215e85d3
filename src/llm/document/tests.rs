use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(text: &[u8]) -> Result<Document, serde_json::Error> {
    Document::parse(&Bytes::copy_from_slice(text))
}

fn value(document: &Document) -> Value {
    serde_json::to_value(document.root()).unwrap()
}

#[test]
fn a_document_is_walked_as_it_was_written() {
    let document = read(br#"{"b": [1, -2, 3.5, "x", {"c": []}, true], "a": null}"#).unwrap();
    let root = document.root();
    let items: Vec<_> = root.get("b").unwrap().items().map(Node::kind).collect();
    assert_eq!(items[0], Kind::Number(Number::Unsigned(1)));
    assert_eq!(items[1], Kind::Number(Number::Negative(-2)));
    assert_eq!(items[2], Kind::Number(Number::Float(3.5)));
    assert_eq!(items[3], Kind::Text(b"x"));
    assert_eq!(items[5], Kind::Bool(true));
    assert!(root.get("a").unwrap().is_null() && root.get("c").is_none());
    let names: Vec<_> = root.fields().map(|(name, _)| name).collect();
    assert_eq!(names, [b"a", b"b"]);
}

#[test]
fn escapes_are_resolved_wherever_they_stand() {
    let document =
        read(r#"{"\u0061\n": "\"x\"", "plain": "\ud83d\ude00", "é": "\\"}"#.as_bytes()).unwrap();
    assert_eq!(
        value(&document),
        json!({"a\n": "\"x\"", "plain": "😀", "é": "\\"})
    );
}

#[test]
fn of_fields_with_one_name_the_last_is_there() {
    let document = read(br#"{"a":1,"b":{"x":1},"a":2,"\u0061":[3],"b":4}"#).unwrap();
    assert_eq!(value(&document), json!({"a": [3], "b": 4}));
    assert_eq!(document.root().fields().len(), 2);
}

#[test]
fn an_object_of_very_many_fields_is_read_in_good_time() {
    let fields: Vec<_> = (0..100_000_u32)
        .map(|n| format!("\"{}\":{n}", n.wrapping_mul(2_654_435_761) % 1000))
        .collect();
    let document = read(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
    assert_eq!(document.root().fields().len(), 1000);
}

#[test]
fn values_that_differ_are_not_equal() {
    for (a, b) in [
        ("1", "1.0"),
        ("[]", "{}"),
        ("[1]", "[1,1]"),
        ("\"a\"", "\"b\""),
    ] {
        assert_ne!(read(a.as_bytes()).unwrap(), read(b.as_bytes()).unwrap());
    }
    assert_eq!(
        read(b"[1, \"\\u0041\"]").unwrap(),
        read(b"[1,\"A\"]").unwrap()
    );
}

/// JSON, or nearly.
fn text() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\n\"",
        "\"é\"",
        "1",
        "-1",
        "-0",
        "1.5e3",
        "1e999",
        "18446744073709551616",
        "true",
        "null",
        " ",
        "\"",
        "\\",
        "tru",
    ]);
    prop::collection::vec(scrap, 0..24).prop_map(|scraps| scraps.concat())
}

fn objects() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["1", "\"x\"", "null", "\"\\t\"", "[]", "{}", "-0.0"]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(5, 64, 8, |inner| {
        let name = prop::sample::select(vec!["a", "b", "\\u0061", "é", "aa", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name, inner), 0..8).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", fields.join(" ,"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_document_says_what_serde_json_says(text in prop_oneof![text(), objects()]) {
        match (read(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(document), Ok(tree)) => prop_assert_eq!(value(&document), tree),
            (Err(ours), Err(theirs)) => prop_assert_eq!(ours.to_string(), theirs.to_string()),
            (ours, theirs) => prop_assert!(false, "{:?} but {:?}", ours, theirs),
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_as_serde_json_refuses_them(bytes: Vec<u8>) {
        let quoted = [b"\"", bytes.as_slice(), b"\""].concat();
        prop_assert_eq!(read(&quoted).is_ok(), serde_json::from_slice::<Value>(&quoted).is_ok());
    }
}
