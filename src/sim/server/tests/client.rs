//! A small HTTP client that tells how an answer ended.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::sim::server::{SimConfig, SimServer};

/// How an answer's body ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Broken,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) end: End,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The data of each event, with its name where it has one.
    pub(super) fn events(&self) -> Vec<(Option<String>, String)> {
        let text = std::str::from_utf8(&self.body).unwrap();
        assert!(
            text.is_empty() || text.ends_with("\n\n"),
            "whole events only: {text:?}"
        );
        text.split_terminator("\n\n")
            .map(|event| {
                let (name, data) = match event.split_once('\n') {
                    Some((name, data)) => (name.strip_prefix("event: ").map(str::to_owned), data),
                    None => (None, event),
                };
                (name, data.strip_prefix("data: ").unwrap().to_owned())
            })
            .collect()
    }

    /// The JSON of each event, without `[DONE]`.
    pub(super) fn documents(&self) -> Vec<Value> {
        let events = self
            .events()
            .into_iter()
            .filter(|(_, data)| data != "[DONE]");
        events
            .map(|(_, data)| serde_json::from_str(&data).unwrap())
            .collect()
    }
}

/// A server a hundred times as fast as the default engine.
pub(super) async fn fast(config: SimConfig) -> SimServer {
    SimServer::start(SimConfig {
        time_scale: 100.0,
        ..config
    })
    .await
    .unwrap()
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn send(
    server: &SimServer,
    request: Request<Full<Bytes>>,
) -> hyper::Result<http::Response<Incoming>> {
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// Sends a request and reads its answer as far as it comes.
pub(super) async fn ask(server: &SimServer, request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
    let response = send(server, request).await?;
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut end) = (Vec::new(), End::Complete);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => end = End::Broken,
        }
    }
    Ok(Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: bytes.into(),
        end,
    })
}

pub(super) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sim");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into())).unwrap()
}

pub(super) async fn get(server: &SimServer, path: &str) -> Reply {
    ask(server, request("GET", path, &[], "")).await.unwrap()
}

pub(super) async fn post(server: &SimServer, path: &str, body: Value) -> Reply {
    ask(
        server,
        request(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.to_string(),
        ),
    )
    .await
    .unwrap()
}

/// Waits until the state of the server is as asked; the last state on failure.
pub(super) async fn until(server: &SimServer, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let state = server.state();
        if what(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "not in time: {state:#}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
