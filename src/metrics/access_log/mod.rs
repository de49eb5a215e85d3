//! The access log: one line per request, as JSON or in nginx's `combined` format.
//!
//! A line is made (`json`, `combined`) when its answer is with the client, and written by a thread of its own: to pack its
//! figures for that thread, and to unpack them there, takes longer than the text. No key and no prompt is ever in it, and secrets in a query are blanked (`redact`).

mod combined;
mod json;
mod redact;
mod stamp;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;
use stamp::Stamps;

use super::events;
use super::spool::{self, Listener, Spool};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A JSON object with everything in [`Line`] but the headers.
    #[default]
    Json,
    /// nginx's `combined`.
    Combined,
}

/// One request. No key and no prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Time of arrival.
    pub arrived: SystemTime,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// Address of the client.
    pub client: Option<IpAddr>,
    /// HTTP method.
    pub method: &'a str,
    /// Path and query as the client sent them.
    pub target: &'a str,
    /// Protocol version.
    pub version: Version,
    /// `Referer`, for [`Format::Combined`] only.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`, for [`Format::Combined`] only.
    pub user_agent: Option<&'a [u8]>,
    /// Status sent; 0 when nothing could be sent.
    pub status: u16,
    /// Why it failed, empty if it did not.
    pub error_type: &'a str,
    /// Name of the client's key.
    pub key: Option<&'a str>,
    /// Its tenant.
    pub tenant: Option<&'a str>,
    /// Class of its tier in the queue.
    pub priority: Option<&'a str>,
    /// Route taken.
    pub route: Option<&'a str>,
    /// Address of the peer that answered.
    pub upstream: Option<&'a str>,
    /// Attempts made.
    pub attempts: u32,
    /// Model asked for.
    pub model: Option<&'a str>,
    /// Model that answered.
    pub response_model: Option<&'a str>,
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
    /// Prompt tokens that the engine had cached.
    pub cached_input_tokens: Option<u64>,
    /// Why the model stopped.
    pub finish_reason: Option<&'a str>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// `X-Cache-Status`.
    pub cache_status: Option<&'a str>,
    /// `X-Cache-Key`.
    pub cache_id: Option<&'a str>,
    /// `X-Cache-Similarity`.
    pub cache_similarity: Option<f32>,
    /// Limit that refused the request.
    pub limit_bound: Option<&'a str>,
    /// Milliseconds to the first byte of the answer.
    pub ttft_ms: Option<f64>,
    /// Milliseconds a token after the first.
    pub tpot_ms: Option<f64>,
    /// Milliseconds in the queue.
    pub queue_ms: Option<f64>,
    /// Microseconds in Tollgate itself.
    pub overhead_us: u64,
    /// Milliseconds in all.
    pub duration_ms: f64,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// Whether the client left before its answer was complete.
    pub client_aborted: bool,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Self {
            arrived: UNIX_EPOCH,
            request_id: "",
            client: None,
            method: "",
            target: "",
            version: Version::HTTP_11,
            referer: None,
            user_agent: None,
            status: 0,
            error_type: "",
            key: None,
            tenant: None,
            priority: None,
            route: None,
            upstream: None,
            attempts: 0,
            model: None,
            response_model: None,
            input_tokens: None,
            output_tokens: None,
            cached_input_tokens: None,
            finish_reason: None,
            stream: false,
            cache_status: None,
            cache_id: None,
            cache_similarity: None,
            limit_bound: None,
            ttft_ms: None,
            tpot_ms: None,
            queue_ms: None,
            overhead_us: 0,
            duration_ms: 0.0,
            request_bytes: 0,
            response_bytes: 0,
            client_aborted: false,
        }
    }
}

/// A cheap handle to the log; cloning shares it. The thread behind it ends with the last handle.
#[derive(Debug, Clone)]
pub struct AccessLog {
    spool: Option<Arc<Spool>>,
    path: Option<Arc<Path>>,
    format: Format,
}

impl AccessLog {
    /// Writes nothing.
    pub fn off() -> Self {
        Self {
            spool: None,
            path: None,
            format: Format::default(),
        }
    }

    /// Appends to standard output.
    ///
    /// # Errors
    /// When standard output is closed or the thread cannot be started.
    pub fn stdout(format: Format) -> io::Result<Self> {
        // Not `io::Stdout`: its buffer would cut lines when the pipe behind it fails.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Self::to(out, format)
    }

    /// Appends to a file, creating it if needed.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread cannot be started.
    pub fn file(path: &Path, format: Format) -> io::Result<Self> {
        let log = Self::to(spool::open(path)?, format)?;
        Ok(Self {
            path: Some(path.into()),
            ..log
        })
    }

    fn to(out: impl io::Write + Send + 'static, format: Format) -> io::Result<Self> {
        let spool = Spool::start("access-log", out, Trouble)?;
        Ok(Self {
            spool: Some(Arc::new(spool)),
            path: None,
            format,
        })
    }

    /// The same log with its lines in another format.
    pub fn in_format(&self, format: Format) -> Self {
        Self {
            format,
            ..self.clone()
        }
    }

    /// Whether a line would go anywhere.
    pub fn is_on(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether lines need `referer` and `user_agent`.
    pub fn wants_headers(&self) -> bool {
        self.format == Format::Combined
    }

    /// Opens the file again, for it was moved away: lines until now go to the old one, later ones to the new one.
    ///
    /// # Errors
    /// When it cannot be opened; the old one stays.
    pub fn reopen(&self) -> io::Result<()> {
        if let (Some(spool), Some(path)) = (&self.spool, &self.path) {
            spool.change_to(spool::open(path)?);
        }
        Ok(())
    }

    /// Hands a line to the writer; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        let Some(spool) = &self.spool else { return };
        let taken = DESK.with_borrow_mut(|Desk { stamps, text }| {
            match self.format {
                Format::Json => json::render(line, stamps, text),
                Format::Combined => combined::render(line, stamps, text),
            }
            let taken = spool.push(text);
            text.clear();
            text.shrink_to(LASTING);
            taken
        });
        if !taken {
            events::log_lines_dropped(1);
        }
    }

    /// Waits until what was written so far is with the operating system, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        if let Some(spool) = &self.spool {
            spool.flush(limit);
        }
    }
}

/// Where a thread makes its lines.
#[derive(Default)]
struct Desk {
    stamps: Stamps,
    text: Vec<u8>,
}

/// Bytes that a thread keeps for the next line.
const LASTING: usize = 16 * 1024;

thread_local!(static DESK: RefCell<Desk> = RefCell::default());

struct Trouble;

impl Listener for Trouble {
    fn lost(&mut self, lines: u64) {
        events::log_lines_dropped(lines);
    }

    fn complain(&mut self, what: &str) {
        log::error!("access log: {what}");
    }
}
