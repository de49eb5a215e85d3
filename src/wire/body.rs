//! A body, from bytes as they come to parts without framing.

use bytes::{Bytes, BytesMut};

use super::trailers::parse_trailers;
use super::{Framing, Malformed};
use crate::util::headers::Headers;

/// Longest line that gives a chunk's size, in bytes.
const MOST_SIZE_LINE: usize = 256;
/// Largest block of trailers, in bytes.
const MOST_TRAILERS: usize = 8 * 1024;

/// Takes one body apart.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    trailers: Option<Headers>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So much is still to come of a body of known length.
    Length(u64),
    /// A chunk's size line comes next.
    ChunkSize,
    /// So much is still to come of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
    /// What came before is good and was passed on.
    Bad(Malformed),
}

/// What the buffer held.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The next part, never empty.
    Part(Bytes),
    /// Nothing yet: read more.
    More,
    /// The body has come to its end.
    Done,
}

impl Decoder {
    /// For a body with this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            trailers: None,
        }
    }

    /// Takes the next part off the front of `buffer`.
    ///
    /// # Errors
    /// When the chunks are not as RFC 9112, 7.1, has them.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Malformed> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::Done),
                State::Bad(why) => return Err(why),
                _ if buffer.is_empty() => return Ok(Decoded::More),
                State::Length(left) => {
                    let (part, left) = take(buffer, left);
                    self.state = match left {
                        0 => State::Done,
                        left => State::Length(left),
                    };
                    return Ok(Decoded::Part(part));
                }
                State::UntilClose => return Ok(Decoded::Part(buffer.split().freeze())),
                State::ChunkSize => match chunk_size(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Chunk(size),
                },
                State::Chunk(left) => {
                    let (part, left) = take(buffer, left);
                    self.state = match left {
                        0 => State::ChunkEnd,
                        left => State::Chunk(left),
                    };
                    if left == 0 {
                        // So that a last chunk that is already here is seen before its bytes are passed on.
                        if let Err(why) = self.skip_ahead(buffer) {
                            self.state = State::Bad(why);
                        }
                    }
                    return Ok(Decoded::Part(part));
                }
                State::ChunkEnd if buffer.starts_with(b"\r\n") => {
                    let _ = buffer.split_to(2);
                    self.state = State::ChunkSize;
                }
                State::ChunkEnd if *buffer == b"\r"[..] => return Ok(Decoded::More),
                State::ChunkEnd => return Err(Malformed::Syntax("a chunk is longer than it says")),
                State::Trailers => match trailers(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(trailers) => {
                        self.trailers = trailers;
                        self.state = State::Done;
                    }
                },
            }
        }
    }

    /// Moves over framing that is already in the buffer, up to the next byte of the body.
    fn skip_ahead(&mut self, buffer: &mut BytesMut) -> Result<(), Malformed> {
        while !buffer.is_empty() {
            match self.state {
                State::ChunkEnd if buffer.starts_with(b"\r\n") => {
                    let _ = buffer.split_to(2);
                    self.state = State::ChunkSize;
                }
                State::ChunkSize => match chunk_size(buffer)? {
                    None => return Ok(()),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Chunk(size),
                },
                State::Trailers => match trailers(buffer)? {
                    None => return Ok(()),
                    Some(trailers) => {
                        self.trailers = trailers;
                        self.state = State::Done;
                    }
                },
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// When the body had not.
    pub fn closed(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Bad(why) => Err(why),
            _ => Err(Malformed::Syntax("the connection ended within the body")),
        }
    }

    /// Whether the body has come to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How much is still to come of a body of known length, in bytes.
    pub fn known_rest(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The trailers of a chunked body that is done, if it had any.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}

/// Up to `most` bytes off the front, and what is then left of `most`.
fn take(buffer: &mut BytesMut, most: u64) -> (Bytes, u64) {
    let here = usize::try_from(most)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    (buffer.split_to(here).freeze(), most - here as u64)
}

/// A chunk's size line: hexadecimal digits, perhaps an extension, CR LF.
fn chunk_size(buffer: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return match buffer.len() > MOST_SIZE_LINE {
            true => Err(Malformed::Syntax("a chunk's size line is too long")),
            false => Ok(None),
        };
    };
    if end > MOST_SIZE_LINE {
        return Err(Malformed::Syntax("a chunk's size line is too long"));
    }
    let Some(line) = buffer[..end].strip_suffix(b"\r") else {
        return Err(Malformed::Syntax(
            "a chunk's size line has no carriage return",
        ));
    };
    let digits = memchr::memchr(b';', line).map_or(line, |semicolon| &line[..semicolon]);
    let bad = Malformed::Syntax("a chunk's size is not a number");
    if digits.is_empty() || line.contains(&b'\r') {
        return Err(bad);
    }
    let mut size = 0_u64;
    for byte in digits {
        let digit = char::from(*byte).to_digit(16).ok_or(bad)?;
        if size >> 59 != 0 {
            return Err(Malformed::Syntax("a chunk is too large"));
        }
        size = size << 4 | u64::from(digit);
    }
    let _ = buffer.split_to(end + 1);
    Ok(Some(size))
}

/// What follows the last chunk, up to its empty line. The inner `None`: no trailers.
fn trailers(buffer: &mut BytesMut) -> Result<Option<Option<Headers>>, Malformed> {
    if buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
        return Ok(Some(None));
    }
    match memchr::memmem::find(buffer, b"\r\n\r\n") {
        Some(at) if at <= MOST_TRAILERS => {
            let block = buffer.split_to(at + 4).freeze();
            parse_trailers(&block).map(|trailers| Some(Some(trailers)))
        }
        None if buffer.len() <= MOST_TRAILERS => match memchr::memchr(b'\n', buffer) {
            Some(at) if at == 0 || buffer[at - 1] != b'\r' => Err(Malformed::Syntax(
                "a trailer ends without a carriage return",
            )),
            _ => Ok(None),
        },
        _ => Err(Malformed::HeadTooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(framing: Framing, text: &[u8]) -> Result<(Vec<u8>, bool, Vec<u8>), Malformed> {
        let (mut decoder, mut buffer) = (Decoder::new(framing), BytesMut::from(text));
        let mut body = Vec::new();
        loop {
            match decoder.next(&mut buffer)? {
                Decoded::Part(part) => body.extend_from_slice(&part),
                Decoded::More => return Ok((body, false, buffer.to_vec())),
                Decoded::Done => return Ok((body, true, buffer.to_vec())),
            }
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says_and_not_a_byte_later() {
        assert_eq!(
            decode(Framing::Length(3), b"abcGET"),
            Ok((b"abc".to_vec(), true, b"GET".to_vec()))
        );
        assert_eq!(
            decode(
                Framing::Chunked,
                b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nGET"
            ),
            Ok((b"abc0123456789".to_vec(), true, b"GET".to_vec()))
        );
        assert_eq!(
            decode(Framing::UntilClose, b"abc"),
            Ok((b"abc".to_vec(), false, Vec::new()))
        );
    }

    #[test]
    fn the_end_is_known_with_the_last_part_when_it_is_already_here() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut buffer = BytesMut::from("3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(
            decoder.next(&mut buffer),
            Ok(Decoded::Part(Bytes::from("abc")))
        );
        assert!(decoder.is_done());
    }

    #[test]
    fn what_came_before_broken_framing_is_passed_on_first() {
        for broken in [
            "3\r\nabc\r\nno chunk\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\r\n0\r\nx y\r\n\r\n",
        ] {
            let mut decoder = Decoder::new(Framing::Chunked);
            let mut buffer = BytesMut::from(broken);
            let part = Decoded::Part(Bytes::from("abc"));
            assert_eq!(decoder.next(&mut buffer), Ok(part), "{broken:?}");
            assert!(!decoder.is_done());
            assert!(decoder.next(&mut buffer).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn trailers_are_kept() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut buffer = BytesMut::from("0\r\nx-sum: 1\r\n\r\n");
        assert_eq!(decoder.next(&mut buffer), Ok(Decoded::Done));
        assert_eq!(decoder.take_trailers().expect("some")["x-sum"], "1");
    }

    #[test]
    fn chunks_that_some_would_read_differently_are_refused() {
        for text in [
            &b"+3\r\nabc\r\n"[..],
            b"-1\r\n",
            b"0x3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"3\nabc\n",
            b"3\r\nabcd\r\n",
            b"\r\nabc",
            b";x\r\n",
            b"10000000000000000\r\n",
            b"3;\rx\r\nabc\r\n",
            b"0\r\nx: y\n\n",
            // A reader of bare line feeds sees the end here, and a request behind it.
            b"0\r\nx: y\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            assert!(decode(Framing::Chunked, text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn chunks_come_out_the_same_however_they_are_cut(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(1_usize..17, 1..20),
        ) {
            let mut wire = Vec::new();
            for part in &parts {
                wire.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                wire.extend_from_slice(part);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\nnext");
            let (mut decoder, mut buffer) = (Decoder::new(Framing::Chunked), BytesMut::new());
            let (mut body, mut at) = (Vec::new(), 0);
            let mut cuts = cuts.iter().cycle();
            loop {
                match decoder.next(&mut buffer).expect("good") {
                    Decoded::Part(part) => body.extend_from_slice(&part),
                    Decoded::Done => break,
                    Decoded::More => {
                        let to = (at + cuts.next().expect("endless")).min(wire.len());
                        prop_assert!(at < to, "complete");
                        buffer.extend_from_slice(&wire[at..to]);
                        at = to;
                    }
                }
            }
            prop_assert_eq!(body, parts.concat());
            buffer.extend_from_slice(&wire[at..]);
            prop_assert_eq!(&buffer[..], b"next");
        }
    }
}
