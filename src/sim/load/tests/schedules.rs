use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::args;
use crate::sim::load::schedule::{Item, Prompt, schedule};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn items(flags: &[&str]) -> Vec<Item> {
    schedule(&args(flags))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn tokens(item: &Item) -> u32 {
    match &*item.prompt {
        Prompt::Words { tokens, .. } => *tokens,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trace_is_scaled_in_rate_and_tokens() {
    let trace = file("arrival_s,input_tokens,output_tokens\n0.0,100,10\n4.0,7,1\n9.0,1,1\n");
    let path = trace.path().to_str().unwrap();
    let items = items(&[
        "--trace",
        path,
        "--scale-rate",
        "2",
        "--scale-tokens",
        "0.5",
        "--limit",
        "2",
    ]);
    let seen: Vec<_> = items
        .iter()
        .map(|item| (item.at, tokens(item), item.output))
        .collect();
    assert_eq!(
        seen,
        [
            (Duration::ZERO, 50, Some(5)),
            (Duration::from_secs(2), 4, Some(1))
        ]
    );
    assert_ne!(items[0].prompt, items[1].prompt);
}

#[test]
fn a_bad_row_is_told_before_anything_is_sent() {
    for bad in [
        "arrival_s,input_tokens,output_tokens\n0.0,1,1\n1.0,x,1\n",
        "arrival_s,input_tokens,output_tokens\n-1,1,1\n",
    ] {
        let trace = file(bad);
        let found = schedule(&args(&["--trace", trace.path().to_str().unwrap()]));
        assert!(found.is_err_and(|error| error.starts_with("trace: ")));
    }
}

#[test]
fn prompts_come_in_three_forms() {
    let prompts = file(concat!(
        "{\"prompt\":\"a\"}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}\n",
        "{\"timestamp\":500,\"requests\":[{\"prompt\":\"c\",\"Prompt Length\":1,\"Output Length\":9}]}\n",
    ));
    let path = prompts.path().to_str().unwrap();
    let all = items(&["--prompts", path, "--rate", "10"]);
    assert_eq!(all.len(), 3);
    assert_eq!(
        (&*all[0].prompt, all[0].output),
        (&Prompt::Text("a".to_owned()), None)
    );
    assert!(matches!(&*all[1].prompt, Prompt::Messages(_)));
    assert_eq!(
        (&*all[2].prompt, all[2].output),
        (&Prompt::Text("c".to_owned()), Some(9))
    );
    assert!(all[0].at < all[1].at && all[1].at < all[2].at);
    let timed = schedule(&args(&["--prompts", path]))
        .unwrap()
        .collect::<Vec<_>>();
    assert!(
        timed[0].is_err() && timed[1].is_err(),
        "no timestamp and no rate"
    );
    assert_eq!(timed[2].as_ref().unwrap().at, Duration::from_millis(500));
}

#[test]
fn a_rate_gives_about_that_many_requests_and_the_same_ones_for_the_same_seed() {
    let flags = ["--rate", "100", "--duration", "60s", "--seed", "3"];
    let first = items(&flags);
    assert!((5700..6300).contains(&first.len()), "{}", first.len());
    assert!(first.is_sorted_by_key(|item| item.at));
    assert_eq!(first, items(&flags));
    assert!(schedule(&args(&["--rate", "1"])).is_err(), "without an end");
}

#[test]
fn a_share_of_the_requests_repeats_earlier_ones() {
    let all = items(&["--rate", "100", "--limit", "4000", "--repeat-share", "0.3"]);
    let mut seen: Vec<Arc<Prompt>> = Vec::new();
    let repeated = all.iter().filter(|item| {
        let known = seen.iter().any(|prompt| Arc::ptr_eq(prompt, &item.prompt));
        seen.push(item.prompt.clone());
        known
    });
    let share = repeated.count() as f64 / 4000.0;
    assert!((share - 0.3).abs() < 0.03, "{share}");
}
