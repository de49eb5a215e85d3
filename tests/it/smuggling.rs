//! Requests that two readers would take for different ones are refused, or reach the peer as exactly one.
//!
//! Each is followed on the same connection by a well-formed request, whose place shows whether bytes of one were taken
//! for another. The peer reads strictly and keeps all it gets, also what it cannot read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::data;
use crate::support::gate::{Gate, pool};
use crate::support::raw::LONG;
use crate::support::recorded::text;
use crate::support::strict::{Broken, Framing, Message, Reader};

/// Connections at once.
const LANES: usize = 16;
/// After it, a connection on which nothing comes is closed from this side, so that an unfinished request ends.
const PATIENCE: Duration = Duration::from_secs(2);
/// A route whose bodies stream, and one whose bodies are read whole first.
const PATHS: [&str; 2] = ["/streamed", "/v1/chat/completions"];

/// What may become of a request.
#[derive(Debug, Clone, PartialEq)]
enum May {
    /// Only a refusal, or a closed connection.
    BeRefused,
    /// A refusal, or one request with this body.
    ArriveWith(Vec<u8>),
    /// One request with this body, and nothing else.
    OnlyArriveWith(Vec<u8>),
}

/// A request under test. `{id}` in its head stands for its number.
#[derive(Clone)]
struct Case {
    name: String,
    bytes: Vec<u8>,
    may: May,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused(u16),
    Closed,
    ArrivedByLength,
    ArrivedChunked,
    ArrivedWithoutBody,
    Wrong(String),
}

/// What a peer got: a request, or bytes that can be read in more than one way.
type Got = Arc<Mutex<Vec<Result<Message, String>>>>;

struct Lab {
    gate: Gate,
    got: Got,
    _tasks: JoinSet<()>,
}

impl Lab {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("binds");
        let address = listener.local_addr().expect("bound");
        let got = Got::default();
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&got);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(record(stream, Arc::clone(&kept)));
            }
        });
        let once = "    retry: { attempts: 1 }\n    eject: off\n";
        Self {
            gate: Gate::start(&pool(&[address], once)).await,
            got,
            _tasks: tasks,
        }
    }

    /// Runs all cases on both paths; prints how often each outcome was seen; the wrong ones.
    async fn run(&self, title: &str, cases: Vec<Case>) -> Vec<String> {
        let cases: Arc<Vec<Case>> = Arc::new(
            PATHS
                .iter()
                .flat_map(|path| cases.iter().filter_map(|case| on_path(case, path)))
                .collect(),
        );
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let (cases, gate) = (Arc::clone(&cases), self.gate.address);
            lanes.spawn(async move {
                let mut said = Vec::new();
                for id in (lane..cases.len()).step_by(LANES) {
                    said.push((id, send(gate, id, &cases[id]).await));
                }
                said
            });
        }
        let said: BTreeMap<usize, Vec<u8>> = lanes.join_all().await.into_iter().flatten().collect();
        self.gate.is_at_rest().await;
        let got = self.got.lock().expect("not poisoned");
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (id, case) in cases.iter().enumerate() {
            let outcome = judge(id, case, &said[&id], &got);
            if let Outcome::Wrong(why) = &outcome {
                wrong.push(format!("{}: {why}", case.name));
                *counts.entry(Outcome::Wrong(String::new())).or_default() += 1;
            } else {
                *counts.entry(outcome).or_default() += 1;
            }
        }
        let unread = got.iter().filter_map(|one| one.as_ref().err());
        wrong.extend(unread.map(|what| format!("the peer got what it cannot read: {what}")));
        println!("{title}: {} requests", cases.len());
        for (outcome, count) in counts {
            println!("  {count:5}  {outcome:?}");
        }
        wrong
    }
}

/// The same case on another path, if its request line leaves that open.
fn on_path(case: &Case, path: &str) -> Option<Case> {
    let Some(rest) = case.bytes.strip_prefix(b"POST / ") else {
        return (path == PATHS[0]).then(|| case.clone());
    };
    Some(Case {
        name: format!("{} on {path}", case.name),
        bytes: [format!("POST {path}?case={{id}} ").as_bytes(), rest].concat(),
        may: case.may.clone(),
    })
}

