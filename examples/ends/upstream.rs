//! An upstream that answers as a request's own header asks.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::http::{Connection, Head};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
}

const EVENT: &str = r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench","choices":[{"index":0,"delta":{"content":" words"},"logprobs":null,"finish_reason":null}]}"#;
/// Bytes of a download that are sent with one write.
const PIECE: usize = 64 << 10;

pub(crate) async fn run(args: Args) -> io::Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let mut number = 0;
    loop {
        let (stream, _) = listener.accept().await?;
        number += 1;
        // A connection that fails is the business of whoever measures.
        tokio::spawn(async move { serve(stream, number).await });
    }
}

async fn serve(stream: TcpStream, number: u64) -> io::Result<()> {
    let mut connection = Connection::new(stream)?;
    while let Some(head) = connection.head().await? {
        connection.skip_body(&head).await?;
        match asked(&head) {
            ("down", bytes) => give(&mut connection, bytes).await?,
            ("sse", pause) => return stream_events(&mut connection, pause.max(1), number).await,
            _ => connection.write(answer().as_bytes()).await?,
        }
    }
    Ok(())
}

fn asked(head: &Head) -> (&str, u64) {
    head.value("x-bench")
        .and_then(|asked| asked.split_once('='))
        .and_then(|(what, number)| Some((what, number.parse().ok()?)))
        .unwrap_or(("", 0))
}

fn answer() -> String {
    let body = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{}"}}}}],"usage":{{"prompt_tokens":220,"completion_tokens":80,"total_tokens":300}}}}"#,
        "words ".repeat(80)
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn give(connection: &mut Connection, bytes: u64) -> io::Result<()> {
    static BYTES: [u8; PIECE] = [b'x'; PIECE];
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {bytes}\r\n\r\n"
    );
    connection.write(head.as_bytes()).await?;
    let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
    while left > 0 {
        let piece = left.min(PIECE);
        connection.write(&BYTES[..piece]).await?;
        left -= piece;
    }
    Ok(())
}

/// Sends an event after each pause until the other side leaves. Streams are out of step with each other.
async fn stream_events(connection: &mut Connection, pause: u64, number: u64) -> io::Result<()> {
    connection
        .write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let chunk = format!("{:x}\r\n{EVENT}\n\n\r\n", EVENT.len() + 2);
    let first = Instant::now() + Duration::from_millis(number * 7919 % pause);
    let mut ticks = interval_at(first, Duration::from_millis(pause));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        connection.write(chunk.as_bytes()).await?;
    }
}
