//! What a single value must be, once it is known what kind it is.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::config::nearest::suggest;
use crate::config::units::{self, Refusal};

/// What a name for logs and metrics must be.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    match name {
        "" => Err(Refusal::new("is empty", "give it a name")),
        name if name.len() > 200 => {
            Err(Refusal::new("is too long for a name", "at most 200 bytes"))
        }
        name if name.chars().any(char::is_control) => {
            Err(Refusal::new("has control characters", ""))
        }
        _ => Ok(()),
    }
}

/// "Did you mean", only where a word is near: the complaint lists them all.
pub(super) fn near(text: &str, known: &[&str]) -> String {
    let hint = suggest(text, known);
    if hint.starts_with("did") {
        hint
    } else {
        String::new()
    }
}

pub(super) fn whole<T: TryFrom<u64> + Display>(
    text: &str,
    range: &RangeInclusive<T>,
) -> Result<T, Refusal> {
    if text
        .strip_prefix('-')
        .is_some_and(|digits| units::integer(digits).is_ok())
    {
        return Err(Refusal::new(
            format!("must be at least {}", range.start()),
            "",
        ));
    }
    T::try_from(units::integer(text)?)
        .map_err(|_| Refusal::new(format!("must be at most {}", range.end()), ""))
}

pub(super) fn within<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
    default: &T,
) -> Result<T, Refusal> {
    let side = match () {
        () if value < *range.start() => format!("must be at least {}", show(range.start())),
        () if value > *range.end() => format!("must be at most {}", show(range.end())),
        () => return Ok(value),
    };
    Err(Refusal::new(
        side,
        format!("leave it out for {}", show(default)),
    ))
}
