//! Peers that live through everything, and the streams that run on them.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::client;
use crate::support::peer::{Peer, Wire};

/// Events of a stream.
pub(super) const EVENTS: usize = 100;

/// Serves streams event by event, as far as `stepped` says, and everything else at once.
pub(super) async fn peer(stepped: watch::Receiver<usize>) -> Peer {
    Peer::start(move |mut wire: Wire, _| {
        let mut stepped = stepped.clone();
        async move {
            while let Some(request) = wire.request().await? {
                let body: Value = serde_json::from_slice(&request.body)?;
                let Some(name) = body["user"].as_str() else {
                    wire.json(200, &request.digest()).await?;
                    continue;
                };
                wire.events().await?;
                for event in 0..EVENTS {
                    let _ = stepped.wait_for(|reached| *reached >= event).await;
                    wire.chunk(text(name, event)).await?;
                }
                wire.chunk("data: [DONE]\n\n").await?;
                wire.raw("0\r\n\r\n").await?;
            }
            Ok(())
        }
    })
    .await
}

/// One event of the stream of that name; every tenth is larger than what is read at once.
fn text(name: &str, event: usize) -> String {
    let filler = if event.is_multiple_of(10) { 9000 } else { 40 };
    let content = format!("{name}-{event}.{}", "x".repeat(filler));
    let event = json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": { "content": content } }] });
    format!("data: {event}\n\n")
}

/// Reads the stream of that name to its end; its bytes.
///
/// # Errors
/// What differs from what the peer sent.
pub(super) async fn read(address: SocketAddr, name: String) -> Result<usize, String> {
    let body = client::chat(
        "hello",
        json!({ "stream": true, "user": name, "model": "living" }),
    );
    let begun = client::begin(address, "POST", "/v1/chat/completions", &[], &body);
    let answer = begun.await.map_err(|error| format!("{name}: {error}"))?;
    if answer.status() != 200 {
        return Err(format!("{name}: {}", answer.status()));
    }
    let collected = answer.into_body().collect().await;
    let got = collected
        .map_err(|error| format!("{name}: {error}"))?
        .to_bytes();
    let events = (0..EVENTS).map(|event| text(&name, event));
    let sent: String = events.chain(["data: [DONE]\n\n".to_owned()]).collect();
    match got == sent.as_bytes() {
        true => Ok(got.len()),
        false => Err(format!("{name}: {} bytes of {}", got.len(), sent.len())),
    }
}
