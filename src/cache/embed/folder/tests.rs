use super::*;

fn said(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn both_forms_of_a_pooling_are_read_and_unknown_ones_named() {
    let old = r#"{ "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": false }"#;
    let cases = [
        (old, Ok(Pooling::Mean)),
        (r#"{ "pooling_mode_cls_token": true }"#, Ok(Pooling::Cls)),
        (
            r#"{ "pooling_mode_lasttoken": true }"#,
            Ok(Pooling::LastToken),
        ),
        (r#"{ "pooling_mode": "cls" }"#, Ok(Pooling::Cls)),
        (r#"{ "pooling_mode": ["mean"] }"#, Ok(Pooling::Mean)),
        ("{}", Ok(Pooling::Mean)),
        (r#"{ "pooling_mode_max_tokens": true }"#, Err("max_tokens")),
        (
            r#"{ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }"#,
            Err("cls_token and mean_tokens"),
        ),
    ];
    for (text, wanted) in cases {
        match (pooling(&said(text)), wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{text}"),
            (Err(why), Err(word)) => assert!(why.contains(word), "{why}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn of_several_prompts_the_default_comes_first_then_the_one_for_like_sentences() {
    let prompts = r#""prompts": { "query": "q ", "STS": "s ", "document": "d " }"#;
    let cases = [
        (
            format!("{{ {prompts}, \"default_prompt_name\": \"document\" }}"),
            Some("d "),
        ),
        (
            format!("{{ {prompts}, \"default_prompt_name\": null }}"),
            Some("s "),
        ),
        (r#"{ "prompts": { "query": "q " } }"#.into(), Some("q ")),
        (r#"{ "prompts": { "document": "d " } }"#.into(), None),
        (r#"{ "prompts": {} }"#.into(), None),
        ("{}".into(), None),
    ];
    for (text, wanted) in cases {
        assert_eq!(prompt(&said(&text)).as_deref(), wanted, "{text}");
    }
}

#[test]
fn numbers_that_make_no_sense_are_as_if_unsaid() {
    for text in ["0", "-1", "1.5", "null", "\"8\"", "1e30"] {
        assert_eq!(count(&said(text)), None, "{text}");
    }
    assert_eq!(count(&said("8")), Some(8));
}
