//! nginx's times and sizes as Tollgate writes them.

/// `60`, `60s`, `1h30m`, `500ms` as a time; `None` for anything else.
pub(super) fn time(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        if number.is_empty() {
            return None;
        }
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "" => "s",
            "ms" | "s" | "m" | "h" | "d" | "w" | "M" | "y" => unit,
            _ => return None,
        };
        out.push(format!("{number}{unit}"));
        rest = tail.trim_start();
    }
    (!out.is_empty()).then(|| out.join(" "))
}

/// Seconds of a time as `time` makes it.
pub(super) fn seconds(text: &str) -> Option<f64> {
    humantime::parse_duration(text)
        .ok()
        .map(|time| time.as_secs_f64())
}

/// Bytes of `10m`, `8k`, `1g`, `512`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size as a person writes it.
pub(super) fn size(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// `10r/s` with a burst as a bucket that refills evenly: at nginx's rate, with room for one and the burst.
pub(super) fn rate(rate: &str, burst: u64) -> Option<String> {
    let (amount, period) = rate.split_once("r/")?;
    let amount: u64 = amount.parse().ok().filter(|amount| *amount > 0)?;
    let period_ms: u64 = match period {
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    let bucket = burst.checked_add(1)?;
    let refill = bucket.checked_mul(period_ms)?.div_ceil(amount);
    Some(match (bucket, period) {
        (bucket, "s") if bucket == amount => format!("{amount}/s"),
        (bucket, "m") if bucket == amount => format!("{amount}/min"),
        _ if refill.is_multiple_of(1000) => format!("{bucket}/{}s", refill / 1000),
        _ => format!("{bucket}/{refill}ms"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_rates_mean_what_they_meant() {
        assert_eq!(time("60").as_deref(), Some("60s"));
        assert_eq!(time("1h30m").as_deref(), Some("1h 30m"));
        assert_eq!(time("500ms").as_deref(), Some("500ms"));
        assert_eq!((time("x"), time("5q"), time("")), (None, None, None));
        assert_eq!(bytes("10m").map(size).as_deref(), Some("10MiB"));
        assert_eq!(bytes("1000").map(size).as_deref(), Some("1000"));
        assert_eq!(bytes("1.5m"), None);
        assert_eq!(rate("10r/s", 9).as_deref(), Some("10/s"));
        assert_eq!(rate("10r/s", 19).as_deref(), Some("20/2s"));
        assert_eq!(rate("30r/m", 0).as_deref(), Some("1/2s"));
        assert_eq!(rate("1r/s", 5).as_deref(), Some("6/6s"));
    }
}
