use super::*;

fn errors(text: &str) -> Vec<String> {
    let mut report = Report::default();
    read(text, &mut report);
    match report.finish(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn tree(text: &str) -> Value {
    let mut report = Report::default();
    let tree = read(text, &mut report).unwrap();
    report.finish(text).unwrap();
    tree
}

#[test]
fn every_duplicate_key_is_named() {
    let found = errors("a: {x: 1, x: 2}\nb: 1\nb: 2\n");
    assert_eq!(
        found,
        [
            "a.x: is there twice (remove one)",
            "b: is there twice (remove one)"
        ]
    );
}

#[test]
fn an_empty_value_is_not_an_absent_key() {
    assert_eq!(errors("keys:\nlimits: ~\n").len(), 2);
    assert_eq!(
        errors(""),
        ["(top): the file is empty (it needs `listen` and `pools`)"]
    );
}

#[test]
fn a_tag_is_refused_and_the_rest_still_read() {
    assert_eq!(errors("a: !secret x\nb: !f {c: ~}\n").len(), 3);
}

#[test]
fn a_syntax_error_has_line_and_column() {
    let found = errors("a: 1\nb: [1, 2\nc: 3\n");
    assert!(found[0].contains("line 3, column"), "{found:?}");
    let tab = errors("a:\n\tb: 1\n");
    assert!(
        tab[0].contains("line 2, column 1") && tab[0].contains("spaces"),
        "{tab:?}"
    );
}

#[test]
fn aliases_and_merges_spare_writing_twice() {
    let merged = tree("x-base: &base {a: 1, b: 2}\nc: {<<: *base, b: 3}\n");
    assert_eq!(
        merged,
        serde_yaml::from_str::<Value>("c: {b: 3, a: 1}").unwrap()
    );
}

#[test]
fn an_alias_bomb_ends_in_an_error() {
    let mut text = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for n in 1..12 {
        let list = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{list}]\n"));
    }
    assert!(errors(&text)[0].contains("repetition limit"));
    let wide = format!(
        "a: &a [{}]\nb: [{}]\n",
        "1,".repeat(100_000),
        "*a,".repeat(100_000)
    );
    assert!(errors(&wide)[0].contains("200000 values"));
}

#[test]
fn a_file_beyond_the_bound_is_not_parsed() {
    assert!(errors(&" ".repeat(MAX_BYTES + 1))[0].contains("larger than"));
}

#[test]
fn deep_nesting_and_two_documents_are_errors_not_crashes() {
    assert_eq!(errors(&"[".repeat(10_000)).len(), 1);
    assert_eq!(errors("a: 1\n---\nb: 1\n").len(), 1);
}

#[test]
fn a_key_is_text_whatever_it_looks_like() {
    assert_eq!(
        tree("1: a\ntrue: b\n"),
        serde_yaml::from_str::<Value>("'1': a\n'true': b").unwrap()
    );
}
