//! Requests that the standard wants refused, some that it leaves open, and some that are right.

use super::lab::{Case, May};

fn refused(name: &str, bytes: impl AsRef<[u8]>) -> Case {
    Case {
        name: name.to_owned(),
        bytes: bytes.as_ref().to_vec(),
        may: May::BeRefused,
    }
}

fn may_arrive(name: &str, bytes: impl AsRef<[u8]>, body: &str) -> Case {
    Case {
        may: May::ArriveWith(body.into()),
        ..refused(name, bytes)
    }
}

fn arrives(name: &str, bytes: impl AsRef<[u8]>, body: &str) -> Case {
    Case {
        may: May::OnlyArriveWith(body.into()),
        ..refused(name, bytes)
    }
}

/// A request with these header lines, and what follows its head.
fn with(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: t\r\n{lines}\r\n{rest}").into_bytes()
}

fn chunked(rest: &str) -> Vec<u8> {
    with("transfer-encoding: chunked\r\n", rest)
}

/// Well-formed requests: without them, a gate that refuses everything would pass.
pub(super) fn lawful_cases() -> Vec<Case> {
    vec![
        arrives("length", with("content-length: 5\r\n", "hello"), "hello"),
        arrives(
            "chunks",
            chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "hello",
        ),
        arrives(
            "capital digits",
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            "0123456789",
        ),
        arrives(
            "leading zeros",
            chunked("005\r\nhello\r\n000\r\n\r\n"),
            "hello",
        ),
        arrives("no body", with("", ""), ""),
        arrives(
            "a body that looks like a request",
            with("content-length: 26\r\n", "GET /x HTTP/1.1\r\nhost: t\r\n"),
            "GET /x HTTP/1.1\r\nhost: t\r\n",
        ),
        arrives(
            "a coding in capitals",
            with("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            "hello",
        ),
    ]
}

pub(super) fn unlawful_cases() -> Vec<Case> {
    let inner = "GET /inner HTTP/1.1\r\nhost: t\r\n\r\n";
    let empty = "0\r\n\r\n";
    let wide = "0".repeat(40_000);
    vec![
        refused(
            "two lengths that differ",
            with("content-length: 1\r\ncontent-length: 2\r\n", "ab"),
        ),
        refused(
            "a list of lengths that differ",
            with("content-length: 1, 2\r\n", "ab"),
        ),
        may_arrive(
            "two equal lengths",
            with("content-length: 2\r\ncontent-length: 2\r\n", "ab"),
            "ab",
        ),
        refused("a length with a sign", with("content-length: +2\r\n", "ab")),
        refused("a negative length", with("content-length: -1\r\n", "")),
        refused("a length in hex", with("content-length: 0x2\r\n", "ab")),
        refused(
            "a length beyond 64 bits",
            with("content-length: 18446744073709551618\r\n", "ab"),
        ),
        refused("an empty length", with("content-length:\r\n", "")),
        refused(
            "a length with a space in it",
            with("content-length: 1 2\r\n", "ab"),
        ),
        may_arrive(
            "length and chunks",
            with(
                &format!(
                    "content-length: {}\r\ntransfer-encoding: chunked\r\n",
                    empty.len() + inner.len()
                ),
                empty,
            ),
            "",
        ),
        refused(
            "identity, chunked",
            with("transfer-encoding: identity, chunked\r\n", empty),
        ),
        refused(
            "chunked twice",
            with(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                empty,
            ),
        ),
        refused(
            "chunked, chunked",
            with("transfer-encoding: chunked, chunked\r\n", empty),
        ),
        refused(
            "chunked, gzip",
            with("transfer-encoding: chunked, gzip\r\n", empty),
        ),
        refused(
            "gzip, chunked",
            with("transfer-encoding: gzip, chunked\r\n", empty),
        ),
        refused(
            "identity",
            with("transfer-encoding: identity\r\ncontent-length: 2\r\n", "ab"),
        ),
        refused(
            "an empty coding",
            with("transfer-encoding:\r\ncontent-length: 2\r\n", "ab"),
        ),
        refused(
            "a quoted coding",
            with("transfer-encoding: \"chunked\"\r\n", empty),
        ),
        refused("a chunk size with a sign", chunked("+2\r\nab\r\n0\r\n\r\n")),
        refused("a negative chunk size", chunked("-2\r\nab\r\n0\r\n\r\n")),
        refused(
            "a chunk size with a space before it",
            chunked(" 2\r\nab\r\n0\r\n\r\n"),
        ),
        refused("a chunk size with 0x", chunked("0x2\r\nab\r\n0\r\n\r\n")),
        refused("a chunk size with _", chunked("0_2\r\nab\r\n0\r\n\r\n")),
        refused("no chunk size", chunked("\r\nab\r\n0\r\n\r\n")),
        refused(
            "a chunk size beyond 64 bits",
            chunked("10000000000000002\r\nab\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk size that wraps at 32 bits",
            chunked("100000000000002\r\nab\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk longer than its size",
            chunked("2\r\nabc\r\n0\r\n\r\n"),
        ),
        refused("a chunk that ends in LF", chunked("2\r\nab\n0\r\n\r\n")),
        refused(
            "a chunk size that ends in LF",
            chunked("2\nab\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk size that ends in CR",
            chunked("2\rab\r\n0\r\n\r\n"),
        ),
        refused("a last chunk that ends in LF", chunked("2\r\nab\r\n0\n\n")),
        may_arrive(
            "a chunk extension",
            chunked("2;a=b\r\nab\r\n0\r\n\r\n"),
            "ab",
        ),
        may_arrive(
            "a quoted chunk extension",
            chunked("2;a=\"b\"\r\nab\r\n0\r\n\r\n"),
            "ab",
        ),
        refused(
            "a chunk extension with LF",
            chunked("2;a\nb\r\nab\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk extension of 40 kB",
            chunked(&format!("2;{wide}\r\nab\r\n0\r\n\r\n")),
        ),
        may_arrive(
            "trailers",
            chunked("2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n"),
            "ab",
        ),
        may_arrive(
            "a length in the trailers",
            chunked("2\r\nab\r\n0\r\ncontent-length: 40\r\n\r\n"),
            "ab",
        ),
        may_arrive(
            "a coding in the trailers",
            chunked("2\r\nab\r\n0\r\ntransfer-encoding: chunked\r\n\r\n"),
            "ab",
        ),
        may_arrive(
            "a host in the trailers",
            chunked("2\r\nab\r\n0\r\nhost: other\r\n\r\n"),
            "ab",
        ),
        refused(
            "trailers that are no headers",
            chunked("2\r\nab\r\n0\r\nGET /inner HTTP/1.1\r\n\r\n"),
        ),
        refused(
            "trailers of 40 kB",
            chunked(&format!("0\r\nx: {wide}\r\n\r\n")),
        ),
        refused(
            "lines that end in LF",
            "POST / HTTP/1.1\nhost: t\ncontent-length: 2\n\nab",
        ),
        refused(
            "a header line that ends in LF",
            with("x: y\ncontent-length: 2\r\n", "ab"),
        ),
        refused(
            "a header line that ends in CR",
            with("x: y\rcontent-length: 2\r\n", "ab"),
        ),
        refused(
            "a head that ends in LF",
            "POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\nab",
        ),
        refused("a folded header", with("x: y\r\n z\r\n", "")),
        refused(
            "a folded coding",
            with("transfer-encoding:\r\n chunked\r\n", empty),
        ),
        refused(
            "a folded first header",
            "POST / HTTP/1.1\r\n host: t\r\nhost: t\r\n\r\n",
        ),
        refused("NUL in a value", with("x: a\0b\r\n", "")),
        refused("NUL in a name", with("x\0: a\r\n", "")),
        refused("NUL in a target", "POST /\0 HTTP/1.1\r\nhost: t\r\n\r\n"),
        refused(
            "a space before the colon",
            with("content-length : 2\r\n", "ab"),
        ),
        refused("a tab before the colon", with("x\t: 2\r\n", "")),
        refused("an empty name", with(": x\r\n", "")),
        refused("a line without a colon", with("content-length\r\n", "")),
        refused("two hosts", with("host: other\r\n", "")),
        refused(
            "a host with a list",
            "POST / HTTP/1.1\r\nhost: a, b\r\n\r\n",
        ),
        refused("a host with a path", "POST / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
        refused("a host with a user", "POST / HTTP/1.1\r\nhost: a@b\r\n\r\n"),
        refused("no host", "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab"),
        refused(
            "1.0 with chunks",
            "POST / HTTP/1.0\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        refused("version 1.2", "POST / HTTP/1.2\r\nhost: t\r\n\r\n"),
        refused("version 2.0", "POST / HTTP/2.0\r\nhost: t\r\n\r\n"),
        refused("no version", "POST /\r\nhost: t\r\n\r\n"),
        refused(
            "a version in small letters",
            "POST / http/1.1\r\nhost: t\r\n\r\n",
        ),
        refused(
            "two spaces in the request line",
            "POST  /x HTTP/1.1\r\nhost: t\r\n\r\n",
        ),
        refused(
            "a tab in the request line",
            "POST\t/x\tHTTP/1.1\r\nhost: t\r\n\r\n",
        ),
        refused(
            "a space behind the version",
            "POST / HTTP/1.1 \r\nhost: t\r\n\r\n",
        ),
        refused(
            "a space in the target",
            "POST /a b HTTP/1.1\r\nhost: t\r\n\r\n",
        ),
        refused(
            "a target without a slash",
            "POST x HTTP/1.1\r\nhost: t\r\n\r\n",
        ),
        refused(
            "a method with a bracket",
            "PO(ST / HTTP/1.1\r\nhost: t\r\n\r\n",
        ),
        refused("CONNECT", "CONNECT t:80 HTTP/1.1\r\nhost: t:80\r\n\r\n"),
        refused(
            "a header behind a space",
            with(" content-length: 2\r\n", "ab"),
        ),
    ]
}
