//! The program itself, over real sockets: a client, Tollgate and a peer on one machine.

use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::Args;
use crate::corpus::Corpus;
use crate::figures::{Times, load};

/// Connections that fill the cache.
const FILLERS: usize = 32;
/// Most entries that lookups by meaning are timed with: each has to be embedded.
const MOST_SEMANTIC: usize = 1000;

pub(crate) type Failed = Box<dyn Error>;

/// A running Tollgate, which ends with the measurement.
pub(crate) struct Gate(Child);

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(args: &Args, binary: &Path, corpus: &Corpus) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        println!("Through the program, from a client's write to the last byte of its answer (p50 / p99):\n");
        println!("| entries | the peer without Tollgate | exact hit | semantic hit, 10 words | semantic hit, 60 words | load |");
        println!("| --- | --- | --- | --- | --- | --- |");
        let peer = peer().await?;
        for &entries in &args.entries {
            let mut direct = Times::default();
            let mut client = connect(peer).await?;
            for n in 0..args.lookups {
                direct.push(ask(&mut client, &corpus.prompt(n, 10), None).await?.0);
            }
            let mut exact = exact(args, binary, peer, corpus, entries).await?;
            let (ten, sixty) = match entries.min(MOST_SEMANTIC) {
                held if held == entries && !args.exact_only => {
                    let [mut ten, mut sixty] = semantic(args, binary, peer, corpus, held).await?;
                    (ten.text(), sixty.text())
                }
                _ => ("-".to_owned(), "-".to_owned()),
            };
            println!(
                "| {entries} | {} | {} | {ten} | {sixty} | {} |",
                direct.text(),
                exact.text(),
                load()
            );
        }
        Ok(())
    })
}

async fn exact(
    args: &Args,
    binary: &Path,
    peer: SocketAddr,
    corpus: &Corpus,
    entries: usize,
) -> Result<Times, Failed> {
    let folder = tempfile::tempdir()?;
    let (_gate, address) = start(binary, folder.path(), peer, "off").await?;
    let text = |n: usize| format!("{n}: {}", corpus.prompt(n, 10));
    let mut fillers = tokio::task::JoinSet::new();
    for filler in 0..FILLERS {
        let texts: Vec<String> = (filler..entries).step_by(FILLERS).map(text).collect();
        fillers.spawn(async move {
            let mut client = connect(address).await.map_err(|error| error.to_string())?;
            for text in texts {
                let asked = ask(&mut client, &text, None).await;
                asked.map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    let mut client = connect(address).await?;
    let mut times = Times::default();
    for _ in 0..args.lookups {
        let (time, status) = ask(&mut client, &text(fastrand::usize(..entries)), None).await?;
        if status != "HIT" {
            return Err(format!("{status} instead of HIT").into());
        }
        times.push(time);
    }
    Ok(times)
}

/// Every lookup by meaning is a hit here, however far the nearest is, so that no peer's time is in the figure.
async fn semantic(
    args: &Args,
    binary: &Path,
    peer: SocketAddr,
    corpus: &Corpus,
    entries: usize,
) -> Result<[Times; 2], Failed> {
    let folder = tempfile::tempdir()?;
    let settings = format!(
        "{{ threshold: 0, guard: off, deadline: 60s, embedder: {{ model: bench, path: {}, cache: 0 }} }}",
        args.model.canonicalize()?.display()
    );
    let (_gate, address) = start(binary, folder.path(), peer, &settings).await?;
    let mut client = connect(address).await?;
    let strict = Some(("x-tollgate-cache-threshold", "1"));
    for n in 0..entries {
        ask(&mut client, &corpus.prompt(n, 12), strict).await?;
    }
    let mut both = [Times::default(), Times::default()];
    for (times, words) in both.iter_mut().zip([10, 60]) {
        for n in 0..args.lookups {
            let text = corpus.prompt(n + entries, words);
            let (time, status) = ask(&mut client, &text, None).await?;
            match status.as_str() {
                "SEMANTIC_HIT" => times.push(time),
                // Two prompts may be one.
                "HIT" => {}
                _ => return Err(format!("{status} instead of SEMANTIC_HIT").into()),
            }
        }
    }
    Ok(both)
}

/// A peer that answers every chat at once.
pub(crate) async fn peer() -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let body = json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        { "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "words ".repeat(100) } } ],
        "usage": { "prompt_tokens": 30, "completion_tokens": 110, "total_tokens": 140 } });
    let body = Bytes::from(body.to_string());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                let body = body.clone();
                async move {
                    request.into_body().collect().await?;
                    let answer = hyper::Response::new(Full::new(body));
                    let (mut head, body) = answer.into_parts();
                    let json = http::HeaderValue::from_static("application/json");
                    head.headers.insert("content-type", json);
                    Ok::<_, hyper::Error>(hyper::Response::from_parts(head, body))
                }
            });
            let serve = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serve.serve_connection(TokioIo::new(stream), answer));
        }
    });
    Ok(address)
}

