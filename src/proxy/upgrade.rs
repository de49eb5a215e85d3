//! Upgraded connections: WebSocket, and whatever else a client and a peer agree upon.

use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};

use super::Proxy;
use super::admission::reserve;
use super::ctx::Ctx;
use super::dispatch::{Answer, watching};
use super::edge::{self, Way, find_route};
use super::introduce::introduce;
use super::model_api::dispatch_headers;
use super::pass::unmetered;
use super::report::{no_peer, refusal, report_failure, report_status, report_success};
use super::stop::Stop;
use super::tee::Tee;
use crate::admit::Need;
use crate::exchange::{strip_hop_by_hop, upstream_head};
use crate::front::Session;
use crate::llm::ApiError;
use crate::metrics::events::AbortStage;
use crate::wire::{RequestHead, ResponseHead, connection_says, tunnel};

impl Proxy {
    /// Asks a peer to switch protocols and, if it does, joins the two connections. Whatever else it answers is passed on.
    pub(super) async fn upgrade(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        let (_, pool) = match find_route(session, ctx, None)? {
            Way::Peer(route, pool) => (route, pool),
            Way::Here(route) => return edge::answer(session, ctx, &route).await,
        };
        let timeouts = ctx.timeouts(&pool);
        // Counts against concurrency limits as long as the connection lives.
        let reservation = reserve(ctx, Need::default())?;
        let outgoing = unmetered(ctx, &pool);
        let Some(mut lease) = self.lease(session, ctx, &outgoing, &[]).await? else {
            return Err(no_peer(&pool).into());
        };
        let Some(way) = pool.reach.http1(lease.peer().label(), lease.addr()) else {
            let why =
                "it is spoken to in HTTP/2 alone, where no connection can change its protocol";
            return Err(ApiError::upstream_broke(why).into());
        };
        ctx.record.attempts = 1;
        ctx.record.upstream = Some(Arc::clone(lease.peer().addr_text()));
        ctx.overhead_ends("proxied");
        let began = ctx.now;
        let head = peer_head(session, ctx, lease.peer().label())?;
        let asking = async {
            let mut exchange = self.client.open(way, timeouts, began, began).await?;
            let answer = exchange.ask(&head, bytes::Bytes::new()).await?;
            Ok((exchange, answer))
        };
        let asked = watching(session, AbortStage::BeforeFirstByte, asking, &outgoing).await?;
        ctx.waited_since(began);
        let (exchange, head) = match asked {
            Ok(asked) => asked,
            Err(failure) => {
                report_failure(&pool, &mut lease, &failure);
                return Err(refusal(&failure, &pool, &timeouts).into());
            }
        };
        report_status(&pool, &mut lease, &head, ctx.now);
        dispatch_headers(ctx);
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            let answer = Box::new(Answer {
                head,
                exchange,
                lease: Some(lease),
                uploading: false,
                spent: true,
            });
            let mut tee = Tee::opaque(reservation);
            return self.relay(session, ctx, &pool, answer, &mut tee).await;
        }
        let Some(peer) = exchange.into_connection() else {
            return Err(Stop::CutOff);
        };
        super::respond::begin(session, ctx, switched(head));
        let gone = |_| Stop::ClientGone(AbortStage::MidStream);
        session.flush().await.map_err(gone)?;
        ctx.record.first_byte = Some(ctx.start.elapsed());
        let Some(client) = session.take_connection() else {
            return Err(Stop::CutOff);
        };
        let (_, sent) = tunnel(client, peer, timeouts.between_chunks).await;
        session.count_sent(sent);
        report_success(&pool, &mut lease, ctx.tick());
        Ok(())
    }
}

fn peer_head(session: &Session, ctx: &mut Ctx, peer: &str) -> Result<RequestHead, Stop> {
    let mut head = upstream_head(session.head(), Some(0));
    if let Some(protocol) = session.head().headers.get(UPGRADE) {
        let upgrade = HeaderValue::from_static("upgrade");
        head.headers.insert(UPGRADE, protocol.clone());
        head.headers.insert(CONNECTION, upgrade);
    }
    introduce(&mut head, session, ctx, peer)?;
    Ok(head)
}

fn switched(mut head: ResponseHead) -> ResponseHead {
    let protocol = head.headers.get(UPGRADE).cloned();
    strip_hop_by_hop(&mut head.headers);
    if let Some(protocol) = protocol {
        let _ = head.headers.set(UPGRADE, protocol);
    }
    let _ = head
        .headers
        .set("connection", HeaderValue::from_static("upgrade"));
    head
}

/// Upgrades that are passed on: those of a GET, as WebSocket's is, that the connection names. Others are for the client to
/// do without: an ordinary request that wears the header must not lead around limits, metering and cache.
pub(super) fn is_upgrade(head: &RequestHead) -> bool {
    let mut protocols = head.headers.get_all(UPGRADE);
    let one = match (protocols.next(), protocols.next()) {
        (Some(protocols), None) => protocols.as_bytes(),
        _ => return false,
    };
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && connection_says(&head.headers, "upgrade")
        && !one.is_empty()
        && !one.split(|byte| *byte == b',').any(is_http)
        && !head.headers.contains_key(http::header::TRANSFER_ENCODING)
        && head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
}

/// Another HTTP, in which a peer would serve requests that nobody here sees. Some clients offer it (`h2c`) with every one.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.trim_ascii().to_ascii_lowercase();
    name == b"h2c" || name == b"h2" || name == b"http" || name.starts_with(b"http/")
}
