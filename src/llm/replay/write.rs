//! Small things that all stream writers need.

use serde_json::Value;

/// Largest piece of text in one event, in bytes. Clients render piece by piece; each event costs some 200 bytes more.
const PIECE: usize = 256;

/// The text in pieces of at most [`PIECE`] bytes, cut between characters. An empty text has none.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Appends `data: VALUE`.
pub(super) fn data(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(value.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Appends an event that is named like its `type`.
pub(super) fn event(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(
        value
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("message")
            .as_bytes(),
    );
    out.push(b'\n');
    data(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lose_nothing_and_cut_between_characters() {
        for text in [
            "",
            "a",
            &"é".repeat(1000),
            &"x".repeat(PIECE),
            &"日本".repeat(500),
        ] {
            assert_eq!(pieces(text).collect::<String>(), *text);
            assert!(pieces(text).all(|piece| (1..=PIECE).contains(&piece.len())));
        }
    }
}
