//! Splits a byte stream into server-sent events, whatever the chunk borders.
//!
//! It follows the HTML standard's rules for `text/event-stream` (LF, CRLF and CR, several `data:` lines, comments, a
//! byte order mark), with one leniency: [`SseSplitter::finish`] also hands out a last event that lacks its blank line.
//! An event whose lines lie in one chunk is handed out without a copy. One that grows over the bound is dropped and
//! counted, and reading goes on at the next event. The splitter only looks; the bytes themselves go to the client as
//! they came.

#[cfg(test)]
mod tests;

/// Largest event, in bytes of its lines, for streams that answer a client. A `response.completed` event repeats the
/// whole answer, so this is far more than a delta needs.
pub const MAX_EVENT_BYTES: usize = 4 << 20;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// Value of its last `event:` line; `None` when there was none, or it was not UTF-8.
    pub event: Option<&'a str>,
    /// Its `data:` lines, joined by line feeds.
    pub data: &'a [u8],
}

/// The state between two chunks.
#[derive(Debug)]
pub struct SseSplitter {
    max_event_bytes: usize,
    /// Bytes of the byte order mark seen so far; 3 = past it.
    bom: usize,
    /// The last byte was a CR, so a LF now belongs to it.
    after_cr: bool,
    /// The line under way is a comment.
    in_comment: bool,
    /// The line under way, as far as it came in earlier chunks.
    line: Vec<u8>,
    /// Data lines of the event under way, as far as they had to be copied.
    data: Vec<u8>,
    data_lines: usize,
    event: Vec<u8>,
    has_event: bool,
    /// Bytes of all finished lines of the event under way, comments aside.
    size: usize,
    /// The event under way is over the bound.
    skipping: bool,
    /// While skipping: the line under way has bytes.
    line_begun: bool,
    skipped: u64,
}

/// Values of the event under way that still lie in the chunk.
#[derive(Default)]
struct InChunk<'c> {
    data: Option<&'c [u8]>,
    event: Option<&'c [u8]>,
}

