//! Recorded exchanges of real model APIs pass byte for byte, whatever the framing and wherever the bytes are cut.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::data;
use crate::support::gate::{Gate, pool};
use crate::support::raw::LONG;
use crate::support::recorded::{Exchange, read_set};
use crate::support::strict::{Framing, Message, Reader};

const FRAMINGS: [Framing; 3] = [Framing::Chunked, Framing::Length, Framing::Close];
const CUTS: [Cut; 4] = [Cut::Whole, Cut::Events, Cut::Random, Cut::Bytes];
/// Largest answer that is also sent byte by byte.
const SMALL: usize = 1500;
/// Connections at once.
const LANES: usize = 8;

/// Where the peer cuts its answer into writes, and into chunks where it is chunked.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Whole,
    Events,
    Random,
    Bytes,
}

/// One answer, sent in one way.
struct Cell {
    exchange: Arc<Exchange>,
    framing: Framing,
    cut: Cut,
}

type Plan = Arc<Vec<Cell>>;
type Seen = Arc<Mutex<HashMap<usize, Message>>>;

fn plan(exchanges: Vec<Exchange>) -> Vec<Cell> {
    let mut cells = Vec::new();
    for exchange in exchanges.into_iter().map(Arc::new) {
        for framing in FRAMINGS {
            for cut in CUTS {
                if cut == Cut::Bytes && exchange.answer.len() > SMALL {
                    continue;
                }
                let exchange = Arc::clone(&exchange);
                cells.push(Cell {
                    exchange,
                    framing,
                    cut,
                });
            }
        }
    }
    cells
}

fn pieces(cell: &Cell, seed: u64) -> Vec<&[u8]> {
    let answer = &cell.exchange.answer;
    match cell.cut {
        Cut::Whole => vec![answer.as_slice()],
        Cut::Events => cell.exchange.events(),
        Cut::Bytes => answer.chunks(1).collect(),
        Cut::Random => {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut pieces = Vec::new();
            let mut rest = answer.as_slice();
            while !rest.is_empty() {
                let (piece, after) =
                    rest.split_at(random.usize(1..=rest.len().min(1 + answer.len() / 5)));
                pieces.push(piece);
                rest = after;
            }
            pieces
        }
    }
}

/// Sends one recorded answer; true when the connection may carry another.
async fn give(to: &mut OwnedWriteHalf, cell: &Cell, number: usize) -> io::Result<bool> {
    let exchange = &cell.exchange;
    let told = match cell.framing {
        Framing::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
        Framing::Length => format!("content-length: {}\r\n", exchange.answer.len()),
        _ => "connection: close\r\n".to_owned(),
    };
    to.write_all(
        format!(
            "HTTP/1.1 {} Recorded\r\ncontent-type: {}\r\nx-recorded: {number}\r\n{told}\r\n",
            exchange.status, exchange.content_type
        )
        .as_bytes(),
    )
    .await?;
    for piece in pieces(cell, number as u64).iter().filter(|p| !p.is_empty()) {
        if cell.framing == Framing::Chunked {
            let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
            to.write_all(&framed).await?;
        } else {
            to.write_all(piece).await?;
        }
        // Lets the other side read what is there, so that the cuts are seen.
        tokio::task::yield_now().await;
    }
    if cell.framing == Framing::Chunked {
        to.write_all(b"0\r\n\r\n").await?;
    }
    Ok(cell.framing != Framing::Close)
}

/// Serves the cell whose number a request names, and keeps what was asked.
async fn serve(stream: TcpStream, plan: Plan, seen: Seen) {
    let (from, mut to) = stream.into_split();
    let mut from = Reader::new(from);
    while let Ok(Some(request)) = from.request().await {
        let number = request
            .header("x-cell")
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        seen.lock().expect("not poisoned").insert(number, request);
        let cell: &Cell = &plan[number];
        if !give(&mut to, cell, number).await.unwrap_or(false) {
            return;
        }
    }
}