/// Reads requests strictly and keeps them; answers each.
async fn record(stream: TcpStream, got: Got) {
    let mut wire = Reader::new(stream);
    loop {
        let one = match wire.request().await {
            Ok(None) | Err(Broken::Cut(_)) => return,
            Ok(Some(request)) => Ok(request),
            Err(Broken::Unclear(what)) => Err(what),
        };
        let readable = one.is_ok();
        got.lock().expect("not poisoned").push(one);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if wire.get_mut().write_all(answer).await.is_err() || !readable {
            return;
        }
    }
}

fn numbered(bytes: &[u8], id: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|four| four == b"{id}") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(id.to_string().as_bytes());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// Sends a case and a second request behind it; all that comes back.
async fn send(gate: SocketAddr, id: usize, case: &Case) -> Vec<u8> {
    let mut stream = TcpStream::connect(gate).await.expect("connects");
    let mut bytes = numbered(&case.bytes, id);
    bytes.extend_from_slice(
        format!("GET /second?case={id} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
            .as_bytes(),
    );
    // The gate may close before it has all.
    let _ = stream.write_all(&bytes).await;
    let mut all = Vec::new();
    let mut part = [0; 4096];
    let mut shut = false;
    loop {
        match timeout(if shut { LONG } else { PATIENCE }, stream.read(&mut part)).await {
            Ok(Ok(0) | Err(_)) => return all,
            Ok(Ok(read)) => all.extend_from_slice(&part[..read]),
            Err(_) if shut => panic!("{}: the connection is never closed", case.name),
            Err(_) => {
                shut = true;
                let _ = stream.shutdown().await;
            }
        }
    }
}

fn judge(id: usize, case: &Case, said: &[u8], got: &[Result<Message, String>]) -> Outcome {
    let mark = format!("case={id}");
    let arrived: Vec<&Message> = got
        .iter()
        .flatten()
        .filter(|request| {
            let target = request.start.split(' ').nth(1).unwrap_or("");
            target.split(['?', '&']).any(|part| part == mark)
        })
        .collect();
    let (second, first): (Vec<&Message>, Vec<&Message>) = arrived
        .into_iter()
        .partition(|request| request.start == format!("GET /second?case={id} HTTP/1.1"));
    if second.len() > 1 || second.iter().any(|request| !request.body.is_empty()) {
        return Outcome::Wrong(format!(
            "the second request arrived as {}",
            second.iter().map(|one| brief(one)).collect::<String>()
        ));
    }
    let status = std::str::from_utf8(said.get(9..12).unwrap_or(b""))
        .ok()
        .and_then(|status| status.parse::<u16>().ok());
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let Some(request) = first.first() else {
        return match (status, &case.may) {
            (_, May::OnlyArriveWith(_)) => Outcome::Wrong(format!(
                "was refused: {}",
                shown(&said[..said.len().min(300)])
            )),
            (Some(status @ 400..=599), _) => Outcome::Refused(status),
            (None, _) if said.is_empty() => Outcome::Closed,
            _ => Outcome::Wrong(format!(
                "was not sent on, and the answer is {}",
                shown(said)
            )),
        };
    };
    let body = match &case.may {
        _ if first.len() > 1 => {
            return Outcome::Wrong(format!(
                "became several: {}",
                first.iter().map(|one| brief(one)).collect::<String>()
            ));
        }
        May::BeRefused => {
            return Outcome::Wrong(format!("was sent on: {}", brief(request)));
        }
        May::ArriveWith(body) | May::OnlyArriveWith(body) => body,
    };
    if request.body != *body {
        return Outcome::Wrong(format!(
            "arrived with the body {} instead of {}",
            shown(&request.body),
            shown(body)
        ));
    }
    match request.framing {
        Framing::Chunked => Outcome::ArrivedChunked,
        Framing::Length => Outcome::ArrivedByLength,
        _ => Outcome::ArrivedWithoutBody,
    }
}

fn brief(request: &Message) -> String {
    let (start, framing, body) = (&request.start, request.framing, request.body.escape_ascii());
    format!("[{start}] {framing:?} [{body}] ")
}

/// What the standard lets become of a mutation: the body by its length where there is no Transfer-Encoding, the decoded one
/// where it is exactly `chunked`, and a refusal else. A field that is no field at all may also be dropped.
fn lawful(header: &[u8], length: usize, body: &[u8]) -> May {
    let by_length = May::ArriveWith(body[..length].to_vec());
    let lines: Vec<&[u8]> = split(header, b"\r\n");
    let mut codings = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return by_length;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    match codings.as_slice() {
        [] => by_length,
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => match decoded(body) {
            Some(body) => May::ArriveWith(body),
            None => May::BeRefused,
        },
        _ => May::BeRefused,
    }
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(found) = rest.windows(at.len()).position(|window| window == at) {
        parts.push(&rest[..found]);
        rest = &rest[found + at.len()..];
    }
    parts.push(rest);
    parts
}

/// The chunks of the payloads: one digit each.
fn decoded(body: &[u8]) -> Option<Vec<u8>> {
    match body {
        [b'0', b'\r', b'\n', b'\r', b'\n', ..] => Some(Vec::new()),
        _ => None,
    }
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| alphabet.iter().position(|known| *known == byte))
    {
        bits = (bits << 6 | digit as u32) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// Mutations with a line end of LF alone, or with a list of codings.
const WANTED: [&str; 10] = [
    "0a-XX-XX-0a",
    "cowComma",
    "endspace-0a",
    "endspacexn-0a",
    "endspacexn-09",
    "endspacexn-20",
    "prespace-0a",
    "revdualchunk",
    "xnprespace-0a",
    "xprespace-0a",
];

/// Both requests of each mutation whose name passes.
fn mutations(passes: impl Fn(&str) -> bool) -> Option<Vec<Case>> {
    let folder = data("smuggler_payloads")?;
    let mut cases = Vec::new();
    for line in text(&folder.join("te_mutations.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = line["name"].as_str().expect("a name");
        if !passes(name) {
            continue;
        }
        let header = base64(line["header_b64"].as_str().expect("base64"));
        for (kind, length) in [("clte", 4), ("tecl", 6)] {
            let field = format!("{kind}_request_b64");
            let bytes = base64(line[&field].as_str().expect("base64"));
            let body = split(&bytes, b"\r\n\r\n")[0].len() + 4;
            cases.push(Case {
                name: format!("{kind} {name}"),
                may: lawful(&header, length, &bytes[body..]),
                bytes,
            });
        }
    }
    Some(cases)
}

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
fn lawful_cases() -> Vec<Case> {
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

fn unlawful_cases() -> Vec<Case> {
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

/// Of the list above, what the server from Pingora lets through.
const WANTED_CASES: [&str; 19] = [
    "identity, chunked",
    "chunked twice",
    "chunked, chunked",
    "gzip, chunked",
    "no chunk size",
    "a chunk extension with LF",
    "a chunk extension of 40 kB",
    "trailers that are no headers",
    "trailers of 40 kB",
    "lines that end in LF",
    "a header line that ends in LF",
    "a head that ends in LF",
    "NUL in a target",
    "a host with a list",
    "a host with a path",
    "no host",
    "two spaces in the request line",
    "a space in the target",
    "a target without a slash",
];

async fn holds(title: &str, cases: Vec<Case>) {
    let wrong = Lab::start().await.run(title, cases).await;
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_of_transfer_encoding_are_refused_or_arrive_as_exactly_one_request() {
    let Some(cases) = mutations(|name| !WANTED.contains(&name)) else {
        return;
    };
    assert!(cases.len() >= 1000, "only {} mutations", cases.len());
    holds("mutations", cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn well_formed_requests_arrive_as_they_were_sent() {
    holds("well-formed requests", lawful_cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_or_arrive_as_exactly_one_request() {
    let known = |case: &Case| !WANTED_CASES.contains(&case.name.as_str());
    holds(
        "malformed requests",
        unlawful_cases().into_iter().filter(known).collect(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_request_is_refused_or_arrives_as_exactly_one() {
    let mut cases = unlawful_cases();
    cases.extend(mutations(|name| WANTED.contains(&name)).unwrap_or_default());
    holds("all malformed requests", cases).await;
}
