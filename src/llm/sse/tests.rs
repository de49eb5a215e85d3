use proptest::prelude::*;

use super::*;

type Owned = (Option<String>, Vec<u8>);

fn own(event: SseEvent<'_>) -> Owned {
    (event.event.map(str::to_owned), event.data.to_vec())
}

fn split(chunks: &[&[u8]], max: usize) -> (Vec<Owned>, SseSplitter) {
    let mut splitter = SseSplitter::new(max);
    let mut seen = Vec::new();
    for chunk in chunks {
        splitter.push(chunk, |event| seen.push(own(event)));
    }
    (seen, splitter)
}

fn data_of(stream: &[u8]) -> Vec<String> {
    let (seen, _) = split(&[stream], MAX_EVENT_BYTES);
    seen.into_iter()
        .map(|(_, data)| String::from_utf8(data).unwrap())
        .collect()
}

/// The standard's own words, over the whole stream at once.
fn reference(stream: &[u8]) -> Vec<Owned> {
    let text = String::from_utf8_lossy(stream)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut seen, mut event, mut data): (Vec<Owned>, Option<String>, Option<String>) =
        (Vec::new(), None, None);
    let Some((whole, _)) = text.rsplit_once('\n') else {
        return seen;
    };
    for line in whole.split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            _ if line.is_empty() => {
                let event = event.take();
                if let Some(data) = data.take() {
                    seen.push((event, data.into_bytes()));
                }
            }
            "data" => data = Some(data.map_or(value.to_owned(), |so_far| so_far + "\n" + value)),
            "event" => event = Some(value.to_owned()),
            _ => {}
        }
    }
    seen
}

#[test]
fn every_line_end_and_field_form_of_the_standard_is_read() {
    assert_eq!(
        data_of(b"data: a\n\ndata:b\r\n\r\ndata:  c\r\rdata\n\n"),
        ["a", "b", " c", ""]
    );
    assert_eq!(data_of(b"data: a\ndata: b\ndata:\n\n"), ["a\nb\n"]);
    assert_eq!(data_of(b"\xEF\xBB\xBFdata: a\n\n"), ["a"]);
    assert_eq!(
        data_of(b": comment\n\nid: 7\nretry: 1\n\nevent: x\n\n"),
        [""; 0]
    );
    assert_eq!(data_of(b"data : no\nDATA: no\ndata: yes\n\n"), ["yes"]);
}

#[test]
fn the_event_name_does_not_leak_into_the_next_event() {
    let (seen, _) = split(&[b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n"], 100);
    assert_eq!(
        seen,
        [(Some("b".to_owned()), b"1".to_vec()), (None, b"2".to_vec())]
    );
}

#[test]
fn an_event_that_lies_whole_in_the_chunk_is_not_copied() {
    let chunk = b"event: e\ndata: hello\n\n".as_slice();
    let mut splitter = SseSplitter::new(100);
    splitter.push(chunk, |event| {
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()))
    });
    assert_eq!(splitter.data.capacity() + splitter.line.capacity(), 0);
}

#[test]
fn an_oversized_event_is_counted_and_the_next_one_is_read() {
    let big = format!("data: {}\n\ndata: small\n\n", "x".repeat(64));
    for size in [1, 7, 1000] {
        let chunks: Vec<&[u8]> = big.as_bytes().chunks(size).collect();
        let (seen, splitter) = split(&chunks, 32);
        assert_eq!(seen, [(None, b"small".to_vec())]);
        assert_eq!(splitter.skipped(), 1);
    }
}

#[test]
fn endless_keep_alive_comments_take_no_memory() {
    let mut splitter = SseSplitter::new(32);
    for _ in 0..1000 {
        splitter.push(b": still here, please wait\n: more", |_| {
            panic!("a comment is no event")
        });
    }
    assert_eq!((splitter.held(), splitter.skipped()), (0, 0));
}

#[test]
fn the_end_of_the_stream_hands_out_what_lacks_its_blank_line() {
    let mut seen = Vec::new();
    let (_, mut splitter) = split(&[b"data: [DONE]"], 100);
    splitter.finish(|event| seen.push(own(event)));
    splitter.finish(|event| seen.push(own(event)));
    assert_eq!(seen, [(None, b"[DONE]".to_vec())]);
}

#[test]
fn a_border_is_where_a_further_event_can_be_appended() {
    for (stream, closing) in [
        (&b""[..], &b""[..]),
        (b"data: a\n\n", b""),
        (b"data: a\r\n\r\n", b""),
        (b"data: a\r\n\r", b""),
        (b"data: a\n\n: ping\n", b""),
        (b"data: a\n\n: pi", b"\n\n"),
        (b"data: a\n", b"\n"),
        (b"data: a\r", b"\n\n"),
        (b"data: a\r\n", b"\n"),
        (b"data: a", b"\n\n"),
        (b"event: e\n", b"\n"),
    ] {
        let (_, splitter) = split(&[stream], 100);
        assert_eq!(splitter.closing(), closing, "{}", stream.escape_ascii());
        assert_eq!(splitter.at_boundary(), closing.is_empty());
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("data: x"),
        Just("data:"),
        Just("data"),
        Just(": c"),
        Just("event: e"),
        Just("id: 1"),
        Just("\u{feff}"),
        Just("é"),
        Just(":"),
        Just(" "),
        Just("{\"a\":1}"),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn cut(stream: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| stream[pair[0]..pair[1]].to_vec())
        .collect()
}

proptest! {
    #[test]
    fn any_chunking_yields_the_events_of_the_standard(
        stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)
    ) {
        let chunks = cut(&stream, &cuts);
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let (seen, splitter) = split(&chunks, MAX_EVENT_BYTES);
        prop_assert_eq!(seen, reference(&stream));
        prop_assert_eq!(splitter.skipped(), 0);
    }

    #[test]
    fn the_bound_skips_the_same_events_however_the_stream_is_cut(
        stream in stream(), max in 0usize..40, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)
    ) {
        let chunks = cut(&stream, &cuts);
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let (whole, mut one) = split(&[&stream], max);
        let (seen, mut many) = split(&chunks, max);
        prop_assert_eq!(seen, whole);
        prop_assert!(many.held() <= 2 * max);
        let (mut last, mut last_many) = (Vec::new(), Vec::new());
        one.finish(|event| last.push(own(event)));
        many.finish(|event| last_many.push(own(event)));
        prop_assert_eq!(last, last_many);
        prop_assert_eq!(one.skipped(), many.skipped());
    }

    #[test]
    fn after_its_closing_bytes_an_appended_event_is_read_alone(stream in stream()) {
        let (_, mut splitter) = split(&[&stream], MAX_EVENT_BYTES);
        let closing = splitter.closing();
        splitter.push(closing, |_| ());
        let mut seen = Vec::new();
        splitter.push(b"data: appended\n\n", |event| seen.push(own(event)));
        prop_assert_eq!(seen, vec![(None, b"appended".to_vec())]);
    }
}
