//! Lines on their way to a file: handed over in memory as text, written by a thread of its own, so that a slow, full or
//! hanging disk delays nobody and costs a bounded number of bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Bytes that may wait for the disk; what comes beyond is refused.
pub(super) const MOST_WAITING: usize = 8 * 1024 * 1024;
/// Longest time a line waits. A wake-up for each line would cost more than the line.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// Bytes that do not wait so long.
const MANY: usize = 1024 * 1024;
/// Bytes of buffer kept between batches.
const LASTING: usize = 2 * MANY;

/// Who hears of trouble.
pub(super) trait Listener: Send + 'static {
    /// So many lines were not written.
    fn lost(&mut self, lines: u64);

    /// Something to tell the operator.
    fn complain(&mut self, what: &str);
}

/// Hands lines to a thread that writes them; the thread ends with this handle, when all is written.
#[derive(Debug)]
pub(super) struct Spool {
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
    /// What to write to from this byte of `waiting` on.
    next: Vec<(usize, File)>,
    /// The thread sleeps until it is woken.
    idle: bool,
    /// Somebody wants everything on disk now.
    hurry: bool,
    closed: bool,
    /// Bytes taken in and bytes dealt with, since the start.
    taken: u64,
    done: u64,
}

impl Spool {
    pub(super) fn start(
        name: &str,
        out: impl Write + Send + 'static,
        listener: impl Listener,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut sink = Sink {
            out: Box::new(out),
            listener,
            torn: false,
            failed: false,
        };
        let work = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work.write_out(&mut sink))?;
        Ok(Self { shared })
    }

    /// Takes a line, its end included; `false` when there is no room. Never waits for the disk.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.shared.state.lock();
        if state.waiting.len() + line.len() > MOST_WAITING {
            return false;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        state.taken += line.len() as u64;
        let many = (before..state.waiting.len()).contains(&MANY);
        if std::mem::take(&mut state.idle) || many {
            self.shared.wake.notify_one();
        }
        true
    }

    /// What was pushed so far goes to the old file, what comes now to `file`.
    pub(super) fn change_to(&self, file: File) {
        let mut state = self.shared.state.lock();
        let at = state.waiting.len();
        state.next.push((at, file));
        self.shared.wake.notify_one();
    }

    /// Waits until what was pushed so far is with the operating system, at most `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        let wanted = state.taken;
        while state.done < wanted {
            state.hurry = true;
            self.shared.wake.notify_one();
            // A disk that hangs must not keep the process from ending.
            if self.shared.written.wait_until(&mut state, end).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn write_out<L: Listener>(&self, sink: &mut Sink<L>) {
        let mut batch = Vec::new();
        loop {
            let (next, closed) = {
                let mut state = self.state.lock();
                let urgent = |state: &State| {
                    state.hurry
                        || state.closed
                        || !state.next.is_empty()
                        || state.waiting.len() > MANY
                };
                while state.waiting.is_empty() && !urgent(&state) {
                    state.idle = true;
                    self.wake.wait(&mut state);
                }
                state.idle = false;
                if !urgent(&state) {
                    self.wake.wait_for(&mut state, WRITE_EVERY);
                }
                state.hurry = false;
                std::mem::swap(&mut batch, &mut state.waiting);
                (std::mem::take(&mut state.next), state.closed)
            };
            let mut done = 0;
            for (at, file) in next {
                sink.write(&batch[done..at]);
                done = at;
                sink.out = Box::new(file);
                sink.torn = false;
            }
            sink.write(&batch[done..]);
            self.state.lock().done += batch.len() as u64;
            self.written.notify_all();
            batch.clear();
            batch.shrink_to(LASTING);
            if closed {
                return;
            }
        }
    }
}

/// Where the text goes.
struct Sink<L> {
    out: Box<dyn Write + Send>,
    listener: L,
    /// A line was cut: the next one must not continue it.
    torn: bool,
    /// The last write failed, and that was said.
    failed: bool,
}

impl<L: Listener> Sink<L> {
    fn write(&mut self, text: &[u8]) {
        let mut done = 0;
        let result = loop {
            let rest = match self.torn {
                true => &b"\n"[..],
                false => &text[done..],
            };
            if rest.is_empty() {
                break self.out.flush();
            }
            match self.out.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(_) if self.torn => self.torn = false,
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        match result {
            Err(error) => {
                self.torn |= done > 0 && text[done - 1] != b'\n';
                let lost = text[done..].iter().filter(|byte| **byte == b'\n').count();
                self.listener.lost(lost as u64);
                if !std::mem::replace(&mut self.failed, true) {
                    self.listener
                        .complain(&format!("{error}; lines are lost until it can be written"));
                }
            }
            Ok(()) if std::mem::take(&mut self.failed) => {
                self.listener.complain("is written again")
            }
            Ok(()) => {}
        }
    }
}

/// Opens a log for appending, creating it if needed. The error names the file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
