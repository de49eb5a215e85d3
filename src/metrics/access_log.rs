//! The access log: one JSON object a line, written by a thread of its own so that a slow disk delays nobody.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::events;

/// Lines that may wait for the disk; further ones are dropped and counted.
const WAITING_LINES: usize = 16 * 1024;
/// Longest time a line stays in the buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// One request, under the names of OpenTelemetry's GenAI conventions where they have one. No key and no prompt.
#[derive(Debug, Default, Serialize)]
pub struct Line<'a> {
    /// RFC 3339 time of arrival, UTC.
    pub time: String,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// Address of the client.
    pub client: String,
    /// HTTP method.
    pub method: &'a str,
    /// Path without the query.
    pub path: &'a str,
    /// Status sent; 0 when nothing could be sent.
    pub status: u16,
    /// Why it failed, empty if it did not.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub error_type: &'a str,
    /// Name of the client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
    /// Class of its tier in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<&'a str>,
    /// Route taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// Address of the peer that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// Model asked for.
    #[serde(
        rename = "gen_ai.request.model",
        skip_serializing_if = "Option::is_none"
    )]
    pub model: Option<&'a str>,
    /// Model that answered.
    #[serde(
        rename = "gen_ai.response.model",
        skip_serializing_if = "Option::is_none"
    )]
    pub response_model: Option<&'a str>,
    /// Tokens of the prompt.
    #[serde(
        rename = "gen_ai.usage.input_tokens",
        skip_serializing_if = "Option::is_none"
    )]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(
        rename = "gen_ai.usage.output_tokens",
        skip_serializing_if = "Option::is_none"
    )]
    pub output_tokens: Option<u64>,
    /// Prompt tokens that the engine had cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<&'a str>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// `X-Cache-Status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_status: Option<&'a str>,
    /// `X-Cache-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_id: Option<&'a str>,
    /// `X-Cache-Similarity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_similarity: Option<f32>,
    /// Limit that refused the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bound: Option<&'a str>,
    /// Milliseconds to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Milliseconds a token after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
    /// Milliseconds in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// A cheap handle to the writing thread; cloning shares it.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: Option<SyncSender<Message>>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Writes nothing.
    pub fn off() -> Self {
        Self { writer: None }
    }

    /// Appends to standard output.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn stdout() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    /// Appends to a file, creating it if needed.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread cannot be started.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::to(OpenOptions::new().create(true).append(true).open(path)?)
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (writer, waiting) = sync_channel(WAITING_LINES);
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_lines(&waiting, BufWriter::with_capacity(64 * 1024, out)))?;
        Ok(Self {
            writer: Some(writer),
        })
    }

    /// Whether a line would go anywhere.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands a line to the writer; never waits.
    pub fn write(&self, line: &Line<'_>) {
        let Some(writer) = &self.writer else { return };
        let mut text = Vec::with_capacity(512);
        if serde_json::to_writer(&mut text, line).is_err() {
            return;
        }
        text.push(b'\n');
        if writer.try_send(Message::Line(text)).is_err() {
            events::log_line_dropped();
        }
    }

    /// Waits until what was written so far is with the operating system, at most `wait`.
    pub fn flush(&self, wait: Duration) {
        let Some(writer) = &self.writer else { return };
        let end = Instant::now() + wait;
        let (done, flushed) = sync_channel(1);
        let mut message = Message::Flush(done);
        // A disk that hangs must not keep the process from ending, so nothing here waits without a limit.
        while let Err(TrySendError::Full(back)) = writer.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            thread::sleep(Duration::from_millis(1));
            message = back;
        }
        let _ = flushed.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

fn write_lines(waiting: &Receiver<Message>, mut out: impl Write) {
    let mut failed = false;
    let mut note = |result: io::Result<()>| match result {
        Ok(()) => failed = false,
        Err(error) => {
            events::log_line_dropped();
            if !failed {
                log::error!("access log: {error}");
            }
            failed = true;
        }
    };
    // When the oldest line in the buffer must be out; `None` while the buffer is empty.
    let mut due: Option<Instant> = None;
    loop {
        let wait = due.map_or(FLUSH_AFTER, |due| {
            due.saturating_duration_since(Instant::now())
        });
        match waiting.recv_timeout(wait) {
            Ok(Message::Line(line)) => {
                note(out.write_all(&line));
                let due = *due.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
                if Instant::now() < due {
                    continue;
                }
                note(out.flush());
            }
            Ok(Message::Flush(done)) => {
                note(out.flush());
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) if due.is_some() => note(out.flush()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                note(out.flush());
                return;
            }
        }
        due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flushed_line_is_in_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("access.log");
        let log = AccessLog::file(&path).expect("opens");
        log.write(&Line {
            request_id: "r1",
            status: 200,
            ..Line::default()
        });
        log.flush(Duration::from_secs(30));
        let text = std::fs::read_to_string(&path).expect("reads");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(line["request_id"], "r1");
        assert!(line.get("key").is_none());
    }

    #[test]
    fn a_flush_behind_a_full_queue_still_writes_every_line_that_was_taken() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("access.log");
        let log = AccessLog::file(&path).expect("opens");
        for _ in 0..3 * WAITING_LINES {
            log.write(&Line::default());
        }
        log.flush(Duration::from_secs(30));
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(text.lines().count() >= WAITING_LINES, "{}", text.len());
        assert!(text.ends_with('\n'));
    }
}
