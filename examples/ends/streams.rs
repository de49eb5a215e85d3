//! Holds many event streams at once and counts what comes.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::http::{Connection, chat};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The proxy.
    #[arg(long)]
    to: SocketAddr,
    /// How many streams.
    #[arg(long)]
    count: usize,
    /// Milliseconds between two events of one stream.
    #[arg(long)]
    pause: u64,
    /// How long events are counted.
    #[arg(long)]
    seconds: u64,
    /// Key that is sent.
    #[arg(long)]
    key: String,
}

/// Addresses that connections come from.
const SOURCES: usize = 8;
/// Connections that are being made at once.
const AT_ONCE: usize = 64;
/// How long all streams may take to begin.
const BEGIN: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    begun: AtomicU64,
    events: AtomicU64,
    ended: AtomicU64,
}

pub(crate) async fn run(args: Args) -> io::Result<()> {
    let (seen, turns) = (Rc::new(Seen::default()), Rc::new(Semaphore::new(AT_ONCE)));
    let tasks = LocalSet::new();
    for number in 0..args.count {
        let request = chat(
            &args.key,
            &format!("x-bench: sse={}\r\n", args.pause),
            number,
            true,
        );
        let (seen, turns, to) = (Rc::clone(&seen), Rc::clone(&turns), args.to);
        tasks.spawn_local(async move {
            if let Err(error) = hold((to, number), &request, &seen, &turns).await {
                eprintln!("stream {number}: {error}");
            }
            seen.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    tasks.run_until(count(&args, &seen)).await
}

async fn count(args: &Args, seen: &Seen) -> io::Result<()> {
    let all_begun = async {
        while seen.begun.load(Ordering::Relaxed) < args.count as u64 && none_ended(seen).is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(BEGIN, all_begun).await.is_err() {
        return Err(io::Error::other("not all streams began in time"));
    }
    none_ended(seen)?;
    println!("ready");
    let (began, before) = (Instant::now(), seen.events.load(Ordering::Relaxed));
    sleep(Duration::from_secs(args.seconds)).await;
    let events = seen.events.load(Ordering::Relaxed) - before;
    println!("window {events} {:.3}", began.elapsed().as_secs_f64());
    none_ended(seen)
}

fn none_ended(seen: &Seen) -> io::Result<()> {
    match seen.ended.load(Ordering::Relaxed) {
        0 => Ok(()),
        ended => Err(io::Error::other(format!("{ended} streams ended early"))),
    }
}

/// Connects from one of several addresses of this machine: a proxy may bound the connections of one.
async fn connect(to: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if to.ip().is_loopback() {
        let last = u8::try_from(number % SOURCES).unwrap_or(0) + 1;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    }
    socket.connect(to).await
}

async fn hold(
    (to, number): (SocketAddr, usize),
    request: &[u8],
    seen: &Seen,
    turns: &Semaphore,
) -> io::Result<()> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let mut connection = Connection::new(connect(to, number).await?)?;
    connection.write(request).await?;
    let head = connection
        .head()
        .await?
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    if !head.is_success() {
        return Err(io::Error::other("the answer is not 200"));
    }
    drop(turn);
    let (mut last, mut first) = (0, true);
    loop {
        let part = connection.part().await?;
        if part.is_empty() {
            return Ok(());
        }
        let mut ends = 0;
        for byte in part {
            ends += u64::from(byte == b'\n' && last == b'\n');
            last = byte;
        }
        seen.events.fetch_add(ends, Ordering::Relaxed);
        if ends > 0 && std::mem::take(&mut first) {
            seen.begun.fetch_add(1, Ordering::Relaxed);
        }
    }
}