/// Starts the program before `peer` and waits until it serves, by meaning too where that is wanted.
async fn start(
    binary: &Path,
    folder: &Path,
    peer: SocketAddr,
    semantic: &str,
) -> Result<(Gate, SocketAddr), Failed> {
    let [address, admin] = [free()?, free()?];
    let gate = launch(binary, folder, peer, semantic, [address, admin])?;
    let ready = match semantic {
        "off" => "tollgate_config_generation 1",
        _ => "tollgate_embedder_ready{cache=\"answers\"} 1",
    };
    let until = Instant::now() + Duration::from_secs(60);
    while !fetch(admin, "/metrics")
        .await
        .unwrap_or_default()
        .contains(ready)
    {
        if Instant::now() > until {
            let log = fs::read_to_string(folder.join("log"))?;
            return Err(format!("tollgate does not serve: {log}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((gate, address))
}

pub(crate) fn free() -> Result<SocketAddr, Failed> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Starts the program before `peer`. `semantic` and what follows it stands in the configuration of its cache.
pub(crate) fn launch(
    binary: &Path,
    folder: &Path,
    peer: SocketAddr,
    semantic: &str,
    [address, admin]: [SocketAddr; 2],
) -> Result<Gate, Failed> {
    let config = folder.join("tollgate.yaml");
    let text = format!(
        "listen: [{{ address: \"{address}\" }}]\nadmin: {{ address: \"{admin}\" }}\naccess_log: off\npools:\n  chat: {{ health: off, peers: [{{ address: \"{peer}\" }}] }}\nroutes:\n  - {{ match: {{ path: /v1/* }}, pool: chat, cache: answers }}\ncaches:\n  answers: {{ exact: {{ max_bytes: 16GiB }}, semantic: {semantic} }}\n"
    );
    fs::write(&config, text)?;
    let mut command = Command::new(binary);
    command.arg("run").arg("--config").arg(&config);
    let log = fs::File::create(folder.join("log"))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Ok(Gate(command.spawn()?))
}

pub(crate) async fn fetch(admin: SocketAddr, path: &str) -> Result<String, Failed> {
    let mut client = connect(admin).await?;
    let request = Request::get(path).header("host", "bench");
    let answer = client.send_request(request.body(Full::default())?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

pub(crate) async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failed> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One question: the time until its answer is whole, and what the cache said.
pub(crate) async fn ask(
    client: &mut SendRequest<Full<Bytes>>,
    text: &str,
    header: Option<(&str, &str)>,
) -> Result<(Duration, String), Failed> {
    let body = json!({ "model": "m", "temperature": 0, "messages": [{ "role": "user", "content": text }] });
    let mut request = Request::post("/v1/chat/completions")
        .header("host", "bench")
        .header("content-type", "application/json");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())))?;
    client.ready().await?;
    let began = Instant::now();
    let answer = client.send_request(request).await?;
    let status = answer.headers().get("x-cache-status").cloned();
    let code = answer.status();
    answer.into_body().collect().await?;
    let time = began.elapsed();
    if !code.is_success() {
        return Err(format!("status {code}").into());
    }
    let status = status.and_then(|status| Some(status.to_str().ok()?.to_owned()));
    Ok((time, status.unwrap_or_default()))
}
