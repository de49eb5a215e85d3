//! The `Date` header, made once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    static TODAY: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The date of `now`, as HTTP writes it; `None` for one that it cannot write.
pub(super) fn date(now: SystemTime) -> Option<HeaderValue> {
    let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    TODAY.with_borrow_mut(|known| match known {
        Some((at, value)) if *at == second => Some(value.clone()),
        _ => {
            let value = HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()?;
            *known = Some((second, value.clone()));
            Some(value)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_rfc_9110() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date(at).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = at + Duration::from_secs(1);
        assert_eq!(
            date(later).expect("a date"),
            "Sun, 06 Nov 1994 08:49:38 GMT"
        );
    }
}
