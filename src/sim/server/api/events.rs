//! Server-sent events on their way out, counted so that a fault can end them after so many.

use bytes::{Bytes, BytesMut};

use crate::sim::server::fault::Spoil;

/// Events that are written but not yet sent.
#[derive(Debug)]
pub(in crate::sim::server) struct Events {
    buffer: BytesMut,
    left: Option<u32>,
    spoil: Option<Spoil>,
    written: u32,
}

impl Events {
    /// A buffer that takes `limit` events and ignores what follows; `spoil` is what is wrong with them.
    pub(in crate::sim::server) fn new(limit: Option<u32>, spoil: Option<Spoil>) -> Self {
        Self {
            buffer: BytesMut::new(),
            left: limit,
            spoil,
            written: 0,
        }
    }

    /// Whether the limit is reached.
    pub(in crate::sim::server) fn exhausted(&self) -> bool {
        self.left == Some(0)
    }

    /// What was written since the last call; `None` when that is nothing.
    pub(in crate::sim::server) fn take(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }

    /// Writes one event whose data are the parts joined. An empty name writes no `event:` line.
    pub(super) fn event(&mut self, name: &str, data: &[&str]) {
        match &mut self.left {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        let ends = data == ["[DONE]"]
            || matches!(
                name,
                "message_stop" | "response.completed" | "response.incomplete"
            );
        if ends && self.spoil == Some(Spoil::NoEnd) {
            return;
        }
        if !name.is_empty() {
            self.write(&["event: ", name, "\n"]);
        }
        self.write(&["data: "]);
        if self.spoil == Some(Spoil::BadJson(self.written)) {
            let whole = data.concat();
            self.write(&[&whole[..whole.floor_char_boundary(whole.len() / 2)]]);
        } else {
            self.write(data);
        }
        self.write(&["\n\n"]);
        self.written += 1;
    }

    /// Writes one event of JSON, named by its own `type`.
    pub(super) fn typed(&mut self, data: &serde_json::Value) {
        self.event(
            data["type"].as_str().unwrap_or_default(),
            &[&data.to_string()],
        );
    }

    fn write(&mut self, parts: &[&str]) {
        for part in parts {
            self.buffer.extend_from_slice(part.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_past_the_limit_are_not_written() {
        let mut events = Events::new(Some(2), None);
        events.event("", &["a", "b"]);
        events.typed(&serde_json::json!({"type": "ping"}));
        assert!(events.exhausted());
        events.event("", &["c"]);
        assert_eq!(
            events.take().unwrap(),
            "data: ab\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n"
        );
        assert_eq!(events.take(), None);
    }
}