/// Asks for one cell; says what differs.
async fn ask(stream: &mut Reader<TcpStream>, cell: &Cell, number: usize) -> Result<bool, String> {
    let exchange = &cell.exchange;
    let mut request = format!(
        "{} {} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\nx-cell: {number}\r\ncontent-length: {}\r\n\r\n",
        exchange.method,
        exchange.target,
        exchange.request.len()
    )
    .into_bytes();
    request.extend_from_slice(&exchange.request);
    let to = stream.get_mut();
    to.write_all(&request)
        .await
        .map_err(|error| error.to_string())?;
    let answer = timeout(LONG, stream.answer(false))
        .await
        .map_err(|_| "no whole answer".to_owned())?
        .map_err(|broken| broken.to_string())?
        .ok_or("closed without an answer")?;
    let told = (answer.status(), answer.all("content-type"));
    if told != (exchange.status, vec![exchange.content_type.clone()]) {
        return Err(format!(
            "head {told:?}: {}",
            String::from_utf8_lossy(&answer.body)
        ));
    }
    if answer.header("x-recorded") != Some(number.to_string()) {
        return Err("the answer of another request".to_owned());
    }
    if answer.body != exchange.answer {
        return Err(format!(
            "{} bytes instead of {}, ending in {:?}",
            answer.body.len(),
            exchange.answer.len(),
            String::from_utf8_lossy(&answer.body[answer.body.len().saturating_sub(200)..])
        ));
    }
    Ok(!answer.closes())
}

async fn lane(gate: std::net::SocketAddr, plan: Plan, lane: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open = None;
    for number in (lane..plan.len()).step_by(LANES) {
        let cell = &plan[number];
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => Reader::new(TcpStream::connect(gate).await.expect("connects")),
        };
        match ask(&mut stream, cell, number).await {
            Ok(true) => open = Some(stream),
            Ok(false) => {}
            Err(why) => wrong.push(format!(
                "{} {:?} {:?}: {why}",
                cell.exchange.name, cell.framing, cell.cut
            )),
        }
    }
    wrong
}

async fn passes(set: &str, least: usize) {
    let Some(folder) = data(set) else { return };
    let exchanges = read_set(&folder);
    let (all, streams) = (
        exchanges.len(),
        exchanges.iter().filter(|one| one.streamed()).count(),
    );
    assert!(
        all >= least,
        "{set}: {all} of at least {least} recordings are there"
    );
    let plan = Arc::new(plan(exchanges));
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let address = listener.local_addr().expect("bound");
    let mut tasks = JoinSet::new();
    let (peer_plan, peer_seen) = (Arc::clone(&plan), Arc::clone(&seen));
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(
                stream,
                Arc::clone(&peer_plan),
                Arc::clone(&peer_seen),
            ));
        }
    });
    let once = "    retry: { attempts: 1 }\n    eject: off\n";
    let gate = Gate::start(&pool(&[address], once)).await;
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        lanes.spawn(lane(gate.address, Arc::clone(&plan), number));
    }
    let mut wrong = lanes.join_all().await.concat();
    let seen = seen.lock().expect("not poisoned").clone();
    for (number, cell) in plan.iter().enumerate() {
        let exchange = &cell.exchange;
        let line = format!("{} {} HTTP/1.1", exchange.method, exchange.target);
        match seen.get(&number) {
            None => wrong.push(format!("{}: never reached the peer", exchange.name)),
            Some(request) if request.body != exchange.request || request.start != line => {
                wrong.push(format!(
                    "{}: the request was changed: {}",
                    exchange.name, request.start
                ));
            }
            Some(_) => {}
        }
    }
    println!(
        "{set}: {all} recordings, {streams} of them streams; {} of {} cells passed",
        plan.len() - wrong.len().min(plan.len()),
        plan.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recordings_of_pydantic_ai_pass_byte_for_byte() {
    passes("pydantic_ai_cassettes", 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recordings_of_the_vercel_ai_sdk_pass_byte_for_byte() {
    passes("vercel_ai_recordings", 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recordings_of_the_envoy_ai_gateway_pass_byte_for_byte() {
    passes("envoy_aigw_openai_cassettes", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_the_anthropic_sdk_passes_byte_for_byte() {
    passes("anthropic_sdk_streams", 1).await;
}
