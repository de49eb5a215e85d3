//! The access log: one JSON object a line, written by a thread of its own so that a slow disk delays nobody.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use super::events;

/// Bytes that may wait for the disk; further lines are dropped and counted.
const MOST_WAITING: usize = 8 * 1024 * 1024;
/// Longest time a line waits.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// Bytes of buffer kept between batches.
const LASTING: usize = 256 * 1024;

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

/// A cheap handle to the log; cloning shares it. The thread behind it ends with the last handle.
#[derive(Debug, Clone)]
pub struct AccessLog {
    writer: Option<Arc<Writer>>,
}

/// Lines on their way to the disk. A line costs one short lock; the thread is woken by the clock, not by lines.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Somebody wants everything on disk now.
    hurry: bool,
    closed: bool,
    /// Bytes taken in and bytes handed to the operating system, since the start.
    taken: u64,
    done: u64,
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
        let shared = Arc::new(Shared::default());
        let lines = Arc::clone(&shared);
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || lines.write_out(out))?;
        Ok(Self {
            writer: Some(Arc::new(Writer { shared })),
        })
    }

    /// Whether a line would go anywhere.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands a line to the writer; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        let Some(writer) = &self.writer else { return };
        let mut text = Vec::with_capacity(768);
        if serde_json::to_writer(&mut text, line).is_err() {
            return;
        }
        text.push(b'\n');
        let mut state = writer.shared.state.lock();
        if state.waiting.len() + text.len() > MOST_WAITING {
            drop(state);
            events::log_line_dropped();
            return;
        }
        state.waiting.extend_from_slice(&text);
        state.taken += text.len() as u64;
    }

    /// Waits until what was written so far is with the operating system, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let Some(writer) = &self.writer else { return };
        let Shared {
            state,
            wake,
            written,
        } = writer.shared.as_ref();
        let end = Instant::now() + limit;
        let mut state = state.lock();
        let wanted = state.taken;
        while state.done < wanted {
            state.hurry = true;
            wake.notify_one();
            // A disk that hangs must not keep the process from ending.
            if written.wait_until(&mut state, end).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn write_out(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut failed = false;
        loop {
            let closed = {
                let mut state = self.state.lock();
                if !state.hurry && !state.closed {
                    self.wake.wait_for(&mut state, WRITE_EVERY);
                }
                state.hurry = false;
                std::mem::swap(&mut batch, &mut state.waiting);
                state.closed
            };
            if !batch.is_empty() {
                let result = out.write_all(&batch).and_then(|()| out.flush());
                if let Err(error) = &result {
                    events::log_line_dropped();
                    if !failed {
                        log::error!("access log: {error}");
                    }
                }
                failed = result.is_err();
                self.state.lock().done += batch.len() as u64;
                self.written.notify_all();
                batch.clear();
                batch.shrink_to(LASTING);
            }
            if closed {
                return;
            }
        }
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

    /// Takes nothing until it is let go.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_hangs_costs_lines_and_neither_time_nor_memory_without_end() {
        let (let_go, stuck) = std::sync::mpsc::channel();
        let log = AccessLog::to(Stuck(stuck)).expect("starts");
        let before = crate::metrics::names::LOG_DROPPED.get();
        let path = "/x".repeat(50_000);
        for _ in 0..2 * MOST_WAITING / path.len() + 2 {
            log.write(&Line {
                path: &path,
                ..Line::default()
            });
        }
        assert!(crate::metrics::names::LOG_DROPPED.get() > before);
        log.flush(Duration::from_millis(1));
        drop(let_go);
    }
}
