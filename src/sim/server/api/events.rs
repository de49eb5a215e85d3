//! Server-sent events on their way out, counted so that a fault can end them after so many.

use bytes::{Bytes, BytesMut};

/// Events that are written but not yet sent.
#[derive(Debug)]
pub(in crate::sim::server) struct Events {
    buffer: BytesMut,
    left: Option<u32>,
}

impl Events {
    /// A buffer that takes `limit` events and ignores what follows.
    pub(in crate::sim::server) fn new(limit: Option<u32>) -> Self {
        Self {
            buffer: BytesMut::new(),
            left: limit,
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
        if !name.is_empty() {
            self.write(&["event: ", name, "\n"]);
        }
        self.write(&["data: "]);
        self.write(data);
        self.write(&["\n\n"]);
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
        let mut events = Events::new(Some(2));
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
