//! Times as text, made once a second.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The last second written, in both forms.
#[derive(Debug)]
pub(super) struct Stamps {
    /// The system's, once a local time is wanted: it is read from files.
    zone: Option<TimeZone>,
    utc: (i64, String),
    local: (i64, String),
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Stamps {
    #[cfg(test)]
    pub(super) fn in_zone(zone: TimeZone) -> Self {
        Self::new(Some(zone))
    }

    fn new(zone: Option<TimeZone>) -> Self {
        let never = || (i64::MIN, String::new());
        Self {
            zone,
            utc: never(),
            local: never(),
        }
    }

    /// RFC 3339 with milliseconds, UTC.
    pub(super) fn utc(&mut self, time: SystemTime, text: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = i64::try_from(since.as_secs()).unwrap_or(0);
        if self.utc.0 != second {
            let stamp = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            self.utc = (second, stamp.strftime("%Y-%m-%dT%H:%M:%S").to_string());
        }
        let millis = since.subsec_millis();
        text.extend_from_slice(self.utc.1.as_bytes());
        text.push(b'.');
        text.extend([millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8));
        text.push(b'Z');
    }

    /// nginx's `$time_local`, such as `21/Nov/2026:14:09:04 +0000`.
    pub(super) fn local(&mut self, time: SystemTime, text: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = i64::try_from(since.as_secs()).unwrap_or(0);
        if self.local.0 != second {
            let stamp = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
            let zone = self.zone.get_or_insert_with(TimeZone::system);
            let here = stamp.to_zoned(zone.clone());
            self.local = (second, here.strftime("%d/%b/%Y:%H:%M:%S %z").to_string());
        }
        text.extend_from_slice(self.local.1.as_bytes());
    }
}
