//! A line as a JSON object, under the names of OpenTelemetry's GenAI conventions where they have one.
//!
//! By hand, since a serializer looks through every byte of every name for something to escape: that was three quarters of
//! the work.

use std::io::Write;
use std::net::IpAddr;

use serde::Serialize;

use super::Line;
use super::stamp::Stamps;
use crate::util::json_text::first_mark;

/// A field's name, which has nothing in it to escape, with what stands around it.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) fn render(line: &Line<'_>, stamps: &mut Stamps, text: &mut Vec<u8>) {
    text.extend_from_slice(b"{\"time\":\"");
    stamps.utc(line.arrived, text);
    text.push(b'"');
    let mut o = Object { text };
    o.text(key!("request_id"), line.request_id);
    o.key(key!("client"));
    o.text.push(b'"');
    if let Some(ip) = line.client {
        address(ip, o.text);
    }
    o.text.push(b'"');
    o.text(key!("method"), line.method);
    // The query stays out: it may hold anything.
    o.text(
        key!("path"),
        line.target.split('?').next().unwrap_or_default(),
    );
    o.value(key!("status"), &line.status);
    if !line.error_type.is_empty() {
        o.text(key!("error_type"), line.error_type);
    }
    o.maybe(key!("key"), line.key);
    o.maybe(key!("tenant"), line.tenant);
    o.maybe(key!("priority"), line.priority);
    o.maybe(key!("route"), line.route);
    o.maybe(key!("upstream"), line.upstream);
    o.value(key!("attempts"), &line.attempts);
    o.maybe(key!("gen_ai.request.model"), line.model);
    o.maybe(key!("gen_ai.response.model"), line.response_model);
    o.some(key!("gen_ai.usage.input_tokens"), line.input_tokens);
    o.some(key!("gen_ai.usage.output_tokens"), line.output_tokens);
    o.some(key!("cached_input_tokens"), line.cached_input_tokens);
    o.maybe(key!("finish_reason"), line.finish_reason);
    o.value(key!("stream"), &line.stream);
    o.maybe(key!("cache_status"), line.cache_status);
    o.maybe(key!("cache_id"), line.cache_id);
    o.some(key!("cache_similarity"), line.cache_similarity);
    o.maybe(key!("limit_bound"), line.limit_bound);
    o.some(key!("ttft_ms"), line.ttft_ms);
    o.some(key!("tpot_ms"), line.tpot_ms);
    o.some(key!("queue_ms"), line.queue_ms);
    o.value(key!("overhead_us"), &line.overhead_us);
    o.value(key!("duration_ms"), &line.duration_ms);
    o.value(key!("request_bytes"), &line.request_bytes);
    o.value(key!("response_bytes"), &line.response_bytes);
    o.value(key!("client_aborted"), &line.client_aborted);
    text.extend_from_slice(b"}\n");
}

/// The fields after the first; keys are made by `key!`.
struct Object<'a> {
    text: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn key(&mut self, key: &'static str) {
        self.text.extend_from_slice(key.as_bytes());
    }

    fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        match first_mark(value.as_bytes()) {
            Some(_) => self.json(value),
            None => {
                self.text.push(b'"');
                self.text.extend_from_slice(value.as_bytes());
                self.text.push(b'"');
            }
        }
    }

    fn maybe(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn value(&mut self, key: &'static str, value: &impl Serialize) {
        self.key(key);
        self.json(value);
    }

    fn some(&mut self, key: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.value(key, &value);
        }
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        // Numbers, words and texts always have a form, and memory takes it.
        let _ = serde_json::to_writer(&mut *self.text, value);
    }
}

/// As `Display` has it, which for the usual kind takes ten times as long.
pub(super) fn address(ip: IpAddr, text: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (n, part) in ip.octets().into_iter().enumerate() {
                if n > 0 {
                    text.push(b'.');
                }
                if part >= 100 {
                    text.push(b'0' + part / 100);
                }
                if part >= 10 {
                    text.push(b'0' + part / 10 % 10);
                }
                text.push(b'0' + part % 10);
            }
        }
        IpAddr::V6(ip) => {
            let _ = write!(text, "{ip}");
        }
    }
}
