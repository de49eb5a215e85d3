//! Requests at random times of a set rate, whatever became of those before.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// What became of one.
struct Answered {
    /// When it was handed out, since the run began.
    due: Duration,
    took: Duration,
    late: Duration,
}

/// What has a p99 of its own, and how many answers that takes.
const WINDOW: Duration = Duration::from_millis(100);
const LEAST: usize = 200;

type Dues = Arc<Mutex<mpsc::UnboundedReceiver<Due>>>;

pub(crate) async fn run(args: Args) -> io::Result<()> {
    let (give, dues) = mpsc::unbounded_channel();
    let dues: Dues = Arc::new(Mutex::new(dues));
    let mut lanes = JoinSet::new();
    let began = Instant::now();
    for _ in 0..args.connections.max(1) {
        let connection = Connection::new(TcpStream::connect(args.to).await?)?;
        lanes.spawn(lane(connection, Arc::clone(&dues), args.key.clone(), began));
    }
    // A thread of its own: the runtime's timers are only as fine as a millisecond.
    let giver = thread::spawn(move || hand_out(args.rate, args.seconds, args.same, &give));
    let mut answers: Vec<Answered> = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        answers.extend(lane.map_err(io::Error::other)??);
    }
    giver
        .join()
        .map_err(|_| io::Error::other("the pace broke down"))?;
    answers.sort_unstable_by_key(|answer| answer.due);
    let all = || answers.iter().map(|answer| answer.took);
    println!(
        "paced {} {:.1} {:.1} {:.1} {:.1} {:.1}",
        answers.len(),
        micros(quantile(all(), 0.5)),
        micros(quantile(all(), 0.99)),
        micros(quantile(all(), 0.999)),
        micros(quantile(answers.iter().map(|answer| answer.late), 0.99)),
        micros(quantile(tails(&answers), 0.5)),
    );
    Ok(())
}

/// The p99 of each [`WINDOW`]: a machine that stands still for some milliseconds spoils one of them, not their median.
fn tails(answers: &[Answered]) -> impl Iterator<Item = Duration> {
    let windows = answers.chunk_by(|one, other| one.window() == other.window());
    let enough = windows.filter(|window| window.len() >= LEAST);
    enough.filter_map(|window| quantile(window.iter().map(|answer| answer.took), 0.99))
}

/// `None` of none.
fn quantile(times: impl Iterator<Item = Duration>, share: f64) -> Option<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let at = (share * times.len() as f64).ceil() as usize;
    times.get(at.saturating_sub(1)).copied()
}

fn micros(time: Option<Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

impl Answered {
    fn window(&self) -> u128 {
        self.due.as_nanos() / WINDOW.as_nanos()
    }
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

/// Sends one request after the other on one connection.
async fn lane(
    mut connection: Connection,
    dues: Dues,
    key: String,
    began: Instant,
) -> io::Result<Vec<Answered>> {
    let mut answers = Vec::new();
    loop {
        let due = dues.lock().await.recv().await;
        let Some(due) = due else {
            return Ok(answers);
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
        answers.push(Answered {
            due: due.at - began,
            took: due.at.elapsed(),
            late: due.late,
        });
    }
}
