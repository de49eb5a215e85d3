//! A line in nginx's `combined` format, byte for byte as nginx writes it:
//! `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
//! (ngx_http_log_module). Values are escaped as nginx does by default: `"`, `\`, controls and bytes above 126 as `\xXX`.

use std::io::Write;
use std::time::Duration;

use super::Line;
use super::json::address;
use super::redact::redacted;
use super::stamp::Stamps;

/// nginx's status for a client that left before it was answered.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub(super) fn render(line: &Line<'_>, stamps: &mut Stamps, text: &mut Vec<u8>) {
    match line.client {
        Some(ip) => address(ip, text),
        None => text.push(b'-'),
    }
    text.extend_from_slice(b" - ");
    value(line.key.map(str::as_bytes), text);
    text.extend_from_slice(b" [");
    let took = Duration::try_from_secs_f64(line.duration_ms / 1000.0).unwrap_or_default();
    // nginx's time is that of the end.
    stamps.local(line.arrived + took, text);
    text.extend_from_slice(b"] \"");
    escape(line.method.as_bytes(), text);
    text.push(b' ');
    escape(redacted(line.target.as_bytes()).as_ref(), text);
    let status = match line.status {
        0 if line.client_aborted => CLIENT_CLOSED_REQUEST,
        status => status,
    };
    // Writing to memory does not fail.
    let _ = write!(
        text,
        " {:?}\" {status:03} {} \"",
        line.version, line.response_bytes
    );
    value(line.referer.map(redacted).as_deref(), text);
    text.extend_from_slice(b"\" \"");
    value(line.user_agent, text);
    text.extend_from_slice(b"\"\n");
}

fn value(value: Option<&[u8]>, text: &mut Vec<u8>) {
    match value {
        Some(value) => escape(value, text),
        None => text.push(b'-'),
    }
}

fn escape(value: &[u8], text: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'\\' | ..=0x1f | 0x7f.. => {
                let _ = write!(text, "\\x{byte:02X}");
            }
            plain => text.push(*plain),
        }
    }
}