impl SseSplitter {
    /// A splitter at the start of a stream. Events of more than `max_event_bytes` (their lines without line ends) are
    /// skipped; memory stays under twice that.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            bom: 0,
            after_cr: false,
            in_comment: false,
            line: Vec::new(),
            data: Vec::new(),
            data_lines: 0,
            event: Vec::new(),
            has_event: false,
            size: 0,
            skipping: false,
            line_begun: false,
            skipped: 0,
        }
    }

    /// Takes the next chunk and hands out each event that it completes.
    pub fn push(&mut self, chunk: &[u8], mut each: impl FnMut(SseEvent<'_>)) {
        let mut rest = self.strip_bom(chunk);
        let mut here = InChunk::default();
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.hold(rest, &mut here);
                break;
            };
            self.after_cr = rest[end] == b'\r';
            let piece = &rest[..end];
            rest = &rest[end + 1..];
            self.end_line(piece, &mut here, &mut each);
        }
        self.copy_in(here);
    }

    /// Ends the stream: hands out the event under way, if it has data. Its last line may be cut, which only its
    /// reader can tell.
    pub fn finish(&mut self, mut each: impl FnMut(SseEvent<'_>)) {
        let mut here = InChunk::default();
        // A begun byte order mark that no longer can become whole is part of the first line.
        self.strip_bom(b"\n");
        if !self.line.is_empty() || self.in_comment || self.line_begun {
            self.end_line(b"", &mut here, &mut each);
        }
        self.end_line(b"", &mut here, &mut each);
    }

    /// Whether all bytes so far end at an event border, so that a further event can be appended as it is.
    pub fn at_boundary(&self) -> bool {
        self.closing().is_empty()
    }

    /// What must be sent to reach an event border.
    pub fn closing(&self) -> &'static [u8] {
        let in_line = !self.line.is_empty()
            || self.in_comment
            || self.line_begun
            || (1..3).contains(&self.bom);
        let in_event = self.size > 0 || self.skipping;
        // After a CR, a single LF would only complete the CRLF.
        match (in_line || (in_event && self.after_cr), in_event) {
            (true, _) => b"\n\n",
            (false, true) => b"\n",
            (false, false) => b"",
        }
    }

    /// Events dropped for their size.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Bytes held in memory between chunks.
    pub fn held(&self) -> usize {
        self.line.len() + self.data.len() + self.event.len()
    }

    fn strip_bom<'c>(&mut self, mut chunk: &'c [u8]) -> &'c [u8] {
        while let (Some(expected), Some(byte)) = (BOM.get(self.bom), chunk.first()) {
            if byte == expected {
                self.bom += 1;
                chunk = &chunk[1..];
            } else {
                self.line.extend_from_slice(&BOM[..self.bom]);
                self.bom = BOM.len();
            }
        }
        chunk
    }

    /// Keeps the begun line for the next chunk.
    fn hold(&mut self, piece: &[u8], here: &mut InChunk<'_>) {
        if self.skipping {
            self.line_begun = true;
        } else if self.in_comment || (self.line.is_empty() && piece.first() == Some(&b':')) {
            self.in_comment = true;
        } else if self.size + self.line.len() + piece.len() > self.max_event_bytes {
            self.skip(here);
            self.line_begun = true;
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    fn end_line<'c>(
        &mut self,
        piece: &'c [u8],
        here: &mut InChunk<'c>,
        each: &mut impl FnMut(SseEvent<'_>),
    ) {
        if self.skipping {
            let blank = !self.line_begun && piece.is_empty();
            self.line_begun = false;
            if blank {
                self.skipping = false;
                self.skipped += 1;
            }
        } else if std::mem::take(&mut self.in_comment) {
        } else if self.line.is_empty() {
            match piece {
                [] => self.dispatch(here, each),
                [b':', ..] => {}
                _ if self.grow(piece.len(), here) => self.field_in_chunk(piece, here),
                _ => {}
            }
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            if self.grow(line.len(), here) {
                self.copy_in(std::mem::take(here));
                self.field_copied(&line);
            }
            line.clear();
            self.line = line;
        }
    }

    /// Counts a finished line; false when the event went over the bound.
    fn grow(&mut self, bytes: usize, here: &mut InChunk<'_>) -> bool {
        self.size += bytes;
        let fits = self.size <= self.max_event_bytes;
        if !fits {
            self.skip(here);
        }
        fits
    }

    fn skip(&mut self, here: &mut InChunk<'_>) {
        *here = InChunk::default();
        self.reset();
        self.line.clear();
        self.skipping = true;
        self.line_begun = false;
    }

    fn reset(&mut self) {
        self.data.clear();
        self.data_lines = 0;
        self.event.clear();
        self.has_event = false;
        self.size = 0;
    }

    fn field_in_chunk<'c>(&mut self, line: &'c [u8], here: &mut InChunk<'c>) {
        match field(line) {
            Field::Data(value) if self.data_lines == 0 => {
                here.data = Some(value);
                self.data_lines = 1;
            }
            Field::Data(value) => {
                if let Some(first) = here.data.take() {
                    self.data.extend_from_slice(first);
                }
                self.add_data(value);
            }
            Field::Event(value) => {
                here.event = Some(value);
                self.has_event = true;
            }
            Field::Other => {}
        }
    }

    fn field_copied(&mut self, line: &[u8]) {
        match field(line) {
            Field::Data(value) => self.add_data(value),
            Field::Event(value) => {
                self.event.clear();
                self.event.extend_from_slice(value);
                self.has_event = true;
            }
            Field::Other => {}
        }
    }

    fn add_data(&mut self, value: &[u8]) {
        if self.data_lines > 0 {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.data_lines += 1;
    }

    fn copy_in(&mut self, here: InChunk<'_>) {
        if let Some(data) = here.data {
            self.data.extend_from_slice(data);
        }
        if let Some(event) = here.event {
            self.event.clear();
            self.event.extend_from_slice(event);
        }
    }

    fn dispatch(&mut self, here: &mut InChunk<'_>, each: &mut impl FnMut(SseEvent<'_>)) {
        let here = std::mem::take(here);
        if self.data_lines > 0 {
            let event = self.has_event.then(|| here.event.unwrap_or(&self.event));
            each(SseEvent {
                event: event.and_then(|name| std::str::from_utf8(name).ok()),
                data: here.data.unwrap_or(&self.data),
            });
        }
        self.reset();
    }
}

enum Field<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Other,
}

fn field(line: &[u8]) -> Field<'_> {
    let (name, value) = match line.iter().position(|byte| *byte == b':') {
        Some(colon) => (&line[..colon], &line[colon + 1..]),
        None => (line, &[][..]),
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match name {
        b"data" => Field::Data(value),
        b"event" => Field::Event(value),
        _ => Field::Other,
    }
}
