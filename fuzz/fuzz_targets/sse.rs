//! The splitter hands out what the HTML standard says, wherever the stream is cut, and holds no more than its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::llm::sse::{SseEvent, SseSplitter};
use tollgate_fuzz::seeded;

type Owned = (Option<String>, Vec<u8>);

fn own(event: SseEvent<'_>) -> Owned {
    (event.event.map(str::to_owned), event.data.to_vec())
}

/// The standard's rules over the whole stream at once.
fn reference(stream: &[u8]) -> Vec<Owned> {
    let mut rest = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let (mut seen, mut event, mut data) = (Vec::new(), None, None::<Vec<u8>>);
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        let line = &rest[..end];
        let both = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(both)..];
        let colon = line.iter().position(|byte| *byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(&b""[..], |colon| &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            _ if line.is_empty() => {
                let event = event.take();
                if let Some(data) = data.take() {
                    seen.push((event.flatten(), data));
                }
            }
            b"data" => {
                data = Some(match data {
                    None => value.to_vec(),
                    Some(before) => [&before, &b"\n"[..], value].concat(),
                });
            }
            b"event" => event = Some(String::from_utf8(value.to_vec()).ok()),
            _ => {}
        }
    }
    seen
}

fuzz_target!(|input: &[u8]| {
    let Some((mut random, stream)) = seeded(input) else {
        return;
    };
    let expected = reference(stream);
    let finished = reference(&[stream, b"\n\n"].concat());
    for largest in [usize::MAX, 1, 1 + stream.len() / 8] {
        let mut splitter = SseSplitter::new(usize::MAX);
        let mut seen = Vec::new();
        let mut rest = stream;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(random.usize(1..=largest.min(rest.len())));
            splitter.push(chunk, |event| seen.push(own(event)));
            rest = after;
        }
        assert_eq!(seen, expected, "cut");

        let mut closed = SseSplitter::new(usize::MAX);
        closed.push(stream, |_| {});
        let closing = closed.closing();
        closed.push(closing, |_| {});
        assert!(
            closed.at_boundary(),
            "closing {closing:?} reaches no border"
        );

        splitter.finish(|event| seen.push(own(event)));
        assert_eq!(seen, finished, "finished");
    }

    let bound = random.usize(0..=64);
    let mut splitter = SseSplitter::new(bound);
    let mut seen = Vec::new();
    for chunk in stream.chunks(1 + random.usize(0..16)) {
        splitter.push(chunk, |event| seen.push(own(event)));
        assert!(splitter.held() <= 2 * bound, "held {}", splitter.held());
    }
    assert!(seen.len() as u64 + splitter.skipped() >= expected.len() as u64);
    assert!(seen.iter().all(|event| expected.contains(event)));
});
