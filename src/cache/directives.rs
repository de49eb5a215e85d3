//! What a client asks of the cache, in its request headers.
//!
//! `Cache-Control` has the meaning of RFC 9111, as far as it concerns requests; `x-tollgate-cache-*` says the rest. Where
//! several speak, each may only take away: a lookup happens when nobody forbids it.

use std::time::Duration;

use crate::util::headers::Headers;

/// Longest namespace, and longest value of a tag, in bytes.
const MAX_NAMESPACE: usize = 128;

/// Most tags of a request.
const MAX_TAGS: usize = 16;

/// What one request may do with the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Directives {
    /// Whether an answer to the same request may be served.
    pub lookup_exact: bool,
    /// Whether an answer to a request of the same meaning may be served.
    pub lookup_semantic: bool,
    /// Whether the answer may be stored.
    pub store: bool,
    /// Most age of a served answer.
    pub max_age: Option<Duration>,
    /// Life of the stored answer; the cache's own `ttl` bounds it.
    pub ttl: Option<Duration>,
    /// Least similarity of an answer served by meaning; the cache's own threshold bounds it from below.
    pub threshold: Option<f32>,
    /// Whether the request is to fail rather than go to a peer.
    pub only_if_cached: bool,
    /// Separates entries further: part of the key's partition.
    pub namespace: Option<String>,
    /// What the stored answer is to be found by, to be purged.
    pub tags: Vec<(String, String)>,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            lookup_exact: true,
            lookup_semantic: true,
            store: true,
            max_age: None,
            ttl: None,
            threshold: None,
            only_if_cached: false,
            namespace: None,
            tags: Vec::new(),
        }
    }
}

impl Directives {
    /// Reads them from request headers.
    ///
    /// # Errors
    /// A sentence for the client, when a header has a value that means nothing. Unknown `Cache-Control` directives are
    /// ignored, as RFC 9111 wants.
    pub fn parse(headers: &Headers) -> Result<Self, String> {
        let mut directives = Self::default();
        // One walk, for most requests have none of them.
        for (name, value) in headers.iter() {
            let name = name.as_str();
            match name {
                "cache-control" => {
                    for part in text(value, name)?.split(',') {
                        directives.cache_control(part.trim())?;
                    }
                }
                "x-tollgate-cache" => directives.mode(text(value, name)?)?,
                "x-tollgate-cache-ttl" if directives.ttl.is_none() => {
                    directives.ttl = Some(ttl(text(value, name)?)?);
                }
                "x-tollgate-cache-threshold" if directives.threshold.is_none() => {
                    directives.threshold = Some(threshold(text(value, name)?)?);
                }
                "x-tollgate-cache-namespace" if directives.namespace.is_none() => {
                    directives.namespace = Some(namespace(text(value, name)?)?);
                }
                "x-tollgate-tags" => {
                    for part in text(value, name)?.split(',') {
                        directives.tag(part.trim())?;
                    }
                }
                _ => {}
            }
        }
        Ok(directives)
    }

    fn cache_control(&mut self, part: &str) -> Result<(), String> {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| {
            (name.trim(), Some(value.trim()))
        });
        if name.eq_ignore_ascii_case("no-cache") {
            self.forbid_lookup();
        } else if name.eq_ignore_ascii_case("no-store") {
            self.store = false;
        } else if name.eq_ignore_ascii_case("only-if-cached") {
            self.only_if_cached = true;
        } else if name.eq_ignore_ascii_case("max-age") {
            let seconds = value.map(|v| v.trim_matches('"')).and_then(seconds);
            let age = seconds.ok_or_else(|| {
                format!("cache-control: {part:?}: max-age needs a number of seconds")
            })?;
            self.max_age = Some(self.max_age.map_or(age, |other| other.min(age)));
            if age.is_zero() {
                self.forbid_lookup();
            }
        }
        Ok(())
    }

    fn tag(&mut self, part: &str) -> Result<(), String> {
        let fits = |text: &str| {
            (1..=MAX_NAMESPACE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let pair = part.split_once('=');
        let (name, value) = pair
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, value)| fits(name) && fits(value))
            .ok_or_else(|| {
                format!(
                    "x-tollgate-tags: {part:?}: must be name=value, each of 1 to {MAX_NAMESPACE} visible ASCII characters"
                )
            })?;
        if self.tags.len() >= MAX_TAGS {
            return Err(format!("x-tollgate-tags: more than {MAX_TAGS} tags"));
        }
        self.tags.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn mode(&mut self, mode: &str) -> Result<(), String> {
        match mode.to_ascii_lowercase().as_str() {
            "on" => {}
            "off" => {
                self.forbid_lookup();
                self.store = false;
            }
            "exact" => self.lookup_semantic = false,
            "semantic" => self.lookup_exact = false,
            "refresh" => self.forbid_lookup(),
            _ => {
                return Err(format!(
                    "x-tollgate-cache: {mode:?}: must be one of on, off, exact, semantic, refresh"
                ));
            }
        }
        Ok(())
    }

    fn forbid_lookup(&mut self) {
        self.lookup_exact = false;
        self.lookup_semantic = false;
    }
}

fn text<'a>(value: &'a http::HeaderValue, name: &str) -> Result<&'a str, String> {
    value
        .to_str()
        .map(str::trim)
        .map_err(|_| format!("{name}: must be plain ASCII"))
}

/// `delta-seconds`: digits alone, and one too large to count is as good as for ever.
fn seconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))))
}

fn ttl(value: &str) -> Result<Duration, String> {
    let ttl = seconds(value).or_else(|| humantime::parse_duration(value).ok());
    ttl.filter(|ttl| !ttl.is_zero()).ok_or_else(|| {
        format!(
            "x-tollgate-cache-ttl: {value:?}: must be seconds or a duration such as 5m, more than 0"
        )
    })
}

fn threshold(value: &str) -> Result<f32, String> {
    value
        .parse()
        .ok()
        .filter(|threshold| (0.0..=1.0).contains(threshold))
        .ok_or_else(|| {
            format!("x-tollgate-cache-threshold: {value:?}: must be a number from 0 to 1")
        })
}

fn namespace(value: &str) -> Result<String, String> {
    let fits =
        (1..=MAX_NAMESPACE).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| value.to_owned()).ok_or_else(|| {
        format!("x-tollgate-cache-namespace: must be 1 to {MAX_NAMESPACE} visible ASCII characters")
    })
}

#[cfg(test)]
mod tests;
