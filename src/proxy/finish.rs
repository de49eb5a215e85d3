//! The end of every request: one log line and the counters.

use std::time::Duration;

use super::cached;
use super::ctx::Ctx;
use super::wait::class_name;
use crate::front::Session;
use crate::metrics::access_log::Line;
use crate::metrics::events;

/// Logs and counts.
pub(super) fn log(session: &Session, ctx: &mut Ctx) {
    let (status, now) = (session.status(), ctx.tick());
    let record = &ctx.record;
    if let Some(stage) = record.aborted {
        events::client_left(stage);
    }
    let error_type = match (record.error_type, status) {
        ("", 500..) => "provider_error",
        ("", 400..) => "provider_refusal",
        (known, _) => known,
    };
    events::request_finished(
        ctx.route_name(),
        record.model.as_deref(),
        status,
        error_type,
    );
    if let Some(overhead) = record.overhead {
        events::overhead(record.overhead_kind, overhead);
    }
    cached::tell(ctx, now);
    let answered = record.metered && (200..300).contains(&status);
    if let (Some(route), Some(first), true) = (&ctx.route, first_token(ctx), answered) {
        events::first_token(route.pool(), first);
    }
    if ctx.snapshot.access_log.is_on() {
        ctx.snapshot
            .access_log
            .write(&line(session, ctx, status, error_type));
    }
    ctx.in_flight.finish();
}

fn first_token(ctx: &Ctx) -> Option<Duration> {
    match ctx.record.tokens {
        Some((first, _)) => Some(first.saturating_duration_since(ctx.start)),
        None => ctx.record.first_byte,
    }
}

fn line<'a>(session: &'a Session, ctx: &'a Ctx, status: u16, error_type: &'a str) -> Line<'a> {
    let head = session.head();
    let record = &ctx.record;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let header = |name| match ctx.snapshot.access_log.wants_headers() {
        true => head.headers.get(name).map(|value| value.as_bytes()),
        false => None,
    };
    Line {
        arrived: ctx.arrived,
        request_id: &ctx.request_id,
        client: ctx.client_ip,
        method: head.method.as_str(),
        target: head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str()),
        version: head.version,
        referer: header(http::header::REFERER),
        user_agent: header(http::header::USER_AGENT),
        status,
        error_type,
        key: ctx.client.as_ref().map(|client| client.name.as_str()),
        tenant: ctx.client.as_ref().map(|client| client.tenant.as_str()),
        priority: ctx
            .client
            .as_ref()
            .map(|client| class_name(client.priority)),
        route: ctx.route.as_ref().map(|route| route.name.as_str()),
        upstream: record.upstream.as_deref(),
        attempts: record.attempts,
        model: record.model.as_deref(),
        response_model: record.response_model.as_deref(),
        input_tokens: record.usage.map(|usage| usage.input_tokens),
        output_tokens: record.usage.map(|usage| usage.output_tokens),
        cached_input_tokens: record
            .usage
            .map(|usage| usage.cached_input_tokens)
            .filter(|tokens| *tokens > 0),
        finish_reason: record.finish_reason.as_deref(),
        stream: record.stream,
        cache_status: record.cache_status,
        cache_id: record.cache_id.as_deref(),
        cache_similarity: record.cache_similarity,
        limit_bound: record.limit_bound,
        ttft_ms: first_token(ctx).map(ms),
        tpot_ms: time_per_token(ctx).map(ms),
        queue_ms: record.queued.map(ms),
        overhead_us: record.overhead.map_or(0, |time| {
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        }),
        duration_ms: ms(ctx.now.saturating_duration_since(ctx.start)),
        request_bytes: session.body_read(),
        response_bytes: session.body_sent(),
        client_aborted: record.aborted.is_some(),
    }
}

fn time_per_token(ctx: &Ctx) -> Option<Duration> {
    let (first, last) = ctx.record.tokens?;
    let tokens = ctx.record.usage?.output_tokens;
    let gaps = u32::try_from(tokens.checked_sub(1)?)
        .ok()
        .filter(|gaps| *gaps > 0)?;
    Some((last - first) / gaps)
}
