use proptest::prelude::*;

use super::*;

/// Text that often is YAML and often is nearly a configuration.
fn yamlish() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "listen",
        "pools",
        "peers",
        "address",
        "routes",
        "match",
        "keys",
        "limits",
        "health",
        "off",
        "a",
        "x-a",
        "<<",
        ":",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "\n  - ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "!t ",
        "~",
        "\"",
        "'",
        "${PORT}",
        "${",
        "|",
        ">",
        "#",
        "1",
        "-2",
        "1e9",
        "5s",
        "1/s",
        "\t",
        "---",
        "é",
        "?",
        "0.0.0.0:80",
        "\0",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in yamlish()) {
        let _ = parsed(&text);
    }

    #[test]
    fn no_bytes_make_parsing_panic(text in "\\PC{0,200}") {
        let _ = parsed(&text);
    }

    #[test]
    fn no_value_in_the_place_of_another_makes_parsing_panic(
        value in "\\PC{0,20}",
        line in 0usize..200,
    ) {
        let full = include_str!("../../../conf/tollgate.yaml");
        let swap = |(n, text): (usize, &str)| match text.split_once(": ") {
            Some((key, _)) if n == line => format!("{key}: {value}\n"),
            _ => format!("{text}\n"),
        };
        let text: String = full.lines().enumerate().map(swap).collect();
        if let Err(errors) = parsed(&text) {
            prop_assert!(errors.iter().count() > 0 && !errors.to_string().is_empty());
        }
    }

    #[test]
    fn every_one_of_many_mistakes_is_reported(weights in prop::collection::vec(prop::bool::ANY, 1..40)) {
        let peers: String = weights.iter().enumerate().map(|(n, good)| {
            format!("      - {{ address: 10.0.0.{n}:80, weight: {} }}\n", if *good { "1" } else { "zero" })
        }).collect();
        let text = format!("listen: [{{ address: 127.0.0.1:1 }}]\npools:\n  a:\n    peers:\n{peers}");
        let expected: Vec<String> = weights.iter().enumerate().filter(|(_, good)| !**good)
            .map(|(n, _)| format!("pools.a.peers[{n}].weight")).collect();
        let found: Vec<String> = match parsed(&text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(|error| error.path().to_owned()).collect(),
        };
        prop_assert_eq!(found, expected);
    }
}
