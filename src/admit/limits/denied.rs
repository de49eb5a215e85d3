//! The refusal of a request by a limit: which limit, and when to come back.

use std::fmt;
use std::time::Duration;

use crate::config::model::Dimension;

use super::headers::RateHeaders;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Requests per time.
    Requests,
    /// Tokens per time.
    Tokens,
    /// Requests at once.
    Concurrency,
}

/// A request that a limit refused. Of several limits that refuse, the one that takes longest to let it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Whose use is counted together.
    pub dimension: Dimension,
    /// The member of that dimension: a key's name, a tenant, a client address; `*` for the crowd (see `Limiter`).
    pub member: String,
    /// What ran out.
    pub what: What,
    /// The configured amount: requests, tokens, or requests at once.
    pub limit: u64,
    /// Time in which an empty bucket fills; `None` for concurrency.
    pub period: Option<Duration>,
    /// Time after which the same request passes if no other comes: exact for rates; for concurrency the expected
    /// time until one of the running requests ends.
    pub retry_after: Duration,
    /// The tightest bucket of each kind.
    pub rates: RateHeaders,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dimension = match self.dimension {
            Dimension::Key => "key",
            Dimension::Tenant => "tenant",
        };
        let what = match self.what {
            What::Requests | What::Concurrency => "requests",
            What::Tokens => "tokens",
        };
        write!(f, "limit of {} {what} ", self.limit)?;
        match self.period {
            Some(period) => write!(f, "per {}", humantime::format_duration(period))?,
            None => write!(f, "at once")?,
        }
        write!(f, " reached for {dimension} {:?}", self.member)
    }
}

impl std::error::Error for Denied {}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(what: What, period: Option<Duration>, retry_after: Duration) -> Denied {
        Denied {
            dimension: Dimension::Key,
            member: "web".into(),
            what,
            limit: 100,
            period,
            retry_after,
            rates: RateHeaders::default(),
        }
    }

    #[test]
    fn the_message_names_the_limit_and_its_member() {
        let minute = Some(Duration::from_secs(60));
        let rate = denied(What::Tokens, minute, Duration::ZERO).to_string();
        assert_eq!(rate, r#"limit of 100 tokens per 1m reached for key "web""#);
        let at_once = denied(What::Concurrency, None, Duration::ZERO).to_string();
        assert_eq!(
            at_once,
            r#"limit of 100 requests at once reached for key "web""#
        );
    }
}
