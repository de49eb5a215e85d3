//! Requests at random times of a set rate, whatever became of those before.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::http::{Connection, chat};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The proxy, or the upstream itself.
    #[arg(long)]
    to: SocketAddr,
    /// Requests per second.
    #[arg(long)]
    rate: f64,
    /// How long requests are sent.
    #[arg(long)]
    seconds: f64,
    /// Connections; a request that finds none free waits, and that counts.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Ask the same question again and again.
    #[arg(long)]
    same: bool,
    /// Key that is sent.
    #[arg(long)]
    key: String,
}

/// One request to be sent: when it was handed out, and how late that was.
struct Due {
    at: Instant,
    late: Duration,
    number: usize,
}

type Dues = Arc<Mutex<mpsc::UnboundedReceiver<Due>>>;

pub(crate) async fn run(args: Args) -> io::Result<()> {
    let (give, dues) = mpsc::unbounded_channel();
    let dues: Dues = Arc::new(Mutex::new(dues));
    let mut lanes = JoinSet::new();
    for _ in 0..args.connections.max(1) {
        let connection = Connection::new(TcpStream::connect(args.to).await?)?;
        lanes.spawn(lane(connection, Arc::clone(&dues), args.key.clone()));
    }
    // A thread of its own: the runtime's timers are only as fine as a millisecond.
    let giver = thread::spawn(move || hand_out(args.rate, args.seconds, args.same, &give));
    let (mut took, mut late) = (histogram()?, histogram()?);
    while let Some(lane) = lanes.join_next().await {
        let (lane_took, lane_late) = lane.map_err(io::Error::other)??;
        took.add(lane_took).map_err(io::Error::other)?;
        late.add(lane_late).map_err(io::Error::other)?;
    }
    giver
        .join()
        .map_err(|_| io::Error::other("the pace broke down"))?;
    let micros = |share| took.value_at_quantile(share) as f64 / 1000.0;
    println!(
        "paced {} {:.1} {:.1} {:.1} {:.1}",
        took.len(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        late.value_at_quantile(0.99) as f64 / 1000.0
    );
    Ok(())
}

/// Nanoseconds up to a minute.
fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(60_000_000_000, 3).map_err(io::Error::other)
}

/// Hands requests out with exponential pauses between them.
fn hand_out(rate: f64, seconds: f64, same: bool, give: &mpsc::UnboundedSender<Due>) {
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let mut planned = 0.0;
    // What an earlier run asked may still be in a cache.
    let first = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = first.map_or(0, |since| usize::try_from(since.as_micros()).unwrap_or(0));
    for number in first.. {
        planned -= (1.0 - random.f64()).ln() / rate;
        if planned > seconds {
            return;
        }
        let planned = began + Duration::from_secs_f64(planned);
        thread::sleep(planned.saturating_duration_since(Instant::now()));
        let at = Instant::now();
        let late = at - planned;
        let number = if same { 0 } else { number };
        if give.send(Due { at, late, number }).is_err() {
            return;
        }
    }
}

/// Sends one request after the other on one connection; the times of both kinds.
async fn lane(
    mut connection: Connection,
    dues: Dues,
    key: String,
) -> io::Result<(Histogram<u64>, Histogram<u64>)> {
    let (mut took, mut late) = (histogram()?, histogram()?);
    loop {
        let due = dues.lock().await.recv().await;
        let Some(due) = due else {
            return Ok((took, late));
        };
        connection.write(&chat(&key, "", due.number, false)).await?;
        let head = connection
            .head()
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if !head.is_success() {
            return Err(io::Error::other("the answer is not 200"));
        }
        connection.skip_body(&head).await?;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        took.saturating_record(nanos(due.at.elapsed()));
        late.saturating_record(nanos(due.late));
    }
}
