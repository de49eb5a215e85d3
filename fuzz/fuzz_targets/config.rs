//! Any text is a configuration or a list of mistakes, each with its place and its reason.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tollgate::config::parse_with;

fuzz_target!(|text: &str| {
    let known = |name: &str| (name == "PORT").then(|| "8080".to_owned());
    let read = || parse_with(text, Path::new("/nonexistent"), &known);
    match read() {
        Ok(loaded) => {
            let again = read().expect("what was read once is read twice");
            assert_eq!(loaded.warnings, again.warnings);
        }
        Err(errors) => {
            assert!(errors.iter().next().is_some(), "refused without a reason");
            for error in &errors {
                assert!(!error.path().is_empty(), "no place: {error}");
                assert!(!error.reason().is_empty(), "no reason: {error}");
                assert!(error.line().is_none_or(|line| line >= 1));
            }
        }
    }
});
