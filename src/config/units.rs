//! Values as people write them: `5s`, `512MiB`, `200k/min`.

use std::time::Duration;

use bytesize::ByteSize;

use super::model::Rate;

/// Why a text is not such a value, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: String,
    pub hint: String,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hint: hint.into(),
        }
    }
}

/// `5s`, `500ms`, `1h 30m`, `0`.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    humantime::parse_duration(text).map_err(|_| match text.parse::<f64>() {
        Ok(_) => Refusal::new(
            "is a time without a unit",
            format!("write {text}s or {text}ms"),
        ),
        Err(_) => Refusal::new("is not a time", "such as 500ms, 5s, 15m or 1h 30m"),
    })
}

/// `512MiB`, `64kB`, `1048576`; in bytes.
pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    let refusal = || Refusal::new("is not a size", "such as 512MiB, 64kB or a number of bytes");
    let size = text
        .replace('_', "")
        .parse::<ByteSize>()
        .map_err(|_| refusal())?;
    match size.as_u64() {
        u64::MAX => Err(refusal()),
        bytes => Ok(bytes),
    }
}

/// A whole number, with `_` between digits where one likes.
pub(super) fn integer(text: &str) -> Result<u64, Refusal> {
    text.replace('_', "")
        .parse()
        .map_err(|_| Refusal::new("is not a whole number", "digits only"))
}

/// A number that is neither infinite nor "not a number".
pub(super) fn float(text: &str) -> Result<f64, Refusal> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| Refusal::new("is not a number", "such as 0.5"))
}

/// `100/min`, `200k/min`, `5/s`, `1.5M/h`, `10/30s`.
pub(super) fn rate(text: &str) -> Result<Rate, Refusal> {
    let refusal =
        |reason: &str| Refusal::new(reason, "such as 100/min, 200k/min, 5/s, 1M/h or 10/30s");
    let (amount, period) = text
        .split_once('/')
        .ok_or_else(|| refusal("is not an amount per time"))?;
    let amount = amount_of(amount.trim())
        .ok_or_else(|| refusal("does not begin with a whole amount of at least 1"))?;
    let period = period.trim();
    let period = match period.starts_with(|c: char| c.is_ascii_digit()) {
        true => humantime::parse_duration(period),
        false => humantime::parse_duration(&format!("1{period}")),
    };
    match period {
        Ok(period) if !period.is_zero() => Ok(Rate { amount, period }),
        _ => Err(refusal("does not end in a time")),
    }
}

fn amount_of(text: &str) -> Option<u64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (end, 'k' | 'K') => (&text[..end], 1_000),
        (end, 'm' | 'M') => (&text[..end], 1_000_000),
        (end, 'g' | 'G') => (&text[..end], 1_000_000_000),
        _ => (text, 1),
    };
    let number = number.trim_end().replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
        return None;
    }
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let scaled = scaled.checked_add(if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    })?;
    let amount = scaled.checked_mul(factor)?;
    (amount > 0 && amount % scale == 0).then_some(amount / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_as_written() {
        let cases = [
            ("100/min", 100, 60),
            ("200k/min", 200_000, 60),
            ("5/s", 5, 1),
            ("1M/h", 1_000_000, 3600),
            ("1.5k / hour", 1_500, 3600),
            ("10/30s", 10, 30),
            ("1_000/day", 1000, 86_400),
        ];
        for (text, amount, secs) in cases {
            assert_eq!(
                rate(text),
                Ok(Rate {
                    amount,
                    period: Duration::from_secs(secs)
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [
            "",
            "/",
            "5",
            "0/s",
            "-1/s",
            "1.5/s",
            "5/0s",
            "5/fortnight",
            "k/s",
            "1./s",
            "9e9/s",
            "5/s/s",
            "99999999999999999999G/s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_and_sizes_need_units_where_it_matters() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("30").unwrap_err().hint, "write 30s or 30ms");
        assert_eq!(size("64kB"), Ok(64_000));
        assert_eq!(size("1_048_576"), Ok(1 << 20));
        assert!(
            size("-5").is_err() && size("5 apples").is_err() && size("99999999999EiB").is_err()
        );
        assert!(float("nan").is_err() && float("inf").is_err());
    }

    proptest! {
        #[test]
        fn a_written_duration_is_read_back(millis in 0u64..10_000_000_000) {
            let written = Duration::from_millis(millis);
            prop_assert_eq!(duration(&humantime::format_duration(written).to_string()), Ok(written));
        }

        #[test]
        fn a_written_size_is_read_back(kib in 0u64..1 << 40) {
            prop_assert_eq!(size(&format!("{kib}KiB")), Ok(kib * 1024));
        }

        #[test]
        fn a_written_rate_is_read_back(amount in 1u64..u64::MAX, secs in 1u64..1_000_000) {
            let period = Duration::from_secs(secs);
            let text = format!("{amount}/{}", humantime::format_duration(period));
            prop_assert_eq!(rate(&text), Ok(Rate { amount, period }));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC*", number in "[0-9.]{0,24}[kKmMG]?/[0-9]{0,24}[a-z]{0,4}") {
            let _ = (duration(&text), size(&text), rate(&text), integer(&text), float(&text), rate(&number));
        }
    }
}
